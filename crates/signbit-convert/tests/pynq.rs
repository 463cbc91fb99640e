//! BNN-PYNQ: the published LFC network, and small folders against popcounts taken one by one.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use signbit::{Model, Options};
use signbit_convert::passes::simplify;
use signbit_convert::pynq::{read_folder, read_npz};
use signbit_model::interpreter::{self, ValueData};
use signbit_train::data::{npy, read_idx};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A small pseudo-random sequence (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bit(&mut self) -> bool {
        self.next() >> 40 & 1 == 1
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }
}

/// A layer as its mathematics has it.
struct Layer {
    columns: usize,
    rows: Vec<Vec<bool>>,
    thresholds: Vec<i64>,
}

impl Layer {
    fn random(random: &mut Random, rows: usize, columns: usize) -> Self {
        let row = |random: &mut Random| (0..columns).map(|_| random.bit()).collect();
        let rows: Vec<Vec<bool>> = (0..rows).map(|_| row(random)).collect();
        let near = |random: &mut Random| (columns / 2 + random.below(3)) as i64 - 2;
        let thresholds = rows.iter().map(|_| near(random)).collect();
        Self { columns, rows, thresholds }
    }

    fn popcounts<'a>(&'a self, x: &'a [bool]) -> impl Iterator<Item = i64> + 'a {
        self.rows.iter().map(move |row| row.iter().zip(x).filter(|(a, b)| a == b).count() as i64)
    }

    fn bits(&self, x: &[bool]) -> Vec<bool> {
        self.popcounts(x).zip(&self.thresholds).map(|(count, &t)| count > t).collect()
    }

    /// Writes the layer for `pes` processing elements of `simd` bits.
    fn write(&self, folder: &Path, number: usize, pes: usize, simd: usize, thresholds: bool) {
        for pe in 0..pes {
            let mine = || (pe..self.rows.len()).step_by(pes);
            let word = |bits: &[bool]| bits.iter().rev().fold(0_u64, |word, &bit| word << 1 | u64::from(bit));
            let words: Vec<u8> =
                mine().flat_map(|n| self.rows[n].chunks(simd)).flat_map(|bits| word(bits).to_le_bytes()).collect();
            fs::write(folder.join(format!("{number}-{pe}-weights.bin")), words).unwrap();
            if thresholds {
                let t: Vec<u8> = mine().flat_map(|n| self.thresholds[n].to_le_bytes()).collect();
                fs::write(folder.join(format!("{number}-{pe}-thres.bin")), t).unwrap();
            }
        }
    }

    /// A 3x3 convolution of `[h, w, c]`, the bits of `columns = 9 c`.
    fn convolve(&self, x: &[bool], side: usize, c: usize) -> Vec<bool> {
        let out = side - 2;
        (0..out * out).flat_map(|i| self.bits(&patch(x, side, c, i / out, i % out))).collect()
    }
}

fn patch<T: Copy>(x: &[T], side: usize, c: usize, y: usize, column: usize) -> Vec<T> {
    let taps = (0..3).flat_map(|ky| (0..3).map(move |kx| (ky, kx)));
    taps.flat_map(|(ky, kx)| &x[((y + ky) * side + column + kx) * c..][..c]).copied().collect()
}

fn pool(x: &[bool], side: usize, c: usize) -> Vec<bool> {
    let out = side / 2;
    let at = |y: usize, column: usize, channel: usize| x[(y * side + column) * c + channel];
    let max = |y: usize, column: usize, k: usize| (0..4).any(|i| at(2 * y + i / 2, 2 * column + i % 2, k));
    (0..out * out).flat_map(|i| (0..c).map(move |k| max(i / out, i % out, k))).collect()
}

fn pixels(random: &mut Random, n: usize) -> Vec<u8> {
    (0..n).map(|_| random.next() as u8).collect()
}

fn output(model: &signbit_model::Model, pixels: &[u8]) -> Vec<f32> {
    let mut input = vec![0.0; pixels.len()];
    model.preprocessing.as_ref().unwrap().apply(pixels, &mut input).unwrap();
    match interpreter::run(model, 1, &input).unwrap().data {
        ValueData::F32(numbers) => numbers,
        other => panic!("{other:?}"),
    }
}

