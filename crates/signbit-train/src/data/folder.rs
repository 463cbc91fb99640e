//! Pictures in folders: one subfolder per class, or `train` and `test` with such subfolders each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use signbit_model::{Resize, ResizeFilter, Shape, picture};

use super::open::has_ending;
use super::{DataError, DataOptions, DataSet, MAX_BYTES, MAX_CLASSES, Pictures, split};

/// File endings of pictures. Other files are not looked at.
const ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];
const TRAIN: &str = "train";
/// Names of the part that is never trained on; the first that is there counts.
const TESTS: [&str; 4] = ["test", "val", "validation", "valid"];
/// What would be right.
const RIGHT: &str = "give a folder with one subfolder per class, of PNG, JPEG, BMP or WebP pictures";
/// Larger pictures are decoded one after the other, so that memory does not grow with the number of threads.
const LARGE_FILE: u64 = 4 << 20;

/// The pictures of one class each, by the class's name, in the order of their file names.
type Classes = BTreeMap<String, Vec<PathBuf>>;

/// Reads the folder. The order in which the file system lists it does not matter.
pub(super) fn load(name: &str, folder: &Path, options: &DataOptions) -> Result<DataSet, DataError> {
    options.validate()?;
    let resize = Resize { filter: ResizeFilter::Bilinear, crop: options.crop };
    let subfolders = subfolders(folder)?;
    let part = |name: &str| subfolders.get(name).filter(|path| holds_folders(path));
    let test = part(TRAIN).and_then(|_| TESTS.into_iter().find_map(part));
    if let (Some(train), Some(test)) = (part(TRAIN), test) {
        let (in_train, in_test) = (classes(train)?, classes(test)?);
        if let Some(only) = in_train.keys().find(|class| !in_test.contains_key(*class)) {
            return Err(DataError::format(test, format!("there is no class {only:?}, which {TRAIN} has")));
        }
        if let Some(only) = in_test.keys().find(|class| !in_train.contains_key(*class)) {
            return Err(DataError::format(train, format!("there is no class {only:?}, which the test part has")));
        }
        let names = in_train.keys().cloned().collect();
        let (train, test) = (listed(in_train), listed(in_test));
        let n = train.len();
        let all = read(folder, &[train, test].concat(), options, resize)?;
        let [train, test] = [0..n, n..all.len()].map(|part| all.chosen(&part.collect::<Vec<_>>()));
        return Ok(DataSet { name: name.into(), classes: names, named: true, train, test, resize });
    }
    let root = match part(TRAIN) {
        Some(train) if subfolders.len() == 1 => train,
        _ => folder,
    };
    let classes = classes(root)?;
    let names: Vec<String> = classes.keys().cloned().collect();
    let files = listed(classes);
    let labels: Vec<u32> = files.iter().map(|(_, label)| *label).collect();
    let split = split::stratified(&labels, names.len(), options).map_err(|class| {
        let reason = "the class has 1 picture, which cannot be split into training and test; give at least 2";
        DataError::format(&root.join(&names[class]), reason)
    })?;
    let all = read(root, &files, options, resize)?;
    let (train, test) = (all.chosen(&split.train), all.chosen(&split.test));
    Ok(DataSet { name: name.into(), classes: names, named: true, train, test, resize })
}

/// What is in a folder, hidden things aside.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |source| DataError::Io { path: folder.into(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if !name.starts_with(b".") && name != b"__MACOSX" {
            entries.push(path);
        }
    }
    entries.sort();
    Ok(entries)
}

/// The subfolders by name. The names are printed and kept in models, so they must be readable.
fn subfolders(folder: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    let mut found = BTreeMap::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.chars().any(char::is_control));
        let Some(name) = name else {
            return Err(DataError::format(&path, "the name of a class must be Unicode without control characters"));
        };
        found.insert(name.to_owned(), path);
    }
    Ok(found)
}

fn holds_folders(folder: &Path) -> bool {
    subfolders(folder).is_ok_and(|found| !found.is_empty())
}

/// Files with the ending of a picture. A link that leads nowhere is one too: it is told, not skipped.
fn pictures(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let is_file = |path: &PathBuf| path.metadata().map_or(true, |metadata| metadata.is_file());
    Ok(entries(folder)?.into_iter().filter(|path| has_ending(path, &ENDINGS) && is_file(path)).collect())
}

/// The classes of a folder: at least two, none of them empty.
fn classes(folder: &Path) -> Result<Classes, DataError> {
    let subfolders = subfolders(folder)?;
    if subfolders.is_empty() {
        let reason = match pictures(folder)?.len() {
            0 => format!("the folder has no pictures; {RIGHT}"),
            _ => "pictures lie in the folder itself; put those of each class into a subfolder of its own".into(),
        };
        return Err(DataError::format(folder, reason));
    }
    let mut classes = Classes::new();
    for (class, path) in subfolders {
        classes.insert(class, pictures(&path)?);
    }
    if classes.values().all(Vec::is_empty) {
        return Err(DataError::format(folder, format!("the folder has no pictures; {RIGHT}")));
    }
    if let Some((class, _)) = classes.iter().find(|(_, pictures)| pictures.is_empty()) {
        let reason = "the class has no pictures; add PNG, JPEG, BMP or WebP pictures, or remove the folder";
        return Err(DataError::format(&folder.join(class), reason));
    }
    match classes.len() {
        1 => Err(DataError::format(folder, "there is one class only; a network needs at least two to tell apart")),
        n if n > MAX_CLASSES => Err(DataError::format(folder, format!("{n} classes, at most {MAX_CLASSES} are taken"))),
        _ => Ok(classes),
    }
}

