//! The zip of the Keras v3 format: `config.json` and `model.weights.h5`.

use std::io::{Cursor, Read};

use crate::ConvertError;

/// How many times the archive's size its files may take unpacked; Keras stores them unpacked.
const EXPANSION: usize = 32;

/// What a `.keras` file holds.
pub(super) struct Contents {
    /// The architecture, JSON.
    pub(super) config: String,
    /// The weights, HDF5.
    pub(super) weights: Vec<u8>,
}

/// Unpacks a `.keras` file.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, ConvertError> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| corrupt(e.to_string()))?;
    let mut room = bytes.len().saturating_mul(EXPANSION);
    let mut unpack = |name: &str| -> Result<Vec<u8>, ConvertError> {
        let file = archive.by_name(name).map_err(|e| corrupt(format!("{name}: {e}")))?;
        let mut contents = Vec::new();
        let limit = u64::try_from(room).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut contents).map_err(|e| corrupt(format!("{name}: {e}")))?;
        let left = room.checked_sub(contents.len());
        room = left.ok_or_else(|| corrupt(format!("{name} takes more than {EXPANSION} times the archive's size")))?;
        Ok(contents)
    };
    let config = String::from_utf8(unpack("config.json")?).map_err(|_| corrupt("config.json is not UTF-8".into()))?;
    let weights = unpack("model.weights.h5")?;
    Ok(Contents { config, weights })
}

fn corrupt(what: String) -> ConvertError {
    ConvertError::Malformed { format: "Keras", what }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, contents) in files {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(contents).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn both_files_are_unpacked() {
        let contents = read(&archive(&[("config.json", b"{}"), ("model.weights.h5", b"weights")])).unwrap();
        assert_eq!((contents.config.as_str(), contents.weights.as_slice()), ("{}", &b"weights"[..]));
        let error = |files: &[(&str, &[u8])]| read(&archive(files)).err().unwrap().to_string();
        assert!(error(&[("config.json", b"{}")]).contains("model.weights.h5"));
        assert!(error(&[("config.json", b"\xff"), ("model.weights.h5", b"")]).contains("UTF-8"));
    }

    #[test]
    fn an_archive_that_unpacks_to_far_more_is_refused() {
        let bomb = archive(&[("config.json", b"{}"), ("model.weights.h5", &vec![0; 4 << 20])]);
        assert!(bomb.len() < 64 << 10, "the archive has {} bytes", bomb.len());
        assert!(read(&bomb).err().unwrap().to_string().contains("32 times"));
    }
}
