//! The files of a parameter folder: one pair per layer and processing element.
//!
//! A layer of PE processing elements has its row `n` in element `n % PE`, as row `n / PE` there. A row is words of
//! SIMD bits each, least significant first: word `s` holds the columns from `s * SIMD`. Neither number is stored. PE is
//! the number of files; the thresholds of an element count its rows, and SIMD is what the columns then leave per word.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{malformed, networks};
use crate::{ConvertError, Imported};

/// Most bytes of one file; the largest of the published networks has 262,144.
const MAX_FILE: u64 = 16 << 20;
/// Most bytes of all files together.
const MAX_FOLDER: usize = 32 << 20;
/// Most layers, and most processing elements of one.
const MAX_PARTS: usize = 1024;
/// The names of the classes, one a line.
const CLASSES: &str = "classes.txt";

/// Reads a parameter folder of LFC or CNV with one bit per weight and activation; `classes.txt` is optional.
///
/// The model's input is a picture's bytes less 128, as its preprocessing says. LFC gives `i + 1` for each class bit that
/// is set and 0 for the others, so that the largest output is the highest set bit; CNV gives the last layer's popcounts.
///
/// # Errors
/// [`ConvertError::Io`]; [`ConvertError::Malformed`] names the file that is missing or does not fit.
pub fn read_folder(path: &Path) -> Result<Imported, ConvertError> {
    let counts = counts(path)?;
    let mut folder = Folder { path, left: MAX_FOLDER };
    let last = counts.len() - 1;
    let layers = (0..).zip(&counts).map(|(layer, &pes)| {
        // CNV's last layer gives its counts as they are: thresholds that lie there mean nothing.
        let passes = networks::is_cnv(counts.len()) && layer == last;
        folder.layer(layer, pes, !passes)
    });
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    networks::build(&layers, folder.classes()?)
}

/// How many processing elements each layer has.
fn counts(path: &Path) -> Result<Vec<usize>, ConvertError> {
    let io = |source| ConvertError::Io { path: path.into(), source };
    let mut counts: Vec<usize> = Vec::new();
    for entry in path.read_dir().map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let Some((layer, pe)) = name.to_str().and_then(numbers) else { continue };
        if layer >= MAX_PARTS || pe >= MAX_PARTS {
            return Err(malformed(format!("{}: at most {MAX_PARTS} layers of as many parts", name.display())));
        }
        counts.resize(counts.len().max(layer + 1), 0);
        counts[layer] = counts[layer].max(pe + 1);
    }
    match counts.iter().position(|&pes| pes == 0) {
        Some(layer) => Err(malformed(format!("{} is missing", weights(layer, 0)))),
        None if counts.is_empty() => Err(malformed(format!("{} has no {}", path.display(), weights(0, 0)))),
        None => Ok(counts),
    }
}

/// Layer and processing element of a file's name.
fn numbers(name: &str) -> Option<(usize, usize)> {
    let (layer, pe) = name.strip_suffix("-weights.bin").or(name.strip_suffix("-thres.bin"))?.split_once('-')?;
    Some((layer.parse().ok()?, pe.parse().ok()?))
}

fn weights(layer: usize, pe: usize) -> String {
    format!("{layer}-{pe}-weights.bin")
}

/// The words of one layer.
pub(super) struct Layer {
    number: usize,
    /// For each processing element, its words.
    words: Vec<Vec<u64>>,
    /// For each processing element, the thresholds of its rows.
    thresholds: Option<Vec<Vec<i64>>>,
}

/// Rows of signs, and what is compared with their popcounts.
pub(super) struct Matrix {
    /// As many as there are output channels.
    pub(super) rows: usize,
    /// Bits of a row.
    pub(super) columns: usize,
    /// Row after row, +1 or -1.
    pub(super) signs: Vec<i8>,
    /// One for each row.
    pub(super) thresholds: Vec<i64>,
}