/// All files with their labels.
fn listed(classes: Classes) -> Vec<(PathBuf, u32)> {
    let of_class = |(label, files): (usize, Vec<PathBuf>)| files.into_iter().map(move |file| (file, label as u32));
    classes.into_values().enumerate().flat_map(of_class).collect()
}

/// Decodes the files side by side; each picture is brought to its size at once, and only that is kept.
fn read(folder: &Path, files: &[(PathBuf, u32)], options: &DataOptions, resize: Resize) -> Result<Pictures, DataError> {
    let [h, w] = options.size;
    // Where colour decides itself, it is kept until all pictures are known.
    let shape = Shape::new(h, w, if options.channels == 1 { 1 } else { 3 });
    let (n, sample) = (files.len(), shape.elements());
    let total = n.checked_mul(sample).filter(|&total| total <= MAX_BYTES).ok_or_else(|| {
        let reason = format!("{n} pictures of {shape} take more than {MAX_BYTES} bytes; choose a smaller size");
        DataError::format(folder, reason)
    })?;
    let mut pixels = vec![0; total];
    // The first file that fails is told, whichever thread comes to it first; those behind it are not decoded.
    let failed = AtomicUsize::new(usize::MAX);
    let large = Mutex::new(());
    let one = |(i, (out, (path, _))): (usize, (&mut [u8], &(PathBuf, u32)))| {
        if i > failed.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let is_large = path.metadata().is_ok_and(|metadata| metadata.len() > LARGE_FILE);
        let turn = is_large.then(|| large.lock());
        let decoded = decode(path, shape, resize, out);
        drop(turn);
        if decoded.is_err() {
            failed.fetch_min(i, Ordering::Relaxed);
        }
        decoded
    };
    let done: Vec<Result<bool, DataError>> =
        pixels.par_chunks_exact_mut(sample).zip(files).enumerate().map(one).collect();
    let mut colour = false;
    for decoded in done {
        colour |= decoded?;
    }
    let labels = files.iter().map(|(_, label)| *label).collect();
    if options.channels == 0 && !colour {
        let grey = pixels.chunks_exact(3).map(|pixel| pixel[0]).collect();
        return Ok(Pictures { shape: Shape::new(h, w, 1), pixels: grey, labels });
    }
    Ok(Pictures { shape, pixels, labels })
}