/// Writes a small LFC network, the pads' weights of the first layer as given.
fn small_lfc(folder: &Path, random: &mut Random, pads: impl Fn(usize) -> bool) -> Vec<Layer> {
    let mut layers = vec![Layer::random(random, 8, 832)];
    layers[0].rows.iter_mut().for_each(|row| (784..832).for_each(|i| row[i] = pads(i)));
    // Pads count little.
    layers[0].thresholds.iter_mut().for_each(|t| *t -= 20);
    layers.extend([(12, 8), (6, 12), (64, 6)].map(|(rows, columns)| Layer::random(random, rows, columns)));
    for (i, (pes, simd)) in [(4, 64), (3, 2), (2, 6), (16, 3)].into_iter().enumerate() {
        layers[i].write(folder, i, pes, simd, true);
    }
    layers
}

#[test]
fn an_lfc_folder_is_its_popcounts() {
    for pads in [|_| true, |i: usize| i.is_multiple_of(3)] {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(77);
        let layers = small_lfc(folder.path(), &mut random, pads);
        fs::write(folder.path().join("classes.txt"), "zero\r\none\ntwo\nthree\nfour\n").unwrap();
        let imported = read_folder(folder.path()).unwrap();
        assert_eq!(imported.model.classes, ["zero", "one", "two", "three", "four"]);
        assert_eq!(imported.operators["dense"], 4);
        let simple = simplify(imported.clone()).unwrap().model;
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let picture = pixels(&mut random, 784);
            let bits: Vec<bool> = picture.iter().map(|&p| p >= 128).collect();
            // The hardware's pads are zeros.
            let mut x = [bits, vec![false; 48]].concat();
            x = layers.iter().fold(x, |x, layer| layer.bits(&x));
            let expected: Vec<f32> = (0..5).map(|i| if x[i] { (i + 1) as f32 } else { 0.0 }).collect();
            assert_eq!(output(&imported.model, &picture), expected);
            assert_eq!(output(&simple, &picture), expected);
            seen.insert(x[..5].to_vec());
        }
        assert!(seen.len() > 3, "pictures differ in their answers");
    }
}

#[test]
fn a_cnv_folder_is_its_popcounts() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    let widths = [4, 4, 6, 2, 8, 4, 6, 5, 64];
    let mut layers = vec![];
    let mut c = 3;
    for (i, &rows) in widths.iter().enumerate() {
        let columns = if i < 6 { 9 * c } else { c };
        layers.push(Layer::random(&mut random, rows, columns));
        c = rows;
    }
    // The first layer's thresholds are over sums of fixed-point numbers.
    layers[0].thresholds = vec![-201, 0, 37, 4000];
    // Rows behind the classes are pads of ones.
    layers[8].rows[9..].iter_mut().for_each(|row| row.fill(true));
    for (i, (pes, simd)) in [(2, 3), (4, 4), (3, 6), (1, 54), (4, 2), (1, 8), (2, 4), (5, 3), (4, 1)].iter().enumerate()
    {
        layers[i].write(folder.path(), i, *pes, *simd, i < 8);
    }
    // The hardware does not read these.
    fs::write(folder.path().join("8-0-thres.bin"), [0; 3]).unwrap();
    let imported = read_folder(folder.path()).unwrap();
    let simple = simplify(imported.clone()).unwrap().model;
    for _ in 0..10 {
        let picture = pixels(&mut random, 32 * 32 * 3);
        let fixed: Vec<i64> = picture.iter().map(|&p| i64::from(p) - 128).collect();
        let mut x = vec![];
        for i in 0..30 * 30 {
            let patch = patch(&fixed, 32, 3, i / 30, i % 30);
            for (row, t) in layers[0].rows.iter().zip(&layers[0].thresholds) {
                let sum: i64 = row.iter().zip(&patch).map(|(&w, x)| if w { *x } else { -x }).sum();
                x.push(2 * sum > *t);
            }
        }
        let mut side = 30;
        for (i, pooled) in [(1, true), (2, false), (3, true), (4, false), (5, false)] {
            let c = layers[i].columns / 9;
            x = layers[i].convolve(&x, side, c);
            side -= 2;
            if pooled {
                x = pool(&x, side, layers[i].rows.len());
                side /= 2;
            }
        }
        assert_eq!((side, x.len()), (1, 4));
        x = layers[6..8].iter().fold(x, |x, layer| layer.bits(&x));
        let expected: Vec<f32> = layers[8].popcounts(&x).take(9).map(|count| count as f32).collect();
        assert_eq!(output(&imported.model, &picture), expected);
        assert_eq!(output(&simple, &picture), expected);
    }
}

