//! The shape of a binary layer as a word of the command line.

use std::fmt;
use std::str::FromStr;

use signbit::Isa;
use signbit_kernels::{Conv, bits, weights};

/// What a shape looks like; every message about a wrong one ends so.
const RIGHT: &str = "write HEIGHTxWIDTHxCHANNELS,KERNEL,OUTPUTS as in 28x28x128,3,128 or, for a dense layer, \
                     INPUTS,OUTPUTS as in 1024,1024; then, where wanted, groups=G, stride=S, batch=N as in \
                     28x28x128,3,128,groups=128";

/// The shapes that are measured where none is given: the layers of a ResNet-18, pointwise and dense ones, channels
/// that fill no word, a channel at a time.
pub(super) const DEFAULT: [&str; 12] = [
    "56x56x64,3,64",
    "28x28x128,3,128",
    "14x14x256,3,256",
    "7x7x512,3,512",
    "56x56x64,3,128,stride=2",
    "28x28x256,1,256",
    "1024,1024",
    "1024,1024,batch=64",
    "4096,4096",
    "28x28x100,3,100",
    "13x13x67,3,35",
    "28x28x128,3,128,groups=128",
];

/// The largest size, and what a call may take: some seconds, and memory that is there.
const MAX_SIZE: usize = 65_536;
const MAX_MACS: u64 = 100_000_000_000;
const MAX_WORDS: usize = (1 << 30) / size_of::<u64>();

/// A binary layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    text: String,
    pub(super) conv: Conv,
}

impl Shape {
    pub(super) fn macs(&self) -> u64 {
        let conv = &self.conv;
        let factors = [conv.rows(), conv.out_w(), conv.c_out, conv.k()];
        factors.into_iter().fold(1, |product: u64, factor| product.saturating_mul(factor as u64))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("{what}; {RIGHT}");
        let (mut sizes, mut options) = (Vec::new(), Vec::new());
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((key, value)) => options.push((key.trim(), size(value.trim()).map_err(wrong)?)),
                None => sizes.push(part.split(['x', 'X']).map(size).collect::<Result<Vec<_>, _>>().map_err(wrong)?),
            }
        }
        let sizes: Vec<_> = sizes.iter().map(Vec::as_slice).collect();
        let mut conv = match sizes[..] {
            [&[c_in], &[c_out]] => Conv::dense(1, c_in, c_out),
            [&[h, w, c_in], kernel @ (&[_] | &[_, _]), &[c_out]] => {
                let kernel = [kernel[0], kernel[kernel.len() - 1]];
                // As large an output as the input, at stride 1.
                let pads = [(kernel[0] - 1) / 2, (kernel[1] - 1) / 2, kernel[0] / 2, kernel[1] / 2];
                Conv { pads, ..Conv::new([1, h, w, c_in], c_out, kernel) }
            }
            _ => return Err(wrong("this is neither a convolution nor a dense layer".to_owned())),
        };
        for (key, value) in options {
            match key {
                "groups" => conv.groups = value,
                "stride" => conv.stride = [value; 2],
                "batch" => conv.n = value,
                _ => return Err(wrong(format!("there is no {key:?}"))),
            }
        }
        conv.validate().map_err(|error| wrong(error.to_string()))?;
        let shape = Self { text: text.to_owned(), conv };
        if shape.macs() > MAX_MACS || words(&conv) > MAX_WORDS {
            return Err("one call takes more than 100,000,000,000 multiply-accumulates or 1 GiB; give a smaller shape"
                .to_owned());
        }
        Ok(shape)
    }
}

fn size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if (1..=MAX_SIZE).contains(&size) => Ok(size),
        _ => Err(format!("{text:?} is no number from 1 to 65536")),
    }
}

/// Words of memory that a measurement takes at most.
fn words(conv: &Conv) -> usize {
    let packed = Isa::all().map(|isa| weights::packed_len(isa, conv)).max().unwrap_or(0);
    let rows = conv.c_out.saturating_mul(bits::words(conv.k()));
    let acts = conv.n.saturating_mul(conv.h * conv.w).saturating_mul(bits::words(conv.c_in));
    let out = conv.rows().saturating_mul(conv.out_w()).saturating_mul(bits::words(conv.c_out));
    [packed, rows, acts, out].into_iter().fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read() {
        let same = |conv: Conv| Conv { pads: [1; 4], ..conv };
        let cases = [
            ("56x56x64,3,64", same(Conv::new([1, 56, 56, 64], 64, [3, 3]))),
            ("56x57x64,3x3,32", same(Conv::new([1, 56, 57, 64], 32, [3, 3]))),
            ("8X8X64, 1, 5", Conv::new([1, 8, 8, 64], 5, [1, 1])),
            ("8x8x64,2,5", Conv { pads: [0, 0, 1, 1], ..Conv::new([1, 8, 8, 64], 5, [2, 2]) }),
            ("8x8x64,3,64,stride=2", Conv { stride: [2, 2], ..same(Conv::new([1, 8, 8, 64], 64, [3, 3])) }),
            ("8x8x64,3,64,groups=64", Conv { groups: 64, ..same(Conv::new([1, 8, 8, 64], 64, [3, 3])) }),
            ("1024,10", Conv::dense(1, 1024, 10)),
            ("1024,10,batch=64", Conv::dense(64, 1024, 10)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Shape>().unwrap().conv, expected, "{text}");
        }
        assert_eq!("8x8x64,3,64".parse::<Shape>().unwrap().macs(), 64 * 64 * 9 * 64);
    }

    #[test]
    fn wrong_shapes_are_told_what_is_right() {
        let cases = [
            ("", "\"\" is no number"),
            ("56x56", "neither"),
            ("56x56x64", "neither"),
            ("56x56,3,64", "neither"),
            ("56x56x64,3x3x3,64", "neither"),
            ("56x56x64,3,64,2", "neither"),
            ("0x56x64,3,64", "\"0\" is no number"),
            ("56x56x64,3,-1", "\"-1\" is no number"),
            ("99999999999999999999,1", "is no number from 1 to 65536"),
            ("56x56x64,3,64,groups=3", "the groups do not divide the channels"),
            ("56x56x64,3,64,dilate=2", "there is no \"dilate\""),
            ("56x56x64,3,64,stride=0", "\"0\" is no number"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Shape>().unwrap_err();
            assert!(error.contains(expected) && error.contains("28x28x128,3,128"), "{text}: {error}");
        }
        for text in ["65536x65536x65536,3,65536", "65536,65536,batch=65536", "65536x65536x1,1,1", "9000x9000x1,1,1"] {
            let error = text.parse::<Shape>().unwrap_err();
            assert!(error.contains("smaller shape") || error.contains("too large"), "{text}: {error}");
        }
    }

    #[test]
    fn the_default_shapes_are_those_of_the_micro_benchmarks() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../signbit-kernels/benches/kernels/shapes.rs");
        let source = std::fs::read_to_string(source).unwrap();
        for text in DEFAULT {
            assert!(text.parse::<Shape>().is_ok(), "{text}");
            assert!(source.contains(&format!("\"{text}\"")), "{text} is not in the benchmarks");
        }
    }
}
