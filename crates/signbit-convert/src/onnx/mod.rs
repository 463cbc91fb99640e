//! ONNX and QONNX files.

pub(crate) mod proto;