#[test]
fn files_that_do_not_fit_are_named() {
    type Change = (&'static str, &'static dyn Fn(&Path));
    let change: [Change; 9] = [
        ("1-2-weights.bin is missing", &|f| fs::remove_file(f.join("1-2-weights.bin")).unwrap()),
        ("2-1-thres.bin is missing", &|f| fs::remove_file(f.join("2-1-thres.bin")).unwrap()),
        ("2-0-weights.bin is missing", &|f| {
            for pe in 0..2 {
                fs::remove_file(f.join(format!("2-{pe}-weights.bin"))).unwrap();
                fs::remove_file(f.join(format!("2-{pe}-thres.bin"))).unwrap();
            }
        }),
        ("0-3-weights.bin: another size", &|f| fs::write(f.join("0-3-weights.bin"), [0; 8]).unwrap()),
        ("0-0-weights.bin: ", &|f| fs::write(f.join("0-0-weights.bin"), [0; 72]).unwrap()),
        ("3-1-thres.bin has 7 bytes", &|f| fs::write(f.join("3-1-thres.bin"), [0; 7]).unwrap()),
        ("1-1-weights.bin: a word has more than its 2 bits", &|f| {
            fs::write(f.join("1-1-weights.bin"), [255; 4 * 4 * 8]).unwrap();
        }),
        ("2-1-weights.bin is empty", &|f| fs::write(f.join("2-1-weights.bin"), []).unwrap()),
        ("classes.txt: 65 classes", &|f| fs::write(f.join("classes.txt"), "x\n".repeat(65)).unwrap()),
    ];
    for (expected, change) in change {
        let folder = tempfile::tempdir().unwrap();
        small_lfc(folder.path(), &mut Random(3), |_| true);
        if !expected.contains("3-1-thres") {
            assert!(read_folder(folder.path()).is_ok());
        }
        change(folder.path());
        let message = match read_folder(folder.path()) {
            Err(e) => e.to_string(),
            Ok(_) => panic!("{expected}: read"),
        };
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[test]
fn folders_of_absurd_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    small_lfc(folder.path(), &mut Random(3), |_| true);
    let file = fs::File::create(folder.path().join("0-0-weights.bin")).unwrap();
    file.set_len(1 << 40).unwrap();
    let message = read_folder(folder.path()).unwrap_err().to_string();
    assert!(message.contains("0-0-weights.bin has more than"), "{message}");

    let empty = tempfile::tempdir().unwrap();
    assert!(read_folder(empty.path()).unwrap_err().to_string().contains("0-0-weights.bin"));
    fs::write(empty.path().join("99999999-0-weights.bin"), [0; 8]).unwrap();
    assert!(read_folder(empty.path()).unwrap_err().to_string().contains("at most"));
    fs::remove_file(empty.path().join("99999999-0-weights.bin")).unwrap();
    fs::write(empty.path().join("0-0-weights.bin"), [0; 8]).unwrap();
    fs::write(empty.path().join("0-0-thres.bin"), [0; 8]).unwrap();
    assert!(read_folder(empty.path()).unwrap_err().to_string().contains("there are 1 layers"));
    assert!(read_folder(&empty.path().join("none")).is_err());
}

/// The published network gets the published share of MNIST's test set right.
#[test]
fn the_published_lfc_network() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = project.join("../shared/pretrained/bnn-pynq-lfc-w1a1-mnist");
    let data = project.join("data/mnist");
    let (Ok(images), Ok(labels), true) = (
        read_idx(&data.join("t10k-images-idx3-ubyte")),
        read_idx(&data.join("t10k-labels-idx1-ubyte")),
        folder.exists(),
    ) else {
        eprintln!("skipped: {} or MNIST's test set in {} is missing", folder.display(), data.display());
        return;
    };
    let model = simplify(read_folder(&folder).unwrap()).unwrap().model;
    assert_eq!(model.classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let preprocessing = model.preprocessing.clone().unwrap();
    let model = Model::new(model).unwrap();
    let mut session = model.session(Options { batch: 100, ..Options::default() }).unwrap();
    let mut right = 0;
    for (pictures, labels) in images.bytes.chunks(78_400).zip(labels.bytes.chunks(100)) {
        let mut input = vec![0.0; pictures.len()];
        pictures.chunks(784).zip(input.chunks_mut(784)).for_each(|(p, x)| preprocessing.apply(p, x).unwrap());
        let scores = session.run(&input, 100).unwrap();
        let best = |scores: &[f32]| (0..10).rev().fold(9, |best, i| if scores[i] >= scores[best] { i } else { best });
        right += scores.chunks(10).zip(labels).filter(|(scores, label)| best(scores) == usize::from(**label)).count();
    }
    assert_eq!(right, 9840);
}

/// Bytes of a `.npz` with `arr_0`, `arr_1` ...
fn npz(arrays: &[(Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (i, (shape, numbers)) in arrays.iter().enumerate() {
        zip.start_file(format!("arr_{i}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(&npy::to_bytes(shape, numbers)).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Multiples of 1/8 in [-2, 2).
fn eighths(random: &mut Random, n: usize) -> Vec<f32> {
    (0..n).map(|_| random.below(32) as f32 / 8.0 - 2.0).collect()
}

/// The vectors behind a weight: b where asked for, beta, gamma, mean, 1 / deviation.
fn batch_norm(random: &mut Random, n: usize, bias: bool) -> Vec<(Vec<usize>, Vec<f32>)> {
    let mut vectors = vec![eighths(random, n); usize::from(bias)];
    vectors.extend([eighths(random, n), eighths(random, n), eighths(random, n)]);
    // Powers of two keep the affine function exact.
    vectors.push((0..n).map(|_| 0.5_f32.powi(random.below(4) as i32)).collect());
    vectors.into_iter().map(|v| (vec![v.len()], v)).collect()
}

/// gamma * (dot + b - mean) * invstd + beta.
fn normed(arrays: &[(Vec<usize>, Vec<f32>)], bias: bool, o: usize, dot: f32) -> f32 {
    let (b, norm) = if bias { (arrays[0].1[o], &arrays[1..]) } else { (0.0, arrays) };
    let [beta, gamma, mean, invstd] = [0, 1, 2, 3].map(|i| norm[i].1[o]);
    gamma * (dot + b - mean) * invstd + beta
}

fn sign(x: f32) -> f32 {
    if x < 0.0 { -1.0 } else { 1.0 }
}

/// Both before the passes and behind them.
fn outputs(imported: signbit_convert::Imported, input: &[f32]) -> [Vec<f32>; 2] {
    let run = |model: &signbit_model::Model| match interpreter::run(model, 1, input).unwrap().data {
        ValueData::F32(numbers) => numbers,
        other => panic!("{other:?}"),
    };
    let before = run(&imported.model);
    let simple = simplify(imported).unwrap();
    assert!(simple.model.graph.nodes.iter().any(|node| node.op.name() == "binary_dense"));
    [before, run(&simple.model)]
}

#[test]
fn a_dense_npz_is_its_formula() {
    let mut random = Random(11);
    let sizes = [784, 12, 9, 5];
    for last_bias in [false, true] {
        let mut arrays = vec![];
        for (i, pair) in sizes.windows(2).enumerate() {
            arrays.push((vec![pair[0], pair[1]], eighths(&mut random, pair[0] * pair[1])));
            arrays.extend(batch_norm(&mut random, pair[1], i < 2 || last_bias));
        }
        let imported = read_npz(&npz(&arrays)).unwrap();
        assert_eq!(imported.model.preprocessing.as_ref().unwrap().channels, 1);
        let input = eighths(&mut random, 784);
        let mut x: Vec<f32> = input.iter().map(|&x| sign(x)).collect();
        let mut rest = &arrays[..];
        for (i, pair) in sizes.windows(2).enumerate() {
            let bias = i < 2 || last_bias;
            let weight = &rest[0].1;
            let dot = |o: usize| (0..pair[0]).map(|k| sign(weight[k * pair[1] + o]) * x[k]).sum::<f32>();
            x = (0..pair[1]).map(|o| normed(&rest[1..], bias, o, dot(o))).collect();
            if i < 2 {
                x.iter_mut().for_each(|x| *x = sign(*x));
            }
            rest = &rest[if bias { 6 } else { 5 }..];
        }
        assert_eq!(outputs(imported, &input), [x.clone(), x]);
    }
}

#[test]
fn a_cnv_npz_is_its_formula() {
    let mut random = Random(12);
    let widths = [3, 2, 4, 3, 2, 4, 3, 5, 4, 3];
    let mut arrays = vec![];
    for (i, pair) in widths.windows(2).enumerate() {
        let shape = if i < 6 { vec![pair[1], pair[0], 3, 3] } else { pair.to_vec() };
        let n = shape.iter().product();
        arrays.push((shape, eighths(&mut random, n)));
        arrays.extend(batch_norm(&mut random, pair[1], i < 8));
    }
    // The last batch norm is one of all channels: single numbers.
    let end = arrays.len();
    arrays[end - 4..].iter_mut().for_each(|a| *a = (vec![], a.1[..1].to_vec()));
    let imported = read_npz(&npz(&arrays)).unwrap();
    assert_eq!(imported.operators["max pooling"], 2);
    let input = eighths(&mut random, 32 * 32 * 3);
    let (mut x, mut side, mut rest) = (input.clone(), 32, &arrays[..]);
    for (i, pair) in widths.windows(2).enumerate().take(6) {
        let [c, o] = [pair[0], pair[1]];
        let out = side - 2;
        let weight = &rest[0].1;
        let mut y = vec![];
        for at in 0..out * out {
            let patch = patch(&x, side, c, at / out, at % out);
            let tap = |o: usize, k: usize| sign(weight[(o * c + k % c) * 9 + k / c]) * patch[k];
            y.extend((0..o).map(|o| (0..9 * c).map(|k| tap(o, k)).sum::<f32>()));
        }
        side = out;
        if i == 1 || i == 3 {
            side /= 2;
            let at = |y: &[f32], p: usize, k: usize, d: usize| {
                y[((2 * (p / side) + d / 2) * out + 2 * (p % side) + d % 2) * o + k]
            };
            let max = |p: usize, k: usize| (0..4).map(|d| at(&y, p, k, d)).fold(f32::MIN, f32::max);
            y = (0..side * side).flat_map(|p| (0..o).map(move |k| (p, k))).map(|(p, k)| max(p, k)).collect();
        }
        x = y.iter().enumerate().map(|(j, &dot)| sign(normed(&rest[1..], true, j % o, dot))).collect();
        rest = &rest[6..];
    }
    for (i, pair) in widths.windows(2).enumerate().skip(6) {
        let weight = &rest[0].1;
        let dot = |o: usize| (0..pair[0]).map(|k| sign(weight[k * pair[1] + o]) * x[k]).sum::<f32>();
        let single: Vec<_> = rest[1..5].iter().map(|a| (vec![3], vec![a.1[0]; 3])).collect();
        x = match i {
            8 => (0..pair[1]).map(|o| normed(&single, false, o, dot(o))).collect(),
            _ => (0..pair[1]).map(|o| sign(normed(&rest[1..], true, o, dot(o)))).collect(),
        };
        rest = &rest[if i < 8 { 6 } else { 5 }..];
    }
    assert_eq!(outputs(imported, &input), [x.clone(), x]);
}

#[test]
fn each_way_an_npz_can_be_wrong() {
    let weight = |a: usize, b: usize| (vec![a, b], vec![1.0; a * b]);
    let vector = |n: usize| (vec![n], vec![1.0; n]);
    let norm = |n: usize, vectors: usize| vec![vector(n); vectors];
    let cases = [
        (vec![], "there is no arr_0"),
        (vec![vector(3)], "arr_0 must be the first layer's weights"),
        ([vec![weight(3, 2)], norm(2, 3)].concat(), "arr_0: 3 arrays follow"),
        ([vec![weight(3, 2)], norm(3, 4)].concat(), "arr_1 has 3 numbers for 2 outputs"),
        ([vec![weight(3, 2)], norm(2, 5), vec![weight(3, 2)], norm(2, 4)].concat(), "arr_6"),
        ([vec![(vec![3, 2], vec![1.0; 6]), (vec![2], vec![f32::INFINITY; 2])], norm(2, 3)].concat(), "not finite"),
        ([vec![(vec![1, 1, 1, 1, 1], vec![1.0])], norm(1, 4)].concat(), "arr_0"),
        ([vec![(vec![2, 3, 3, 3], vec![1.0; 54])], norm(2, 5)].concat(), "too few for CNV"),
        ([vec![(vec![3, 0], vec![])], vec![(vec![0], vec![]); 4]].concat(), ""),
    ];
    for (arrays, expected) in cases {
        let message = read_npz(&npz(&arrays)).unwrap_err().to_string();
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let good = npz(&[vec![weight(30, 2)], norm(2, 4)].concat());
    assert!(read_npz(&good).is_ok());
    for n in 0..good.len() {
        assert!(read_npz(&good[..n]).is_err());
        for change in [1, 0x80, 0xff] {
            let mut changed = good.clone();
            changed[n] ^= change;
            let _ = read_npz(&changed);
        }
    }
    // An archive that unpacks to far more than it is.
    let bomb = npz(&[vec![(vec![1 << 12, 1 << 12], vec![1.0; 1 << 24])], norm(1 << 12, 4)].concat());
    let message = read_npz(&bomb).unwrap_err().to_string();
    assert!(message.contains("arr_0: the array has more than"), "{message}");
}
