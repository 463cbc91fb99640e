//! Packing, unpacking, pooling and copying of bits on every instruction set.

mod common;

use common::{Rng, SIZES, pack_rows};
use proptest::prelude::*;
use signbit_kernels::{Isa, bits, pool, shape::Pool};

#[test]
fn pack_and_unpack_rows_of_interesting_sizes() {
    let mut failures = Vec::new();
    for (i, channels) in SIZES.into_iter().chain([4, 5, 96, 191, 192, 200]).enumerate() {
        let signs = Rng(i as u64).signs(5 * channels);
        let expected = pack_rows(&signs, channels);
        let mut rng = Rng(99);
        let floats: Vec<f32> = signs.iter().map(|&s| s as f32 * (rng.float().abs() + 1e-3)).collect();
        let ints: Vec<i32> = signs.iter().map(|&s| if s > 0 { rng.bits() as i32 & 7 } else { i32::MIN }).collect();
        for isa in Isa::all() {
            let mut out = vec![u64::MAX; expected.len()];
            bits::pack_signs(isa, &floats, channels, &mut out);
            let mut out_ints = vec![u64::MAX; expected.len()];
            bits::pack_signs_i32(isa, &ints, channels, &mut out_ints);
            let mut back = vec![f32::NAN; signs.len()];
            bits::unpack_signs(isa, &expected, channels, &mut back);
            let unpacked = back.iter().zip(&signs).all(|(x, s)| *x == *s as f32);
            if out != expected || out_ints != expected || !unpacked {
                failures.push(format!("{} of {channels} channels", isa.name()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Zero of either sign is +1, NaN of either sign is -1, at every place of a word and behind it.
#[test]
fn sign_of_zeros_and_nans() {
    let special =
        [0.0, -0.0, f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(1), -f32::from_bits(1)];
    let plus = [1, 1, -1, -1, 1, -1, 1, -1];
    for isa in Isa::all() {
        for shift in 0..8 {
            let x: Vec<f32> = (0..75).map(|i| special[(i + shift) % 8]).collect();
            let signs: Vec<i32> = (0..75).map(|i| plus[(i + shift) % 8]).collect();
            let mut out = [0; 2];
            bits::pack_signs(isa, &x, 75, &mut out);
            assert_eq!(out[..], pack_rows(&signs, 75), "{} shifted by {shift}", isa.name());
        }
    }
}

#[test]
#[should_panic(expected = "2 words for 3 rows of 5 bits")]
fn packed_rows_of_another_number_are_refused() {
    bits::pack_signs(Isa::best(), &[0.0; 15], 5, &mut [0; 2]);
}

#[test]
#[should_panic(expected = "16 numbers are not rows of 5")]
fn broken_rows_are_refused() {
    bits::pack_signs(Isa::best(), &[0.0; 16], 5, &mut [0; 3]);
}

#[test]
#[should_panic(expected = "of 2 words")]
fn copy_beyond_the_source_is_refused() {
    bits::copy_bits(&[0; 2], 100, &mut [0; 2], 0, 29);
}

#[test]
#[should_panic(expected = "of 1 words")]
fn copy_beyond_the_destination_is_refused() {
    bits::copy_bits(&[0; 2], 0, &mut [0; 1], usize::MAX, 2);
}

fn bit(words: &[u64], i: usize) -> bool {
    words[i / 64] >> (i % 64) & 1 == 1
}

proptest! {
    #[test]
    fn copy_bits_moves_each_bit_and_no_other(
        src in prop::collection::vec(any::<u64>(), 5),
        dst in prop::collection::vec(any::<u64>(), 5),
        src_bit in prop_oneof![0..160usize, Just(64usize)],
        dst_bit in prop_oneof![0..160usize, Just(128usize)],
        len in 0..161usize,
    ) {
        let mut out = dst.clone();
        bits::copy_bits(&src, src_bit, &mut out, dst_bit, len);
        for i in 0..5 * 64 {
            let copied = (dst_bit..dst_bit + len).contains(&i);
            let expected = if copied { bit(&src, src_bit + i - dst_bit) } else { bit(&dst, i) };
            prop_assert_eq!(bit(&out, i), expected, "bit {}", i);
        }
    }

    #[test]
    fn max_is_the_maximum_over_the_window(
        (n, h, w) in (0..3usize, 1..9usize, 1..9usize),
        c in prop_oneof![Just(1usize), Just(64), Just(65), Just(130)],
        kernel in [1..4usize, 1..4usize],
        stride in [1..4usize, 1..4usize],
        pads in [0..4usize, 0..4, 0..4, 0..4],
        seed: u64,
    ) {
        let pool = Pool { n, h, w, c, kernel, stride, dilation: [1, 1], pads };
        prop_assume!(pool.validate().is_ok());
        // Mostly -1, so that a maximum of -1 occurs.
        let mut rng = Rng(seed);
        let x: Vec<i32> = (0..n * h * w * c).map(|_| if rng.bits().is_multiple_of(5) { 1 } else { -1 }).collect();
        let mut expected = Vec::new();
        for (n, oy, ox) in (0..n).flat_map(|n| (0..pool.out_h()).flat_map(move |y| (0..pool.out_w()).map(move |x| (n, y, x)))) {
            for c_at in 0..c {
                let mut max = -1;
                for (y, x_) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                    let under = (oy * stride[0]..oy * stride[0] + kernel[0]).contains(&(y + pads[0]))
                        && (ox * stride[1]..ox * stride[1] + kernel[1]).contains(&(x_ + pads[1]));
                    if under {
                        max = max.max(x[((n * h + y) * w + x_) * c + c_at]);
                    }
                }
                expected.push(max);
            }
        }
        let expected = pack_rows(&expected, c);
        for isa in Isa::all() {
            let mut out = vec![u64::MAX; expected.len()];
            pool::max_bits(isa, &pool, &pack_rows(&x, c), &mut out);
            prop_assert_eq!(&out, &expected, "{}", isa.name());
        }
    }
}
