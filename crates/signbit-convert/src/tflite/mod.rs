//! Larq Compute Engine's `.tflite` files.
