//! A file taken apart and put together again differently.

use serde_json::{Map, Value};
use signbit_model::Model;
use signbit_model::file::to_bytes;

/// A file taken apart, to be put together again differently.
pub(crate) struct Parts {
    pub(crate) model: Value,
    pub(crate) entries: Map<String, Value>,
    pub(crate) body: Vec<u8>,
    pub(crate) format: &'static str,
}

pub(crate) fn parts(model: &Model) -> Parts {
    let bytes = to_bytes(model).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut entries: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let metadata = entries.remove("__metadata__").unwrap();
    let model = serde_json::from_str(metadata["signbit_model"].as_str().unwrap()).unwrap();
    Parts { model, entries, body: bytes[8 + length..].to_vec(), format: "1" }
}

impl Parts {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let model = Value::String(self.model.to_string());
        let metadata =
            format!(r#"{{"signbit_crc32":"00000000","signbit_format":"{}","signbit_model":{model}}}"#, self.format);
        self.bytes_with(&metadata)
    }

    pub(crate) fn bytes_with(&self, metadata: &str) -> Vec<u8> {
        let entries: String = self.entries.iter().map(|(k, v)| format!(",{}:{v}", Value::String(k.clone()))).collect();
        with_header(&format!(r#"{{"__metadata__":{metadata}{entries}}}"#), &self.body)
    }
}

pub(crate) fn with_header(header: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}
