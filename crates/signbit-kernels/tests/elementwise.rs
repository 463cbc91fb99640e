//! Elementwise operators: the same floats on every instruction set, by the formula.

mod common;

use common::Rng;
use signbit_kernels::{Elementwise, Isa, elementwise};

/// Numbers with the cases that comparisons decide.
fn numbers(rng: &mut Rng, len: usize) -> Vec<f32> {
    let special = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0, -1.0];
    (0..len)
        .map(|_| if rng.bits().is_multiple_of(4) { special[rng.bits() as usize % 7] } else { rng.float() })
        .collect()
}

fn by_formula(op: &Elementwise<'_>, x: f32, i: usize, channels: usize) -> f32 {
    let c = i % channels;
    match *op {
        Elementwise::MulAdd { mul, add } => {
            let product = x * mul[c];
            product + add[c]
        }
        Elementwise::Affine { mul, add } => {
            let product = x * mul;
            product + add
        }
        Elementwise::Relu if x > 0.0 => x,
        Elementwise::Relu => 0.0,
        Elementwise::PRelu { slope } if x <= 0.0 || x.is_nan() => slope[c] * x,
        Elementwise::PRelu { .. } => x,
        Elementwise::RPRelu { shift_in, slope, shift_out } => {
            let t = x - shift_in[c];
            let bent = if x > shift_in[c] { t } else { slope[c] * t };
            bent + shift_out[c]
        }
        Elementwise::Clip { min, .. } if x < min => min,
        Elementwise::Clip { max, .. } if x > max => max,
        Elementwise::Clip { .. } => x,
        Elementwise::Add(other) => x + other[i],
        Elementwise::Mul(other) => x * other[i],
        Elementwise::MulChannel(factors) => x * factors[c],
        Elementwise::MulPixel(factors) => x * factors[i / channels],
    }
}

#[test]
fn every_operator_by_its_formula() {
    let mut rng = Rng(5);
    for (pixels, channels) in [(1, 1), (3, 7), (5, 8), (2, 33), (4, 64), (1, 100)] {
        let len = pixels * channels;
        let (x, other, by_pixel) = (numbers(&mut rng, len), numbers(&mut rng, len), rng.floats(pixels));
        let [a, b, c] = [(); 3].map(|()| rng.floats(channels));
        let ops = [
            Elementwise::MulAdd { mul: &a, add: &b },
            Elementwise::Affine { mul: -1.0, add: 3.0 },
            Elementwise::Relu,
            Elementwise::PRelu { slope: &a },
            Elementwise::RPRelu { shift_in: &a, slope: &b, shift_out: &c },
            Elementwise::Clip { min: 0.0, max: 0.5 },
            Elementwise::Add(&other),
            Elementwise::Mul(&other),
            Elementwise::MulChannel(&a),
            Elementwise::MulPixel(&by_pixel),
        ];
        for (op, isa) in ops.iter().flat_map(|op| Isa::all().map(move |isa| (op, isa))) {
            let mut out = x.clone();
            elementwise::apply(isa, op, &mut out);
            for (i, (out, &x)) in out.iter().zip(&x).enumerate() {
                let expected = by_formula(op, x, i, channels);
                let same = out.to_bits() == expected.to_bits() || (out.is_nan() && expected.is_nan());
                assert!(same, "{op:?} of {x} on {}: {out}, not {expected}", isa.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "channels")]
fn channels_that_do_not_divide() {
    elementwise::apply(Isa::best(), &Elementwise::MulChannel(&[1.0; 3]), &mut [0.0; 7]);
}