/// Writes one picture as bytes of `shape` into `out`. Returns whether it has colour.
fn decode(path: &Path, shape: Shape, resize: Resize, out: &mut [u8]) -> Result<bool, DataError> {
    let image = picture::open(path).map_err(|source| DataError::Picture { path: path.into(), source })?;
    let pixels = picture::pixels(&image, shape, Some(resize));
    let pixels = pixels.ok_or_else(|| DataError::format(path, "the picture has no pixels"))?;
    out.copy_from_slice(&pixels);
    // Judged by the pixels: some kinds of file, and many programs, write grey pictures in three channels.
    Ok(shape.c == 3 && pixels.chunks_exact(3).any(|p| p[0] != p[1] || p[1] != p[2]))
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
    use tempfile::TempDir;

    use super::*;

    /// A folder in which `paths` are pictures, grey or (with `rgb` in the name) colour, of different sizes.
    fn folder(paths: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (i, path) in paths.iter().enumerate() {
            let (path, n) = (folder.path().join(path), i as u32);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let image = match path.to_string_lossy().contains("rgb") {
                true => DynamicImage::from(RgbImage::from_pixel(5 + n, 9, Rgb([200, n as u8, 0]))),
                false => DynamicImage::from(GrayImage::from_pixel(9, 5 + n, Luma([10 * n as u8]))),
            };
            image.save(path).unwrap();
        }
        folder
    }

    fn options() -> DataOptions {
        DataOptions { size: [4, 6], test_share: 0.5, ..DataOptions::default() }
    }

    fn loaded(folder: &TempDir) -> DataSet {
        load("x", folder.path(), &options()).unwrap()
    }

    const FOUR: [&str; 4] = ["dog/a.png", "dog/b.bmp", "cat/c.png", "cat/d.PNG"];

    #[test]
    fn classes_are_the_sorted_subfolders() {
        let folder = folder(&FOUR);
        fs::write(folder.path().join("cat/notes.txt"), "no picture").unwrap();
        fs::write(folder.path().join("cat/.hidden.png"), "no picture").unwrap();
        fs::create_dir(folder.path().join(".cache")).unwrap();
        let data = loaded(&folder);
        assert_eq!(data.classes, ["cat", "dog"]);
        assert_eq!((data.train.labels.as_slice(), data.test.labels.as_slice()), ([0, 1].as_slice(), [0, 1].as_slice()));
        assert_eq!((data.train.shape, data.resize.crop), (Shape::new(4, 6, 1), true));
        let mut greys: Vec<u8> = [data.train.pixels, data.test.pixels].concat();
        greys.dedup();
        greys.sort_unstable();
        assert_eq!(greys, [0, 10, 20, 30], "each picture has one grey");
    }

    #[test]
    fn one_picture_of_colour_makes_all_of_colour_unless_told() {
        let folder = folder(&["a/0.png", "a/1-rgb.png", "b/2.png", "b/3.png"]);
        assert_eq!(loaded(&folder).train.shape.c, 3);
        for channels in [1, 3] {
            let data = load("x", folder.path(), &DataOptions { channels, ..options() }).unwrap();
            assert_eq!(data.train.shape.c, channels);
        }
    }

    #[test]
    fn parts_that_are_named_stay_as_they_are() {
        for test in TESTS {
            let [a, b] = ["a/x.png", "b/x.png"].map(|path| format!("{test}/{path}"));
            let folder = folder(&["train/a/x.png", "train/b/x.png", "train/b/y.png", &a, &b]);
            let data = loaded(&folder);
            assert_eq!((data.train.labels, data.test.labels), (vec![0, 1, 1], vec![0, 1]), "{test}");
            fs::remove_dir_all(folder.path().join(test).join("b")).unwrap();
            fs::create_dir(folder.path().join(test).join("c")).unwrap();
            assert!(load("x", folder.path(), &options()).is_err());
        }
        // A lone training part is split, and a class may be called train.
        assert_eq!(
            loaded(&folder(&FOUR.map(|path| ["train/", path].concat()).each_ref().map(|s| s.as_str()))).classes.len(),
            2
        );
        let vehicles = folder(&["train/a.png", "train/b.png", "test/a.png", "test/b.png"]);
        assert_eq!(loaded(&vehicles).classes, ["test", "train"]);
    }

    #[test]
    fn each_way_to_be_wrong_names_the_path() {
        let message = |paths: &[&str], change: &dyn Fn(&Path)| {
            let folder = folder(paths);
            change(folder.path());
            load("x", folder.path(), &options()).unwrap_err().to_string()
        };
        let keep = |_: &Path| ();
        let cases = [
            (message(&[], &keep), "the folder has no pictures; give a folder with one subfolder per class"),
            (message(&["a.png", "b.png"], &keep), "pictures lie in the folder itself"),
            (message(&["a/a.png", "a/b.png"], &keep), "there is one class only"),
            (message(&["a/a.png", "a/b.png", "b/a.png"], &keep), "b: the class has 1 picture"),
            (message(&FOUR, &|p| fs::create_dir(p.join("bird")).unwrap()), "bird: the class has no pictures"),
            (message(&[], &|p| fs::create_dir(p.join("bird")).unwrap()), "the folder has no pictures"),
            (
                message(&FOUR, &|p| fs::write(p.join("cat/e.png"), "text").unwrap()),
                "cat/e.png: cannot read the picture: its content is not PNG",
            ),
            (message(&FOUR, &|p| fs::write(p.join("dog/e.jpg"), "").unwrap()), "dog/e.jpg: cannot read"),
            (message(&FOUR, &|p| fs::create_dir(p.join("a\nb")).unwrap()), "without control characters"),
            (
                message(&["train/a/a.png", "train/b/a.png", "test/a/a.png", "test/c/a.png"], &keep),
                "test: there is no class \"b\"",
            ),
        ];
        for (message, expected) in cases {
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn the_first_damaged_file_is_told() {
        let folder = folder(&FOUR);
        for name in ["dog/0.png", "cat/z.png", "cat/a.png"] {
            fs::write(folder.path().join(name), "text").unwrap();
        }
        for _ in 0..5 {
            let message = load("x", folder.path(), &options()).unwrap_err().to_string();
            assert!(message.contains("cat/a.png"), "{message}");
        }
    }

    #[test]
    fn training_sees_what_prediction_sees() {
        let folder = folder(&["a/0.png", "a/1-rgb.png", "b/2-rgb.bmp", "b/3.png"]);
        for (channels, crop) in [(1, true), (1, false), (3, true), (0, false)] {
            let data = load("x", folder.path(), &DataOptions { channels, crop, ..options() }).unwrap();
            let preprocessing = data.preprocessing();
            let mut seen: Vec<&[u8]> = (0..2).flat_map(|i| [data.train.picture(i), data.test.picture(i)]).collect();
            let predicted = |path: &str| {
                let image = picture::open(&folder.path().join(path)).unwrap();
                picture::pixels(&image, preprocessing.shape(), preprocessing.resize).unwrap()
            };
            let mut expected = ["a/0.png", "a/1-rgb.png", "b/2-rgb.bmp", "b/3.png"].map(predicted);
            seen.sort_unstable();
            expected.sort_unstable();
            assert_eq!(seen, expected);
        }
    }
}
