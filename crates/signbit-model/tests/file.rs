//! The file: round trips, its exact bytes, and damage.

mod common;

use common::parts::parts;
use common::{every_operator, small};
use signbit_model::file::{self, from_bytes, from_bytes_unverified, load, save, to_bytes};
use signbit_model::{ModelBuilder, ModelError, Op, Shape, Tensor};

#[test]
fn round_trips_give_the_same_model_and_the_same_bytes() {
    for model in [small(), every_operator()] {
        let bytes = to_bytes(&model).unwrap();
        let read = from_bytes(&bytes).unwrap();
        assert_eq!(read, model);
        assert_eq!(to_bytes(&read).unwrap(), bytes);
        assert_eq!(from_bytes_unverified(&parts(&model).bytes()).unwrap(), model);
    }
}

#[test]
fn every_real_number_survives() {
    let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1e-45, f32::MAX, f32::MIN_POSITIVE];
    let patterns = (0..2000_u32).map(|i| f32::from_bits(i.wrapping_mul(0x9E37_79B9)));
    let data: Vec<f32> = special.into_iter().chain(patterns).collect();
    let mut b = ModelBuilder::new(Shape::vector(data.len()));
    b.tensor("s", Tensor::f32([data.len()], data.clone()).unwrap());
    let mut last = b.node("prelu", Op::PRelu { slope: "s".into() }, &[b.input()]);
    let finite: Vec<f32> = data.iter().copied().filter(|v| v.is_finite()).collect();
    for (i, &v) in finite.iter().enumerate() {
        last = b.node(format!("clip{i}"), Op::Clip { min: v, max: v }, &[last]);
    }
    let read = from_bytes(&to_bytes(&b.finish(last).unwrap()).unwrap()).unwrap();
    let bits = |data: &[f32]| data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(read.tensors["s"].as_f32().unwrap()), bits(&data));
    let bounds = read.graph.nodes.iter().filter_map(|node| match node.op {
        Op::Clip { min, .. } => Some(min),
        _ => None,
    });
    assert_eq!(bits(&bounds.collect::<Vec<_>>()), bits(&finite));
}

#[test]
fn the_safetensors_crate_reads_the_file() {
    let model = every_operator();
    let bytes = to_bytes(&model).unwrap();
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), model.tensors.len());
    let weight = read.tensor("bin").unwrap();
    assert_eq!((weight.dtype(), weight.shape()), (safetensors::Dtype::U8, &[67, 603_usize.div_ceil(8)][..]));
    let words = model.tensors["bin"].as_rows().unwrap();
    assert_eq!(weight.data()[..8], words[0].to_le_bytes());
    assert_eq!(weight.data()[75], (words[9] >> 24) as u8, "the last byte of row 0");
    assert_eq!(weight.data()[76..84], words[10].to_le_bytes(), "row 1 begins at the next byte");
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["signbit_format"], file::FORMAT_VERSION);
    assert_eq!(metadata.len(), 3);
}