impl Layer {
    /// The matrix, of `columns` columns.
    pub(super) fn matrix(&self, columns: usize) -> Result<Matrix, ConvertError> {
        let pes = self.words.len();
        let thresholds = self.thresholds.as_ref();
        // Without thresholds every word is one bit, as the only layer of this kind has it.
        let rows_each = |words: &[u64]| thresholds.map_or(words.len() / columns, |t| t[0].len());
        let rows = rows_each(&self.words[0]);
        let simd = match self.words[0].len().checked_div(rows).filter(|per| rows * per == self.words[0].len()) {
            Some(per) if per > 0 && columns.is_multiple_of(per) && columns / per <= 64 => columns / per,
            _ => {
                let words = self.words[0].len();
                return Err(self.unfit(0, &format!("{words} words are not {rows} rows of {columns} bits")));
            }
        };
        for (pe, words) in self.words.iter().enumerate() {
            if words.len() != self.words[0].len() || thresholds.is_some_and(|t| t[pe].len() != rows) {
                return Err(self.unfit(pe, &format!("another size than {}", weights(self.number, 0))));
            }
            if simd < 64 && words.iter().any(|word| word >> simd != 0) {
                return Err(self.unfit(pe, &format!("a word has more than its {simd} bits")));
            }
        }
        let mut signs = vec![-1_i8; rows * pes * columns];
        for (pe, words) in self.words.iter().enumerate() {
            for (row, words) in words.chunks_exact(columns / simd).enumerate() {
                let bits = words.iter().flat_map(|word| (0..simd).map(move |i| word >> i & 1));
                let row = &mut signs[(row * pes + pe) * columns..][..columns];
                row.iter_mut().zip(bits).for_each(|(sign, bit)| *sign = if bit == 1 { 1 } else { -1 });
            }
        }
        let thresholds = thresholds.map(|t| (0..rows).flat_map(|row| t.iter().map(move |t| t[row])).collect());
        Ok(Matrix { rows: rows * pes, columns, signs, thresholds: thresholds.unwrap_or_default() })
    }

    /// The error that a file of this layer does not fit.
    fn unfit(&self, pe: usize, what: &str) -> ConvertError {
        malformed(format!("{}: {what}", weights(self.number, pe)))
    }
}

impl Matrix {
    /// Leaves the first `columns` of each row. The columns behind are inputs of -1: where the weight is -1 as well
    /// they count one, which the threshold takes in.
    pub(super) fn without_pads(mut self, columns: usize) -> Self {
        let (all, pads) = (self.columns, self.columns - columns);
        for (row, threshold) in self.signs.chunks_exact(all).zip(&mut self.thresholds) {
            let ones = row[all - pads..].iter().filter(|&&sign| sign < 0).count() as i64;
            *threshold = threshold.saturating_sub(ones);
        }
        self.signs = self.signs.chunks_exact(all).flat_map(|row| &row[..columns]).copied().collect();
        self.columns = columns;
        self
    }

    /// Leaves the first `rows` rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        self.signs.truncate(rows * self.columns);
        self.thresholds.truncate(rows);
    }

    /// How many rows there are before the pads at the end, which are all ones; at least one.
    pub(super) fn real_rows(&self) -> usize {
        let real = |row: &[i8]| row.iter().any(|&sign| sign < 0);
        self.signs.chunks_exact(self.columns).rposition(real).map_or(1, |row| row + 1)
    }
}

/// A folder that is being read.
struct Folder<'a> {
    path: &'a Path,
    /// Bytes that may still be read.
    left: usize,
}

impl Folder<'_> {
    fn layer(&mut self, number: usize, pes: usize, thresholds: bool) -> Result<Layer, ConvertError> {
        let mut layer = Layer { number, words: Vec::new(), thresholds: thresholds.then(Vec::new) };
        for pe in 0..pes {
            layer.words.push(self.numbers(&weights(number, pe), u64::from_le_bytes)?);
            if let Some(all) = &mut layer.thresholds {
                all.push(self.numbers(&format!("{number}-{pe}-thres.bin"), i64::from_le_bytes)?);
            }
        }
        Ok(layer)
    }

    /// The numbers of a file, eight bytes each; at least one.
    fn numbers<T>(&mut self, name: &str, number: impl Fn([u8; 8]) -> T) -> Result<Vec<T>, ConvertError> {
        let bytes = self.bytes(name)?.ok_or_else(|| malformed(format!("{name} is missing")))?;
        match bytes.as_chunks::<8>() {
            ([], []) => Err(malformed(format!("{name} is empty"))),
            (numbers, []) => Ok(numbers.iter().map(|&bytes| number(bytes)).collect()),
            _ => Err(malformed(format!("{name} has {} bytes, not a multiple of 8", bytes.len()))),
        }
    }

    fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, ConvertError> {
        let path = self.path.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ConvertError::Io { path, source }),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|source| ConvertError::Io { path, source })?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(malformed(format!("{name} has more than {MAX_FILE} bytes")));
        }
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or_else(|| malformed(format!("{name}: the folder has more than {MAX_FOLDER} bytes of parameters")))?;
        Ok(Some(bytes))
    }

    /// The lines of the list of classes.
    fn classes(&mut self) -> Result<Option<Vec<String>>, ConvertError> {
        let Some(bytes) = self.bytes(CLASSES)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        let name = |line: &str| line.trim().chars().filter(|c| !c.is_control()).collect();
        Ok(Some(text.trim_end().lines().map(name).collect()))
    }
}
