//! Every kernel on the same numbers by two instruction sets.

use alloc::{format, vec, vec::Vec};

use signbit_kernels::{
    Conv, Isa, PackedWeights, Padding, Pool, Thresholds, bits,
    bits::words,
    conv, elementwise,
    elementwise::Elementwise,
    isa::{Portable, Reference},
    pool::{self, Pooling},
    real, sign_gemm, threshold, weights, winograd,
};

use crate::{
    cases::{Rng, fixed, random},
    host::line,
};

/// What was found.
#[derive(Default)]
struct Tally {
    words: usize,
    different: usize,
    /// Geometries in which an inverted weight bit was not found.
    missed: usize,
}

impl Tally {
    /// Compares word by word.
    fn same<T>(&mut self, what: &str, conv: &Conv, a: &[T], b: &[T], bits: impl Fn(&T) -> u64) -> usize {
        assert!(a.len() == b.len());
        let different = a.iter().zip(b).filter(|(a, b)| bits(a) != bits(b)).count();
        if different > 0 && self.different < 5 {
            line(&format!("  {what}: {different} of {} words differ: {conv:?}", a.len()));
        }
        self.words += a.len();
        self.different += different;
        different
    }
}

/// Compares `isa` with the reference. Returns the number of different words, or, with `spoil`, of
/// geometries in which the inverted bit was not found.
pub(crate) fn all(isa: Isa, count: u32, spoil: bool) -> usize {
    let mut rng = Rng(20);
    let mut tally = Tally::default();
    let mut geometries = fixed();
    geometries.extend((0..count).map(|_| random(&mut rng)));
    if spoil {
        // Every weight meets an activation at some pixel.
        geometries.retain(|conv| conv.n > 0 && conv.groups == 1 && conv.kernel == [1, 1] && conv.pads == [0; 4]);
    }
    for conv in &geometries {
        binary(isa, conv, &mut rng, spoil, &mut tally);
        if !spoil {
            others(isa, conv, &mut rng, &mut tally);
        }
    }
    match spoil {
        false => {
            line(&format!(
                "  {} words of {} geometries compared, {} differ",
                tally.words,
                geometries.len(),
                tally.different
            ));
            tally.different
        }
        true => {
            let found = geometries.len() - tally.missed;
            line(&format!("  an inverted weight bit: found in {found} of {} geometries", geometries.len()));
            if geometries.is_empty() { 1 } else { tally.missed }
        }
    }
}

/// Results of the convolution kernels.
struct Results {
    dots: Vec<i32>,
    floats: Vec<f32>,
    bits: Vec<u64>,
}

fn run(isa: Isa, conv: &Conv, acts: &[u64], rows: &[u64], limits: &Thresholds<'_>, at: usize, spoil: bool) -> Results {
    let mut storage = vec![0; weights::packed_len(isa, conv)];
    weights::pack(isa, conv, rows, &mut storage);
    // The first bit of the first output channel comes first in every layout.
    storage[0] ^= spoil as u64;
    let packed = PackedWeights::new(isa, conv, &storage);
    let (pixels, row) = (conv.rows() * conv.out_w(), conv.out_w());
    let mut dots = vec![0; pixels * conv.c_out];
    let mut floats = vec![0.0; pixels * conv.c_out];
    let mut bits = vec![u64::MAX; pixels * words(conv.c_out)];
    for part in [0..at, at..conv.rows()] {
        let pixels = part.start * row..part.end * row;
        let numbers = pixels.start * conv.c_out..pixels.end * conv.c_out;
        conv::dots(isa, conv, acts, &packed, part.clone(), &mut dots[numbers.clone()]);
        conv::dots_f32(isa, conv, acts, &packed, part.clone(), &mut floats[numbers]);
        let words = pixels.start * words(conv.c_out)..pixels.end * words(conv.c_out);
        conv::bits(isa, conv, acts, &packed, limits, part, &mut bits[words]);
    }
    Results { dots, floats, bits }
}

/// Thresholds around 0, and some that no dot product reaches.
fn thresholds(rng: &mut Rng, channels: usize) -> (Vec<i32>, Vec<u64>) {
    let t = |rng: &mut Rng| match rng.below(8) {
        0 => i32::MIN,
        1 => i32::MAX,
        _ => rng.below(41) as i32 - 20,
    };
    ((0..channels).map(|_| t(rng)).collect(), rng.rows(1, channels))
}

fn binary(isa: Isa, conv: &Conv, rng: &mut Rng, spoil: bool, tally: &mut Tally) {
    let acts = rng.rows(conv.n * conv.h * conv.w, conv.c_in);
    let rows = rng.rows(conv.c_out, conv.k());
    let (t, flip) = thresholds(rng, conv.c_out);
    let limits = Thresholds { t: &t, flip: &flip };
    let at = rng.below(conv.rows() + 1);
    // The portable kernels too: they are compiled for another machine here than in the other tests.
    let portable = Isa::Portable(Portable);
    let expected = run(Isa::Reference(Reference), conv, &acts, &rows, &limits, 0, false);
    for isa in if spoil { vec![isa] } else { vec![portable, isa] } {
        let results = run(isa, conv, &acts, &rows, &limits, at, spoil);
        let before = tally.different;
        let dots = results.dots.iter().zip(&expected.dots).filter(|(a, b)| a != b).count();
        if spoil {
            // Channel 0 at each pixel, and nothing else.
            tally.missed += (dots != conv.rows() * conv.out_w()) as usize;
            continue;
        }
        tally.same("dots", conv, &results.dots, &expected.dots, |x| *x as u64);
        tally.same("dots_f32", conv, &results.floats, &expected.floats, |x| x.to_bits() as u64);
        tally.same("bits", conv, &results.bits, &expected.bits, |x| *x);
        if tally.different > before {
            line(&format!("  ({})", isa.name()));
        }
    }
}

