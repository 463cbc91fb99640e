//! Networks out again: ONNX and Larq Compute Engine's `.tflite`.