/// The format is a promise: these bytes must be read, and written, by every later version of this crate.
#[test]
fn the_bytes_of_version_1() {
    let mut b = ModelBuilder::new(Shape::vector(10));
    b.tensor("w", Tensor::bits_from_signs([2, 10], &[1, -1, 1, 1, -1, -1, -1, -1, -1, 1].repeat(2)).unwrap());
    b.tensor("m", Tensor::f32([2], vec![1.0, -2.0]).unwrap());
    let s = b.node("s", Op::Sign, &[b.input()]);
    let d = b.node("d", Op::BinaryDense { weight: "w".into() }, &[s]);
    let y = b.node("y", Op::MulAdd { mul: "m".into(), add: "m".into() }, &[d]);
    let y = b.node("z", Op::Clip { min: -0.1, max: 6.0 }, &[y]);
    let bytes = to_bytes(&b.finish(y).unwrap()).unwrap();
    let header = concat!(
        r#"{"__metadata__":{"signbit_crc32":"CHECKSUM","signbit_format":"1","signbit_model":"{"#,
        r#"\"graph\":{\"input\":{\"shape\":{\"h\":1,\"w\":1,\"c\":10},\"dtype\":\"f32\"},\"nodes\":["#,
        r#"{\"name\":\"s\",\"op\":{\"op\":\"sign\"},\"inputs\":[0]},"#,
        r#"{\"name\":\"d\",\"op\":{\"op\":\"binary_dense\",\"weight\":\"w\"},\"inputs\":[1]},"#,
        r#"{\"name\":\"y\",\"op\":{\"op\":\"mul_add\",\"mul\":\"m\",\"add\":\"m\"},\"inputs\":[2]},"#,
        r#"{\"name\":\"z\",\"op\":{\"op\":\"clip\",\"min\":-0.10000000149011612,\"max\":6.0},\"inputs\":[3]}"#,
        r#"],\"output\":4},\"bits\":{\"w\":[2,10]},\"classes\":[],\"notes\":{}}"},"#,
        r#""m":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#,
        r#""w":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]}}"#,
    );
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let found = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let digits = &found[34..42];
    assert_eq!(found.trim_end(), header.replace("CHECKSUM", digits));
    assert_eq!(length, header.len().next_multiple_of(8));
    let body = [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0b0000_1101, 0b10, 0b0000_1101, 0b10];
    assert_eq!(bytes[8 + length..], body);
    assert_eq!(digits, "51cb1b90");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = to_bytes(&small()).unwrap();
    let accepted: Vec<usize> = (0..bytes.len())
        .filter(|&end| from_bytes(&bytes[..end]).is_ok() || from_bytes_unverified(&bytes[..end]).is_ok())
        .collect();
    assert!(accepted.is_empty(), "{accepted:?}");
    let longer = [&bytes[..], &[0]].concat();
    assert!(from_bytes(&longer).is_err());
}

#[test]
fn every_flipped_byte_is_an_error() {
    let bytes = to_bytes(&small()).unwrap();
    let mut accepted = Vec::new();
    for at in 0..bytes.len() {
        for flip in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            if from_bytes(&damaged).is_ok() {
                accepted.push((at, flip));
            }
        }
    }
    assert!(accepted.is_empty(), "{accepted:?}");
}

/// Without the checksum's help: whatever a changed byte does, there is no panic, and what is accepted is a
/// whole model that can be written and read.
#[test]
fn what_is_accepted_without_the_checksum_round_trips() {
    let (mut accepted, mut refused) = (0, 0);
    for model in [small(), every_operator()] {
        let bytes = to_bytes(&model).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
        let step = header.div_ceil(1500);
        for at in (0..header.min(bytes.len())).step_by(step).chain(header..(header + 64).min(bytes.len())) {
            for new in [b'0', b'9', b'"', b'}', b' ', bytes[at] ^ 1] {
                let mut damaged = bytes.clone();
                damaged[at] = new;
                let Ok(read) = from_bytes_unverified(&damaged) else {
                    refused += 1;
                    continue;
                };
                accepted += 1;
                let again = to_bytes(&read).unwrap();
                assert_eq!(to_bytes(&from_bytes(&again).unwrap()).unwrap(), again, "byte {at}");
            }
        }
    }
    assert!(accepted > 100 && refused > 1000, "{accepted} {refused}");
}

#[test]
fn save_and_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.signbit");
    save(&small(), &path).unwrap();
    save(&every_operator(), &path).unwrap();
    assert_eq!(load(&path).unwrap(), every_operator());
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["model.signbit"], "no temporary file stays");
}

#[test]
fn save_refuses_a_wrong_model_and_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.signbit");
    save(&small(), &path).unwrap();
    let mut wrong = small();
    wrong.graph.nodes.clear();
    assert!(matches!(save(&wrong, &path), Err(ModelError::Output { .. })));
    assert_eq!(load(&path).unwrap(), small());
}
