//! Shapes, numbers and the comparison with the reference kernels.

use alloc::{vec, vec::Vec};
use core::fmt;

use signbit_kernels::{
    Conv, Isa, PackedWeights, Padding, Thresholds, bits, conv,
    elementwise::{self, Elementwise},
    isa::Reference,
    real, sign_gemm, threshold, weights,
};

use crate::{Mode, machine, say};

const REFERENCE: Isa = Isa::Reference(Reference);

/// Random convolutions beside those of the list.
const RANDOM: usize = 100;

/// Products in a random convolution, at most: the reference takes its time.
const PRODUCTS: usize = 60_000;

/// What was compared on one instruction set.
pub struct Summary {
    isa: Isa,
    cases: usize,
    words: usize,
    differ: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { isa, cases, words, differ } = self;
        write!(f, "{}: {words} words of {cases} cases compared, {differ} differ", isa.name())
    }
}

/// Knuth's 64-bit linear congruential generator.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 32
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Rows of random bits, the bits behind each row 0.
    fn rows(&mut self, rows: usize, len: usize) -> Vec<u64> {
        rows_of(rows, len, || self.next() << 32 | self.next())
    }

    fn float(&mut self) -> f32 {
        match self.below(12) {
            0 => -0.0,
            1 => f32::NAN,
            2 => 0.0,
            _ => self.next() as f32 / (1u64 << 31) as f32 - 1.0,
        }
    }
}

/// Rows of `len` bits, the bits behind each row 0.
fn rows_of(rows: usize, len: usize, mut word: impl FnMut() -> u64) -> Vec<u64> {
    let words = bits::words(len);
    (0..rows * words).map(|i| word() >> (64 - (len - i % words * 64).min(64))).collect()
}

/// The bits of a case.
#[derive(Clone, Copy)]
enum Bits {
    Random,
    /// Activations of +1 and weights of this bit: the largest or the smallest sums.
    Same(bool),
}

/// All cases on some instruction sets.
pub fn compare(isas: impl Iterator<Item = Isa>, mode: Mode) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = isas.map(|isa| Summary { isa, cases: 0, words: 0, differ: 0 }).collect();
    let mut rng = Rng(1);
    let mut shapes = listed();
    match mode {
        Mode::Compare => shapes.extend((0..RANDOM).map(|_| random(&mut rng))),
        Mode::Mismatch | Mode::Force => shapes.truncate(4),
    }
    for shape in &shapes {
        binary(mode, shape, Bits::Random, &mut rng, &mut summaries);
    }
    if mode == Mode::Compare {
        for (k, weight) in [240, 241, 480, 1919, 1920].into_iter().flat_map(|k| [(k, false), (k, true)]) {
            binary(mode, &Conv::dense(2, k, 33), Bits::Same(weight), &mut rng, &mut summaries);
        }
        for channels in [1, 7, 15, 16, 17, 48, 63, 64, 65, 130] {
            signs(channels, &mut rng, &mut summaries);
        }
        for _ in 0..12 {
            let shape = Conv { padding: Padding::Zero, ..random(&mut rng) };
            real(&shape, &mut rng, &mut summaries);
        }
        for channels in [1, 7, 16, 24, 33, 64] {
            steps(channels, &mut rng, &mut summaries);
        }
    }
    summaries
}

/// Shapes that reach the ends of something: lanes, registers, panels, 16-bit sums.
fn listed() -> Vec<Conv> {
    let mut convs = vec![
        Conv::dense(5, 70, 40),
        Conv { pads: [1; 4], ..Conv::new([1, 5, 5, 64], 64, [3, 3]) },
        Conv { pads: [1; 4], padding: Padding::One, ..Conv::new([1, 5, 5, 33], 65, [3, 3]) },
        Conv { pads: [1; 4], padding: Padding::MinusOne, ..Conv::new([1, 5, 5, 40], 130, [3, 3]) },
        // Beyond 16 bits, and beyond one part of K.
        Conv::dense(3, 15_361, 33),
        Conv::dense(1, 16_385, 33),
        Conv::dense(1, 65_537, 33),
        Conv::dense(2, 66_000, 5),
        // Parts that end within a tap, with padding in between, and groups that begin within a word.
        Conv { pads: [1, 1, 0, 1], ..Conv::new([1, 2, 2, 2111], 33, [2, 4]) },
        Conv { pads: [1, 1, 0, 1], groups: 2, ..Conv::new([1, 2, 2, 4000], 66, [3, 3]) },
        Conv { pads: [0, 1, 0, 0], ..Conv::new([1, 1, 2, 16_001], 33, [1, 2]) },
    ];
    // Small groups, which go the way of AVX2.
    for (groups, c_in, c_out) in [(16, 64, 64), (32, 64, 64), (64, 64, 64), (25, 75, 75), (70, 70, 140)] {
        convs.push(Conv { pads: [1; 4], groups, ..Conv::new([1, 4, 4, c_in], c_out, [3, 3]) });
    }
    // All numbers of pixels of a register block, all of registers.
    for (m, n) in (1..=5).flat_map(|m| [1, 3, 4, 8, 9, 17, 25, 33, 64, 65, 97, 128, 200].map(|n| (m, n))) {
        convs.push(Conv::dense(m, 67 + m + n, n));
    }
    convs
}

