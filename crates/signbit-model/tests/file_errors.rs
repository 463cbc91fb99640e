//! One test per way in which a file can be wrong.

mod common;

use common::parts::{Parts, parts, with_header};
use common::{every_operator, small};
use serde_json::{Value, json};
use signbit_model::file::{self, from_bytes, from_bytes_unverified, load, save, to_bytes};
use signbit_model::{FileError, ModelError, TensorError};

/// A change of the graph's JSON.
type Edit = fn(&mut Value);

fn file_error(bytes: &[u8]) -> FileError {
    match from_bytes_unverified(bytes) {
        Err(ModelError::File(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// The error of the small model's file after `edit`.
fn edited(edit: impl FnOnce(&mut Parts)) -> FileError {
    let mut parts = parts(&small());
    edit(&mut parts);
    file_error(&parts.bytes())
}

#[test]
fn io() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none/model.signbit");
    let is_io = |result: Result<(), ModelError>| matches!(&result, Err(e @ ModelError::File(FileError::Io { .. })) if e.to_string().contains("none"));
    assert!(is_io(load(&missing).map(|_| ())));
    assert!(is_io(save(&small(), &missing)));
    assert!(matches!(save(&small(), "/"), Err(ModelError::File(FileError::Io { .. }))));
}

#[test]
fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), ".".as_ref(), "..".as_ref()] {
        let error = save(&small(), path).unwrap_err();
        assert!(error.to_string().ends_with(": is a folder"), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no temporary file stays");
}

/// A device without end gives an error, not a full memory.
#[cfg(unix)]
#[test]
fn a_device() {
    let error = load("/dev/zero").unwrap_err();
    assert!(matches!(error, ModelError::File(FileError::Header(_))), "{error}");
}

#[test]
fn truncated() {
    assert!(matches!(file_error(&[]), FileError::Truncated { expected: 8, found: 0 }));
    let mut bytes = 100_u64.to_le_bytes().to_vec();
    bytes.extend_from_slice(b"{}");
    assert!(matches!(file_error(&bytes), FileError::Truncated { expected: 108, found: 10 }));
}

#[test]
fn header_too_large() {
    for length in [file::MAX_HEADER as u64 + 1, u64::MAX] {
        let error = file_error(&length.to_le_bytes());
        assert!(matches!(error, FileError::HeaderTooLarge { found, .. } if found == length), "{error:?}");
    }
    let mut model = small();
    model.notes.insert("long".into(), "x".repeat(file::MAX_HEADER));
    let error = to_bytes(&model).unwrap_err();
    assert!(matches!(error, ModelError::File(FileError::HeaderTooLarge { .. })), "{error:?}");
}

#[test]
fn header_that_is_not_of_safetensors() {
    let headers = [
        "",
        "[]",
        "{",
        "{}}",
        r#"{"__metadata__":7}"#,
        r#"{"t":{"dtype":"F32","shape":[1]}}"#,
        r#"{"t":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"t":{"dtype":"F32","shape":[],"data_offsets":[0,4],"more":1}}"#,
        r#"{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        r#"{"__metadata__":{},"__metadata__":{}}"#,
        "\u{fffd}",
    ];
    let wrong: Vec<_> =
        headers.iter().filter(|h| !matches!(file_error(&with_header(h, &[])), FileError::Header(_))).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(matches!(file_error(&[1, 0, 0, 0, 0, 0, 0, 0, 0xFF]), FileError::Header(_)));
    let deep = "[".repeat(100_000);
    assert!(matches!(file_error(&with_header(&deep, &[])), FileError::Header(_)));
}

#[test]
fn not_signbit() {
    for header in ["{}", r#"{"__metadata__":{"format":"pt"}}"#] {
        assert!(matches!(file_error(&with_header(header, &[])), FileError::NotSignbit), "{header}");
    }
}

#[test]
fn version() {
    for format in ["2", "0", "", "1.0", " 1"] {
        let error = edited(|parts| parts.format = format);
        let text = error.to_string();
        assert!(matches!(error, FileError::Version { .. }), "{format}: {text}");
        assert!(text.contains(&format!("`{format}`")) && text.contains("`1`"), "{text}");
    }
}

#[test]
fn metadata() {
    let parts = parts(&small());
    let rows = [
        r#"{"signbit_format":"1","signbit_crc32":"00000000","signbit_model":""}"#,
        r#"{"signbit_crc32":"00000000","signbit_format":"1"}"#,
        r#"{"signbit_crc32":"00000000","signbit_format":"1","other":""}"#,
        r#"{"signbit_crc32":"00000000","signbit_format":"1","signbit_model":"","other":""}"#,
        r#"{ "signbit_crc32":"00000000","signbit_format":"1","signbit_model":""}"#,
        r#"{"signbit_format":"1"}"#,
    ];
    let wrong: Vec<_> =
        rows.iter().filter(|row| !matches!(file_error(&parts.bytes_with(row)), FileError::Metadata)).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn checksum() {
    let mut bytes = to_bytes(&small()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let Err(ModelError::File(FileError::Checksum { stored, computed })) = from_bytes(&bytes) else {
        panic!("the damage was not found")
    };
    assert_ne!(stored, computed);
    let bytes = parts(&small()).bytes();
    let error = from_bytes(&bytes).unwrap_err();
    assert!(
        matches!(&error, ModelError::File(FileError::Checksum { stored, .. }) if stored == "00000000"),
        "{error:?}"
    );
    assert!(from_bytes_unverified(&bytes).is_ok());
}

#[test]
fn a_second_checksum_does_not_replace_the_one_in_its_place() {
    let parts = parts(&small());
    let model = Value::String(parts.model.to_string());
    let digits = |first: &str, second: &str| {
        let metadata = format!(
            r#"{{"signbit_crc32":"{first}","signbit_crc32":"{second}","signbit_format":"1","signbit_model":{model}}}"#
        );
        parts.bytes_with(&metadata)
    };
    let Err(ModelError::File(FileError::Checksum { computed, .. })) = from_bytes(&digits("00000000", "x")) else {
        panic!("a checksum of x was accepted")
    };
    for bytes in [digits("00000000", &computed), digits(&computed, "00000000")] {
        let result = from_bytes(&bytes);
        assert!(matches!(result, Err(ModelError::File(FileError::Checksum { .. }))), "{result:?}");
    }
}

#[test]
fn tensor_dtype() {
    for dtype in ["F64", "BF16", "U64", "f32", ""] {
        let error = edited(|parts| parts.entries["t"]["dtype"] = json!(dtype));
        assert!(
            matches!(&error, FileError::TensorDType { tensor, dtype: d } if tensor == "t" && d == dtype),
            "{error:?}"
        );
    }
}

#[test]
fn offsets() {
    let max = usize::MAX;
    let rows = [
        ("begins late", json!([1, 8]), json!([2])),
        ("too short", json!([0, 7]), json!([2])),
        ("backwards", json!([8, 0]), json!([2])),
        ("another shape", json!([0, 8]), json!([3])),
        ("overflow", json!([0, 8]), json!([max, max])),
        ("overflow of bytes", json!([0, 8]), json!([max])),
        ("zero", json!([0, 0]), json!([0])),
    ];
    let mut failed = Vec::new();
    for (what, offsets, shape) in rows {
        let error = edited(|parts| {
            // The first tensor of the file.
            parts.entries["a"]["data_offsets"] = offsets;
            parts.entries["a"]["shape"] = shape;
        });
        if !matches!(&error, FileError::Offsets { .. }) {
            failed.push((what, error));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn overlapping_tensors() {
    let error = edited(|parts| parts.entries["m"] = parts.entries["a"].clone());
    assert!(matches!(error, FileError::Offsets { .. }), "{error:?}");
}

#[test]
fn body_length() {
    let error = edited(|parts| parts.body.push(0));
    assert!(matches!(error, FileError::BodyLength { expected, found } if found == expected + 1), "{error:?}");
    let mut whole = 0;
    let error = edited(|parts| {
        whole = parts.body.len();
        parts.body.truncate(3);
    });
    assert!(matches!(error, FileError::BodyLength { expected, found: 3 } if expected == whole), "{error:?}");
    // Offsets of two exabytes each, whose sum overflows 64 bits, claim nothing of the memory.
    let error = edited(|parts| {
        parts.entries.clear();
        let size = (1_usize << 61) - 1;
        for i in 0..8 {
            let entry = json!({"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]});
            parts.entries.insert(format!("t{i}"), entry);
        }
    });
    assert!(matches!(error, FileError::BodyLength { .. }), "{error:?}");
}

#[test]
fn bit_shape() {
    let rows: [(&str, &str, Value); 6] = [
        ("a packed tensor without a shape", "w", Value::Null),
        ("too few bits", "w", json!([1, 3])),
        ("too many bits", "w", json!([2, 9])),
        ("a shape for a real tensor", "m", json!([2])),
        ("a shape for no tensor", "none", json!([2, 3])),
        ("a shape for an integer tensor", "t", json!([2, 3])),
    ];
    let mut failed = Vec::new();
    for (what, name, shape) in rows {
        let error = edited(|parts| {
            let bits = parts.model["bits"].as_object_mut().unwrap();
            bits.remove(name);
            if !shape.is_null() {
                bits.insert(name.into(), shape);
            }
        });
        if !matches!(&error, FileError::BitShape { tensor } if tensor == name) {
            failed.push((what, error));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn bit_shape_that_is_none() {
    for shape in [json!([]), json!([0, 3]), json!([usize::MAX, 2])] {
        let mut parts = parts(&small());
        parts.model["bits"]["w"] = shape;
        let error = from_bytes_unverified(&parts.bytes()).unwrap_err();
        assert!(matches!(error, ModelError::Tensor { source: TensorError::Shape { .. }, .. }), "{error:?}");
    }
}

#[test]
fn tail_bits() {
    let mut parts = parts(&small());
    let [begin, _] = <[usize; 2]>::try_from(offsets_of(&parts, "w")).unwrap();
    parts.body[begin + 1] |= 0b1000;
    let error = from_bytes_unverified(&parts.bytes()).unwrap_err();
    assert!(
        matches!(&error, ModelError::Tensor { tensor, source: TensorError::TailBits { row: 1 } } if tensor == "w"),
        "{error:?}"
    );
}

fn offsets_of(parts: &Parts, name: &str) -> Vec<usize> {
    serde_json::from_value(parts.entries[name]["data_offsets"].clone()).unwrap()
}

#[test]
fn graph_json() {
    let mut failed = Vec::new();
    let rows: [(&str, Edit); 12] = [
        ("not an object", |m| *m = json!(7)),
        ("no graph", |m| *m = json!({})),
        ("an unknown field", |m| m["more"] = json!(1)),
        ("an unknown field of a node", |m| m["graph"]["nodes"][0]["more"] = json!(1)),
        ("an unknown field of an operator", |m| m["graph"]["nodes"][1]["op"]["more"] = json!(1)),
        ("an unknown operator", |m| m["graph"]["nodes"][0]["op"]["op"] = json!("lstm")),
        ("a pad without a value", |m| m["graph"]["nodes"][0]["op"] = json!({"op": "pad", "pads": [0, 0, 0, 0]})),
        ("a pad on three sides", |m| {
            m["graph"]["nodes"][0]["op"] = json!({"op": "pad", "pads": [0, 0, 0], "value": 1})
        }),
        ("a slice from below 0", |m| m["graph"]["nodes"][0]["op"] = json!({"op": "slice", "start": -1, "end": 1})),
        ("a negative value", |m| m["graph"]["nodes"][0]["inputs"] = json!([-1])),
        ("a value beyond 32 bits", |m| m["graph"]["output"] = json!(1_u64 << 32)),
        ("a string for a number", |m| m["graph"]["input"]["shape"]["c"] = json!("3")),
    ];
    for (what, edit) in rows {
        let error = edited(|parts| edit(&mut parts.model));
        if !matches!(error, FileError::Graph(_)) {
            failed.push((what, error));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn not_canonical() {
    let rows: [(&str, Edit); 3] = [
        ("an unknown field of an operator without fields", |m| m["graph"]["nodes"][0]["op"]["more"] = json!(1)),
        ("a field that is null", |m| m["preprocessing"] = Value::Null),
        ("a bias that is null", |m| m["graph"]["nodes"][4]["op"]["bias"] = Value::Null),
    ];
    let mut failed = Vec::new();
    for (what, edit) in rows {
        let error = edited(|parts| edit(&mut parts.model));
        if !matches!(error, FileError::NotCanonical) {
            failed.push((what, error));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_graph_that_does_not_validate_is_not_read() {
    let mut parts = parts(&small());
    parts.model["graph"]["nodes"][0]["inputs"] = json!([0, 0]);
    let error = from_bytes_unverified(&parts.bytes()).unwrap_err();
    assert!(matches!(&error, ModelError::Node { node, .. } if node == "sign"), "{error:?}");
}

/// Files of before the defaults were left out.
#[test]
fn defaults_that_are_written_are_read() {
    let model = every_operator();
    let mut parts = parts(&model);
    let mut added = 0;
    for node in parts.model["graph"]["nodes"].as_array_mut().unwrap() {
        let op = node["op"].as_object_mut().unwrap();
        if op["op"] == "conv2d" || op["op"] == "binary_conv2d" {
            op.entry("groups").or_insert_with(|| json!(1));
        }
        if let Some(geometry) = op.get_mut("geometry").and_then(Value::as_object_mut) {
            for (field, default) in
                [("stride", json!([1, 1])), ("dilation", json!([1, 1])), ("pads", json!([0, 0, 0, 0]))]
            {
                geometry.entry(field).or_insert_with(|| {
                    added += 1;
                    default
                });
            }
        }
    }
    assert!(added > 0, "the model has windows with defaults");
    assert_eq!(from_bytes_unverified(&parts.bytes()).unwrap(), model);
}
