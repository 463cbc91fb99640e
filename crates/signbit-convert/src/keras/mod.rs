//! Larq and Keras files: `.h5` and `.keras`.