/// Groups, strides, dilation and uneven padding of every kind.
fn random(rng: &mut Rng) -> Conv {
    let inputs = [1, 2, 3, 7, 8, 9, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 130];
    let outputs = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 40, 63, 64, 65, 100, 127, 128, 130];
    loop {
        let groups = rng.pick(&[1, 1, 1, 2, 3]);
        let conv = Conv {
            n: 1 + rng.below(2),
            h: 1 + rng.below(7),
            w: 1 + rng.below(7),
            c_in: groups * rng.pick(&inputs),
            c_out: groups * rng.pick(&outputs),
            kernel: [1 + rng.below(3), 1 + rng.below(3)],
            stride: [1 + rng.below(2), 1 + rng.below(2)],
            dilation: [1 + rng.below(2), 1 + rng.below(2)],
            pads: [rng.below(3), rng.below(3), rng.below(3), rng.below(3)],
            padding: rng.pick(&[Padding::Zero, Padding::One, Padding::MinusOne]),
            groups,
        };
        if conv.validate().is_ok() && conv.rows() * conv.out_w() * conv.c_out * conv.k() <= PRODUCTS {
            return conv;
        }
    }
}

impl Summary {
    /// Compares and counts; names the first differences.
    fn check<T: PartialEq>(&mut self, what: &str, shape: &dyn fmt::Debug, out: &[T], expected: &[T]) {
        assert!(out.len() == expected.len(), "{what}: lengths");
        let differ = out.iter().zip(expected).filter(|(a, b)| a != b).count();
        if differ > 0 && self.differ == 0 {
            say(format_args!("{}: {what}: {differ} of {} differ first with {shape:?}", self.isa.name(), out.len()));
        }
        self.words += out.len();
        self.differ += differ;
    }
}

/// A convolution of bits with all its kinds of output, in two ranges of rows.
fn binary(mode: Mode, shape: &Conv, kind: Bits, rng: &mut Rng, summaries: &mut [Summary]) {
    let mark = machine::mark();
    let mut fill = |rows: usize, len: usize, bit: bool| match kind {
        Bits::Random => rng.rows(rows, len),
        Bits::Same(_) => rows_of(rows, len, || if bit { u64::MAX } else { 0 }),
    };
    let acts = fill(shape.n * shape.h * shape.w, shape.c_in, true);
    let mut rows = fill(shape.c_out, shape.k(), matches!(kind, Bits::Same(true)));

    let mut storage = vec![0; weights::packed_len(REFERENCE, shape)];
    weights::pack(REFERENCE, shape, &rows, &mut storage);
    let packed = PackedWeights::new(REFERENCE, shape, &storage);
    let pixels = shape.rows() * shape.out_w();
    let mut dots = vec![0; pixels * shape.c_out];
    conv::dots(REFERENCE, shape, &acts, &packed, 0..shape.rows(), &mut dots);

    // At a value that occurs, beside it, or beyond all.
    let t: Vec<i32> = (0..shape.c_out)
        .map(|o| match rng.below(8) {
            0 => i32::MAX,
            1 => i32::MIN,
            i => dots[rng.below(pixels) * shape.c_out + o] + i as i32 % 3 - 1,
        })
        .collect();
    let flip = rng.rows(1, shape.c_out);
    let thresholds = Thresholds { t: &t, flip: &flip };
    let mut expected_bits = vec![0; pixels * bits::words(shape.c_out)];
    threshold::apply_i32(REFERENCE, &dots, shape.c_out, &thresholds, &mut expected_bits);
    let floats: Vec<u32> = dots.iter().map(|&dot| (dot as f32).to_bits()).collect();

    if mode == Mode::Mismatch {
        rows.iter_mut().step_by(bits::words(shape.k())).for_each(|word| *word ^= 1);
    }
    let middle = rng.below(shape.rows() + 1);
    for summary in summaries {
        let isa = summary.isa;
        summary.cases += 1;
        let mut storage = vec![0x5555; weights::packed_len(isa, shape)];
        weights::pack(isa, shape, &rows, &mut storage);
        let packed = PackedWeights::new(isa, shape, &storage);
        for range in [0..middle, middle..shape.rows()] {
            let pixels = range.start * shape.out_w()..range.end * shape.out_w();
            let numbers = pixels.start * shape.c_out..pixels.end * shape.c_out;
            let words = pixels.start * bits::words(shape.c_out)..pixels.end * bits::words(shape.c_out);

            let mut out = vec![i32::MAX; numbers.len()];
            conv::dots(isa, shape, &acts, &packed, range.clone(), &mut out);
            summary.check("dots", shape, &out, &dots[numbers.clone()]);

            let mut out = vec![f32::NAN; numbers.len()];
            conv::dots_f32(isa, shape, &acts, &packed, range.clone(), &mut out);
            summary.check("dots_f32", shape, &to_bits(&out), &floats[numbers.clone()]);

            let mut out = vec![u64::MAX; words.len()];
            conv::bits(isa, shape, &acts, &packed, &thresholds, range, &mut out);
            summary.check("bits", shape, &out, &expected_bits[words.clone()]);

            out.fill(u64::MAX);
            threshold::apply_i32(isa, &dots[numbers], shape.c_out, &thresholds, &mut out);
            summary.check("apply_i32", shape, &out, &expected_bits[words]);
        }
    }
    // SAFETY: all that was allocated here ends here.
    unsafe { machine::reset(mark) };
}

