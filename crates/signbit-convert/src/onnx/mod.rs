//! ONNX and QONNX files.
