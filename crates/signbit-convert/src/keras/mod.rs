//! Larq and Keras files: `.h5`, `.keras`, and files of weights only with an architecture beside them.
//!
//! | file | architecture | weights |
//! |---|---|---|
//! | `model.save("x.h5")` | attribute `model_config` | `model_weights/LAYER/NAME` |
//! | `model.save("x.keras")` | `config.json` in the zip | `layers/CLASS_N/vars/I` in `model.weights.h5` |
//! | `model.save_weights(...)` | given: `model.to_json()` | either of the two |
//!
//! Files of Keras 2 with Larq's layers and quantizers; `channels_last`; one input and one output. Kernels are
//! quantized here as Larq does when it runs: sign(0) is +1 in both.

mod archive;
mod build;
mod config;
mod hdf5;
mod layers;
mod network;
mod quantizer;
mod weights;

use serde_json::Value;

use crate::{ConvertError, Imported};

/// Reads a Larq or Keras network from the bytes of its file.
///
/// `architecture` is the JSON of `model.to_json()`. A file of weights only needs it; of another file it takes the
/// place of the architecture inside.
///
/// # Errors
/// A broken file, a file of weights without architecture, a layer or option that the graph cannot express, and a
/// weight that is missing or of the wrong shape.
pub fn read(bytes: &[u8], architecture: Option<&str>) -> Result<Imported, ConvertError> {
    let (inside, weights) = if bytes.starts_with(b"PK\x03\x04") {
        let contents = archive::read(bytes)?;
        (Some(contents.config), hdf5::File::open(contents.weights)?)
    } else {
        let mut file = hdf5::File::open(bytes.to_vec())?;
        (file.text(&[], "model_config")?, file)
    };
    let json = match (architecture, &inside) {
        (Some(json), _) => parse(json).map_err(|e| ConvertError::Architecture(format!("the architecture is {e}")))?,
        (None, Some(json)) => parse(json)
            .map_err(|what| ConvertError::Malformed { format: "Keras", what: format!("its model is {what}") })?,
        (None, None) => {
            let what = "the file holds weights only: give the architecture too, --architecture model.json with what \
                        model.to_json() returns";
            return Err(ConvertError::Architecture(what.to_owned()));
        }
    };
    build::build(&json, weights::Weights::new(weights)?)
}

fn parse(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|e| format!("not JSON: {e}"))
}