fn to_bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// Signs to bits and back, and the bits times real numbers.
fn signs(channels: usize, rng: &mut Rng, summaries: &mut [Summary]) {
    let x: Vec<f32> = (0..5 * channels).map(|_| rng.float()).collect();
    // No NaN, whose sign is nobody's promise.
    let columns: Vec<f32> = (0..channels * sign_gemm::COLUMNS).map(|_| rng.next() as f32 / 1e9 - 2.0).collect();
    let integers: Vec<i32> = (0..5 * channels).map(|_| rng.below(5) as i32 - 2).collect();
    let run = |isa: Isa| {
        let mut packed = [vec![u64::MAX; 5 * bits::words(channels)], vec![u64::MAX; 5 * bits::words(channels)]];
        bits::pack_signs(isa, &x, channels, &mut packed[0]);
        bits::pack_signs_i32(isa, &integers, channels, &mut packed[1]);
        let mut unpacked = vec![f32::NAN; x.len()];
        bits::unpack_signs(isa, &packed[0], channels, &mut unpacked);
        let mut products = [f32::NAN; 5 * sign_gemm::COLUMNS];
        sign_gemm::panel(isa, 5, channels, &packed[0], &columns, &mut sign_gemm::Tables::default(), &mut products);
        (packed.concat(), to_bits(&unpacked), to_bits(&products))
    };
    let (packed, unpacked, products) = run(REFERENCE);
    for summary in summaries {
        summary.cases += 1;
        let out = run(summary.isa);
        summary.check("pack", &channels, &out.0, &packed);
        summary.check("unpack", &channels, &out.1, &unpacked);
        summary.check("sign_gemm", &channels, &out.2, &products);
    }
}

/// A real convolution.
fn real(shape: &Conv, rng: &mut Rng, summaries: &mut [Summary]) {
    let mut numbers = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.next() as f32 / 1e9 - 2.0).collect() };
    let x = numbers(shape.n * shape.h * shape.w * shape.c_in);
    let (ohwi, bias) = (numbers(shape.c_out * shape.k()), numbers(shape.c_out));
    let run = |isa: Isa| {
        let mut w = vec![0.0; real::pack_len(isa, shape)];
        real::pack(isa, shape, &ohwi, &mut w);
        let mut out = vec![f32::NAN; shape.rows() * shape.out_w() * shape.c_out];
        real::conv2d(isa, shape, &x, &w, Some(&bias), 0..shape.rows(), &mut out);
        to_bits(&out)
    };
    let expected = run(REFERENCE);
    for summary in summaries {
        summary.cases += 1;
        summary.check("conv2d", shape, &run(summary.isa), &expected);
    }
}

/// Elementwise operators.
fn steps(channels: usize, rng: &mut Rng, summaries: &mut [Summary]) {
    let mut numbers = |len: usize| -> Vec<f32> { (0..len).map(|_| rng.float()).collect() };
    let x = numbers(5 * channels);
    let (a, b, c, other) = (numbers(channels), numbers(channels), numbers(channels), numbers(5 * channels));
    let ops = [
        Elementwise::MulAdd { mul: &a, add: &b },
        Elementwise::Relu,
        Elementwise::PRelu { slope: &a },
        Elementwise::RPRelu { shift_in: &a, slope: &b, shift_out: &c },
        Elementwise::Clip { min: -0.5, max: 0.5 },
        Elementwise::Add(&other),
        Elementwise::MulPixel(&other[..5]),
    ];
    for op in ops {
        let run = |isa: Isa| {
            let mut x = x.clone();
            elementwise::apply(isa, &op, &mut x);
            to_bits(&x)
        };
        let expected = run(REFERENCE);
        for summary in &mut *summaries {
            summary.cases += 1;
            summary.check("elementwise", &op, &run(summary.isa), &expected);
        }
    }
}
