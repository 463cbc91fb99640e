//! Files by their kind: which reader or writer a path asks for.

use std::path::Path;

use signbit_model::{Model, Shape};
use signbit_train::recipe::Recipe;

use crate::architecture::Architecture;
use crate::{ConvertError, Imported, export, keras, onnx, passes, pynq, tflite, torch};

/// The largest file that is read: what a graph may hold at most is smaller.
pub const MAX_BYTES: u64 = 4 << 30;

/// A network from another system, made binary where its weights are, and where it comes from.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The network, behind all [`passes`].
    pub imported: Imported,
    /// The system and kind of file.
    pub system: &'static str,
    /// Bytes of the file, or of all files of the folder.
    pub bytes: u64,
}

/// Reads a network by its path: the ending says the kind, a folder is BNN-PYNQ's. `architecture` goes with files that
/// hold weights only: Keras' JSON for `.h5`; an architecture in TOML or a recipe of signbit for `.safetensors`, for which
/// `shape` is that of the input where the weights do not tell it.
///
/// Every reader's memory is bounded by a small multiple of the file's length.
///
/// # Errors
/// The file cannot be read, its kind is not known, or what its reader says.
pub fn open(path: &Path, architecture: Option<&Path>, shape: Option<Shape>) -> Result<Opened, ConvertError> {
    let ending = ending(path);
    let (system, imported, bytes) = if path.is_dir() {
        refuse_architecture(architecture, "a BNN-PYNQ folder")?;
        ("BNN-PYNQ parameters", pynq::read_folder(path)?, folder_bytes(path)?)
    } else {
        let bytes = read(path)?;
        let (system, imported) = by_ending(path, &ending, &bytes, architecture, shape)?;
        (system, imported, bytes.len() as u64)
    };
    Ok(Opened { imported: passes::simplify(imported)?, system, bytes })
}

fn by_ending(
    path: &Path,
    ending: &str,
    bytes: &[u8],
    architecture: Option<&Path>,
    shape: Option<Shape>,
) -> Result<(&'static str, Imported), ConvertError> {
    Ok(match ending {
        "tflite" => {
            refuse_architecture(architecture, "a .tflite file")?;
            ("TensorFlow Lite", tflite::read(bytes)?)
        }
        "onnx" => {
            refuse_architecture(architecture, "an .onnx file")?;
            ("ONNX", onnx::read(bytes)?)
        }
        "npz" => {
            refuse_architecture(architecture, "a BNN-PYNQ .npz file")?;
            ("BNN-PYNQ parameters", pynq::read_npz(bytes)?)
        }
        "h5" | "hdf5" | "keras" => {
            let json = architecture.map(read_text).transpose()?;
            ("Keras", keras::read(bytes, json.as_deref())?)
        }
        // Pickled files are refused by what is in them.
        "safetensors" | "pt" | "pth" | "bin" | "ckpt" => {
            ("PyTorch state dict", state_dict(bytes, architecture, shape)?)
        }
        _ => return Err(ConvertError::Kind { path: path.to_owned(), what: KINDS.to_owned() }),
    })
}

const KINDS: &str = "its ending says no kind of network; give .tflite, .h5, .keras, .onnx, .safetensors, .npz or a \
                     BNN-PYNQ folder";

fn state_dict(bytes: &[u8], architecture: Option<&Path>, shape: Option<Shape>) -> Result<Imported, ConvertError> {
    let Some(path) = architecture else {
        return torch::read(bytes, None);
    };
    let text = read_text(path)?;
    let wrong = |error: String| ConvertError::Architecture(format!("{}: {error}", path.display()));
    if is_recipe(&text) {
        let recipe = Recipe::from_toml(&text).map_err(|error| wrong(error.to_string()))?;
        return torch::read_with_recipe(bytes, &recipe, shape);
    }
    let architecture = Architecture::from_toml(&text).map_err(|error| wrong(error.to_string()))?;
    torch::read(bytes, Some(&architecture))
}

/// A recipe names its network, an architecture lists its layers.
fn is_recipe(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().strip_prefix("network").is_some_and(|rest| rest.trim_start().starts_with('=')))
}

fn refuse_architecture(architecture: Option<&Path>, what: &str) -> Result<(), ConvertError> {
    match architecture {
        None => Ok(()),
        Some(path) => Err(ConvertError::Architecture(format!(
            "{}: {what} holds its own architecture; leave this out",
            path.display()
        ))),
    }
}

/// A format to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `.signbit`, the one to run.
    Signbit,
    /// `.onnx`, standard operators only.
    Onnx,
    /// `.tflite` for Larq Compute Engine.
    TfLite,
}

impl Target {
    /// The format that a path asks for by its ending.
    ///
    /// # Errors
    /// [`ConvertError::Kind`].
    pub fn of(path: &Path) -> Result<Self, ConvertError> {
        match ending(path).as_str() {
            "signbit" => Ok(Self::Signbit),
            "onnx" => Ok(Self::Onnx),
            "tflite" => Ok(Self::TfLite),
            _ => {
                let what = "its ending says no format to write; give .signbit, .onnx or .tflite".to_owned();
                Err(ConvertError::Kind { path: path.to_owned(), what })
            }
        }
    }

    /// The network in this format.
    ///
    /// # Errors
    /// The format cannot express it.
    pub fn to_bytes(self, model: &Model) -> Result<Vec<u8>, ConvertError> {
        match self {
            Self::Signbit => Ok(signbit_model::file::to_bytes(model)?),
            Self::Onnx => export::onnx::to_bytes(model),
            Self::TfLite => export::tflite::to_bytes(model),
        }
    }
}

fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> ConvertError {
    let path = path.to_owned();
    move |source| ConvertError::Io { path, source }
}

fn read(path: &Path) -> Result<Vec<u8>, ConvertError> {
    let length = std::fs::metadata(path).map_err(io(path))?.len();
    if length > MAX_BYTES {
        let what = format!("the file has {length} bytes, at most {MAX_BYTES} are read");
        return Err(ConvertError::Kind { path: path.to_owned(), what });
    }
    std::fs::read(path).map_err(io(path))
}

fn read_text(path: &Path) -> Result<String, ConvertError> {
    let not_text = |_| ConvertError::Architecture(format!("{}: not a text file", path.display()));
    String::from_utf8(read(path)?).map_err(not_text)
}

fn folder_bytes(path: &Path) -> Result<u64, ConvertError> {
    let entries = std::fs::read_dir(path).map_err(io(path))?;
    Ok(entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(|m| m.is_file()).map(|m| m.len()).sum())
}
