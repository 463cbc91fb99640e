//! Lambda layers: only the identity can be told from its bytecode.

use serde_json::Value;

use crate::ConvertError;
use crate::keras::build::{Flow, Step};

/// Lambda: taken in where it gives back what it gets, as larq-zoo names the outputs of its blocks.
pub(super) fn lambda(step: &Step<'_>) -> Result<Flow, ConvertError> {
    let function = step.config.get("function");
    let code = match function {
        Some(Value::Array(parts)) => parts.first().and_then(Value::as_str),
        Some(other) => other.get("config").and_then(|config| config.get("code")).and_then(Value::as_str),
        None => None,
    };
    match code.and_then(base64) {
        Some(code) if is_identity(&code) => step.one().cloned(),
        _ => Err(step.unsupported("what its Python function computes is not known")),
    }
}

/// True for Python's marshalled `lambda x: x`.
///
/// A code object is the byte `c` (its highest bit is a flag), the number of arguments and some more counts of four
/// bytes each, then the bytecode as a string: `s`, its length, and pairs of instruction and argument. Python 3.6 to
/// 3.12 write LOAD_FAST 0 as 7c 00 and RETURN_VALUE as 53 00; since 3.11 RESUME 0, 97 00, stands before them.
fn is_identity(code: &[u8]) -> bool {
    const BODY: [&[u8]; 2] = [&[0x7c, 0, 0x53, 0], &[0x97, 0, 0x7c, 0, 0x53, 0]];
    let one_argument = code.first().is_some_and(|kind| kind & 0x7f == b'c') && code.get(1..5) == Some(&[1, 0, 0, 0]);
    // Five or six counts, by the version.
    let bytecode = |counts: usize| {
        let at = 1 + 4 * counts;
        let length = code.get(at + 1..at + 5)?;
        let length = u32::from_le_bytes(length.try_into().ok()?);
        (code.get(at)? & 0x7f == b's').then_some(())?;
        code.get(at + 5..(at + 5).checked_add(usize::try_from(length).ok()?)?)
    };
    one_argument && [5, 6].into_iter().filter_map(bytecode).any(|body| BODY.contains(&body))
}

/// Base64 with line ends.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let digit = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_is_one() {
        // As Keras 2.15 on Python 3.10 writes `lambda t: t`.
        let identity = "4wEAAAAAAAAAAAAAAAEAAAABAAAAQwAAAHMEAAAAfABTACkBTqkAKQHaAXRyAQAAAHIBAAAA+gov\ndG1wL3QxLnB52gg8bGFtYmRhPg8AAABzAgAAAAQA\n";
        let code = base64(identity).unwrap();
        assert!(is_identity(&code));
        let mut other = code.clone();
        other[1] = 2;
        assert!(!is_identity(&other));
        let mut other = code.clone();
        let at = other.windows(2).position(|pair| pair == [0x7c, 0]).unwrap();
        other[at] = 0x64;
        assert!(!is_identity(&other));
        assert!(!is_identity(&code[..20]) && !is_identity(&[]));
    }
}
