//! How many messages a file has, before any memory is taken for them.
//!
//! Two bytes are a whole empty message, and some two hundred bytes once decoded. So they are counted first, by the
//! rules of the wire alone: a key of field number and kind, then a varint, 4 or 8 bytes, or a length and its bytes.

use crate::ConvertError;

/// Most messages and names in a file: far more than [`signbit_model::limits::MAX_NODES`] nodes of a real network have.
const MAX_MESSAGES: usize = 1 << 19;

/// A message of the file, as far as it has others inside.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Info,
    Type,
    TensorType,
    Shape,
    /// A name, or a message without others.
    Leaf,
}

impl Kind {
    /// What is in a field, where it is a message or a list of names.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11..=13) => Self::Info,
            (Self::Node, 5) => Self::Attribute,
            (Self::Info, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Model, 8 | 14) | (Self::Node, 1 | 2) | (Self::Tensor, 13) | (Self::Shape, 1) => Self::Leaf,
            _ => return None,
        })
    }
}

/// That a file has not more messages than a network can have.
pub(super) fn check(bytes: &[u8]) -> Result<(), ConvertError> {
    let mut left = MAX_MESSAGES;
    count(bytes, Kind::Model, &mut left)
        .ok_or_else(|| super::malformed(format!("it is torn, or has more than {MAX_MESSAGES} parts")))
}

/// Takes the messages inside of one away from `left`; `None` where it is torn or there are too many. As deep as
/// [`Kind`] is.
fn count(mut bytes: &[u8], kind: Kind, left: &mut usize) -> Option<()> {
    if matches!(kind, Kind::Leaf) {
        return Some(());
    }
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            1 => bytes = bytes.get(8..)?,
            5 => bytes = bytes.get(4..)?,
            2 => {
                let len = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inside, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                if let Some(kind) = kind.field(key >> 3) {
                    *left = left.checked_sub(1)?;
                    count(inside, kind, left)?;
                }
            }
            // Groups, which ONNX has none of.
            _ => return None,
        }
    }
    Some(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_empty_messages_are_refused() {
        // Fields 7, 1: a graph of empty nodes.
        let nodes = |n: usize| {
            let len = 2 * n as u32;
            let mut bytes = vec![0x3a];
            for shift in [0, 7, 14, 21] {
                bytes.push((len >> shift & 0x7f) as u8 | if shift < 21 { 0x80 } else { 0 });
            }
            bytes.extend([0x0a, 0].repeat(n));
            bytes
        };
        assert!(check(&nodes(1000)).is_ok());
        assert!(check(&nodes(MAX_MESSAGES)).is_err());
    }

    #[test]
    fn torn_files_are_refused() {
        for torn in [&[0x3a][..], &[0x3a, 2, 0], &[0x3b], &[0x09, 1, 2], &[0xff; 11]] {
            assert!(check(torn).is_err());
        }
    }
}