/// The other kernels, on shapes that the geometry gives.
fn others(isa: Isa, conv: &Conv, rng: &mut Rng, tally: &mut Tally) {
    let reference = Isa::Reference(Reference);
    let (pixels, c) = (conv.n * conv.h * conv.w, conv.c_in);
    let both = [reference, isa];
    let number = |rng: &mut Rng| match rng.below(9) {
        0 => -0.0,
        1 => f32::NAN,
        _ => rng.float(),
    };
    let reals: Vec<f32> = (0..pixels * c).map(|_| number(rng)).collect();
    let ints: Vec<i32> = (0..pixels * c).map(|_| rng.below(41) as i32 - 20).collect();
    let plain: Vec<f32> = (0..pixels * c).map(|_| rng.float()).collect();
    let (t, flip) = thresholds(rng, c);
    let limits = Thresholds { t: &t, flip: &flip };

    let mut packed = |what: &str, f: &dyn Fn(Isa, &mut [u64])| {
        let [a, b] = both.map(|isa| {
            let mut out = vec![u64::MAX; pixels * words(c)];
            f(isa, &mut out);
            out
        });
        tally.same(what, conv, &a, &b, |x| *x);
        a
    };
    packed("pack_signs", &|isa, out| bits::pack_signs(isa, &reals, c, out));
    packed("threshold", &|isa, out| threshold::apply_i32(isa, &ints, c, &limits, out));
    let signs = packed("pack_signs_i32", &|isa, out| bits::pack_signs_i32(isa, &ints, c, out));

    let mut floats = |what: &str, len: usize, f: &dyn Fn(Isa, &mut [f32])| {
        let [a, b] = both.map(|isa| {
            let mut out = vec![0.0; len];
            f(isa, &mut out);
            out
        });
        tally.same(what, conv, &a, &b, |x| x.to_bits() as u64);
    };
    floats("unpack_signs", pixels * c, &|isa, out| bits::unpack_signs(isa, &signs, c, out));
    let columns: Vec<f32> = (0..c * sign_gemm::COLUMNS).map(|_| rng.float()).collect();
    floats("sign_gemm", pixels * sign_gemm::COLUMNS, &|isa, out| {
        sign_gemm::panel(isa, pixels, c, &signs, &columns, &mut sign_gemm::Tables::default(), out);
    });
    let per_channel: Vec<f32> = (0..c).map(|_| rng.float()).collect();
    floats("elementwise", pixels * c, &|isa, out| {
        out.copy_from_slice(&plain);
        elementwise::apply(isa, &Elementwise::MulAdd { mul: &per_channel, add: &per_channel }, out);
        elementwise::apply(isa, &Elementwise::PRelu { slope: &per_channel }, out);
    });
    let zero = Conv { padding: Padding::Zero, ..*conv };
    let outputs = zero.rows() * zero.out_w();
    floats("scale_map", outputs, &|isa, out| {
        let mut means = vec![0.0; pixels];
        real::channel_means(isa, zero.c_in, &plain, &mut means);
        real::scale_map(isa, &zero, &means, 0..zero.rows(), out);
    });
    if zero.k() < 10_000 {
        let w: Vec<f32> = (0..zero.c_out * zero.k()).map(|_| rng.float()).collect();
        let bias: Vec<f32> = (0..zero.c_out).map(|_| rng.float()).collect();
        floats("real conv2d", outputs * zero.c_out, &|isa, out| {
            let mut packed = vec![0.0; real::pack_len(isa, &zero)];
            real::pack(isa, &zero, &w, &mut packed);
            real::conv2d(isa, &zero, &plain, &packed, Some(&bias), 0..zero.rows(), out);
        });
        if winograd::pays(&zero) {
            floats("winograd", outputs * zero.c_out, &|isa, out| {
                let (mut packed, mut scratch) =
                    (vec![0.0; winograd::pack_len(&zero)], vec![0.0; winograd::scratch_len(&zero)]);
                winograd::pack(&zero, &w, &mut packed);
                winograd::conv2d(isa, &zero, &plain, &packed, Some(&bias), 0..zero.rows(), &mut scratch, out);
            });
        }
    }
    let Conv { n, h, w, kernel, stride, dilation, pads, .. } = *conv;
    let pool = Pool { n, h, w, c, kernel, stride, dilation, pads };
    if pool.validate().is_ok() {
        for pooling in [Pooling::Max, Pooling::Mean { count: Some(kernel[0] * kernel[1]) }] {
            let rows = 0..n * pool.out_h();
            floats("pool_f32", rows.len() * pool.out_w() * c, &|isa, out| {
                pool::pool_f32(isa, &pool, pooling, &plain, rows.clone(), out);
            });
        }
        let [a, b] = both.map(|isa| {
            let mut out = vec![u64::MAX; n * pool.out_h() * pool.out_w() * words(c)];
            pool::max_bits(isa, &pool, &signs, &mut out);
            out
        });
        tally.same("max_bits", conv, &a, &b, |x| *x);
    }
}
