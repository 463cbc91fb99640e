//! Binary convolution and dense layers on every instruction set against the naive oracle.

mod common;

use common::{PADDINGS, Rng, SIZES, convs, naive_dots, pack_rows};
use proptest::prelude::*;
use signbit_kernels::{
    Isa, bits,
    conv::{self},
    shape::Conv,
    threshold::{self, Thresholds},
    weights::{self, PackedWeights},
};

/// One case: a geometry with its input, weights and thresholds.
struct Case {
    conv: Conv,
    acts: Vec<u64>,
    rows: Vec<u64>,
    dots: Vec<i32>,
    t: Vec<i32>,
    flip: Vec<u64>,
}

impl Case {
    fn new(conv: Conv, seed: u64) -> Self {
        let mut rng = Rng(seed);
        let x = rng.signs(conv.n * conv.h * conv.w * conv.c_in);
        let w = rng.signs(conv.c_out * conv.k());
        Self::of(conv, &x, &w, &mut rng)
    }

    fn of(conv: Conv, x: &[i32], w: &[i32], rng: &mut Rng) -> Self {
        let dots = naive_dots(&conv, x, w);
        // Thresholds at a value that occurs in the channel (a tie), beside it, or beyond every value.
        let t = (0..conv.c_out)
            .map(|o| match rng.bits() % 8 {
                0 => i32::MAX,
                1 => i32::MIN,
                i => dots.get(o).copied().unwrap_or(0) + (i as i32 % 3 - 1),
            })
            .collect();
        let flip = pack_rows(&rng.signs(conv.c_out), conv.c_out);
        Self { conv, acts: pack_rows(x, conv.c_in), rows: pack_rows(w, conv.k()), dots, t, flip }
    }

    fn expected_bits(&self, dots: &[i32]) -> Vec<u64> {
        let flipped = |o: usize| self.flip[o / 64] >> (o % 64) & 1 == 1;
        let bit = |(i, &dot): (usize, &i32)| (dot >= self.t[i % self.conv.c_out]) != flipped(i % self.conv.c_out);
        let signs: Vec<i32> = dots.iter().enumerate().map(|x| if bit(x) { 1 } else { -1 }).collect();
        pack_rows(&signs, self.conv.c_out)
    }

    /// Every difference between the kernels and the oracle for output rows `rows`.
    fn failures(&self, rows: std::ops::Range<usize>) -> Vec<String> {
        let Self { conv, acts, .. } = self;
        let pixels = rows.len() * conv.out_w();
        let first = rows.start * conv.out_w();
        let dots = &self.dots[first * conv.c_out..(first + pixels) * conv.c_out];
        let thresholds = Thresholds { t: &self.t, flip: &self.flip };
        let bits_expected = self.expected_bits(dots);
        let mut failures = Vec::new();
        for isa in Isa::all() {
            let mut fail = |what: &str, same: bool| {
                if !same {
                    failures.push(format!("{what} on {} of rows {rows:?}: {conv:?}", isa.name()));
                }
            };
            let mut storage = vec![0x5555; weights::packed_len(isa, conv)];
            weights::pack(isa, conv, &self.rows, &mut storage);
            let packed = PackedWeights::new(isa, conv, &storage);

            let mut out = vec![i32::MAX; dots.len()];
            conv::dots(isa, conv, acts, &packed, rows.clone(), &mut out);
            fail("dots", out == dots);

            let mut out = vec![f32::NAN; dots.len()];
            conv::dots_f32(isa, conv, acts, &packed, rows.clone(), &mut out);
            fail("dots_f32", out.iter().zip(dots).all(|(x, dot)| x.to_bits() == (*dot as f32).to_bits()));

            let mut out = vec![u64::MAX; pixels * bits::words(conv.c_out)];
            conv::bits(isa, conv, acts, &packed, &thresholds, rows.clone(), &mut out);
            fail("bits", out == bits_expected);

            out.fill(u64::MAX);
            threshold::apply_i32(isa, dots, conv.c_out, &thresholds, &mut out);
            fail("apply_i32", out == bits_expected);
        }
        failures
    }
}

fn assert_all(failures: Vec<String>) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn dense_of_interesting_sizes() {
    let mut failures = Vec::new();
    for (i, k) in SIZES.into_iter().enumerate() {
        for (j, n) in SIZES.into_iter().enumerate() {
            let m = [1, 2, 3, 4, 5, 7, 35][(i + 3 * j) % 7];
            failures.extend(Case::new(Conv::dense(m, k, n), (i * 16 + j) as u64).failures(0..m));
        }
    }
    assert_all(failures);
}

#[test]
fn convolutions_of_interesting_channels() {
    let mut failures = Vec::new();
    for (i, c_in) in SIZES.into_iter().enumerate() {
        for (j, c_out) in [1, 8, 33, 64, 100].into_iter().enumerate() {
            for padding in PADDINGS {
                let conv = Conv { pads: [1, 1, 1, 1], padding, ..Conv::new([1, 5, 4, c_in], c_out, [3, 3]) };
                failures.extend(Case::new(conv, (i * 16 + j) as u64).failures(0..5));
            }
        }
    }
    assert_all(failures);
}

/// Windows that overlap: rows of even and odd length, shorter and longer than what goes together, padding on every
/// side and wider than the input, groups, and ranges of rows that begin within an image.
#[test]
fn overlapping_windows() {
    let shapes = [
        ([3, 3], [5, 4, 64], 40, 1),
        ([3, 3], [3, 34, 128], 128, 1),
        ([3, 3], [3, 31, 256], 64, 1),
        ([2, 3], [3, 18, 128], 144, 2),
        ([4, 6], [5, 7, 64], 33, 1),
        ([1, 9], [2, 9, 64], 64, 1),
        ([3, 3], [5, 31, 32], 32, 1),
        ([3, 3], [2, 20, 96], 40, 1),
        ([2, 3], [3, 18, 8], 40, 1),
        ([1, 9], [1, 20, 120], 33, 1),
        ([3, 6], [4, 10, 24], 9, 1),
        ([2, 3], [2, 17, 248], 33, 1),
    ];
    let pads = [[0; 4], [1; 4], [2, 1, 0, 3], [3, 9, 4, 8], [0, 40, 1, 3]];
    let mut failures = Vec::new();
    for (i, (kernel, [h, w, c_in], c_out, groups)) in shapes.into_iter().enumerate() {
        for (j, (pads, padding)) in
            pads.into_iter().flat_map(|pads| PADDINGS.map(|padding| (pads, padding))).enumerate()
        {
            let conv = Conv { pads, padding, groups, ..Conv::new([2, h, w, c_in], c_out, kernel) };
            // The reference takes its time: of the last shapes, a third of the kinds each.
            if conv.validate().is_ok() && (i < 6 || (i + j).is_multiple_of(3)) {
                let (case, rows) = (Case::new(conv, (i * 16 + j) as u64), conv.rows());
                failures.extend(case.failures(0..rows / 2 + 1));
                failures.extend(case.failures(rows / 2 + 1..rows));
            }
        }
    }
    assert_all(failures);
}

/// Dot products beyond 16 bits, all terms equal or not, and K beyond one panel of the fastest kernel.
#[test]
fn long_dot_products() {
    let mut failures = Vec::new();
    for (k, n) in [(15_360, 9), (15_361, 33), (65_537, 40), (70_001, 3), (200_000, 8)] {
        let conv = Conv::dense(3, k, n);
        failures.extend(Case::new(conv, k as u64).failures(0..3));
        failures.extend(Case::new(conv, k as u64).failures(2..3));
        for sign in [1, -1] {
            let (x, w) = (vec![1; 3 * k], vec![sign; n * k]);
            let case = Case::of(conv, &x, &w, &mut Rng(1));
            assert_eq!(case.dots[0], sign * k as i32);
            failures.extend(case.failures(0..3));
            failures.extend(case.failures(0..1));
        }
    }
    assert_all(failures);
}

/// One row of a batch, with all numbers of blocks of output channels side by side, and in groups.
#[test]
fn one_row() {
    let mut failures = Vec::new();
    for (i, k) in SIZES.into_iter().chain([247, 248, 249, 496, 505, 1000]).enumerate() {
        for n in [8, 31, 40, 65, 127, 128, 161, 224, 300] {
            failures.extend(Case::new(Conv::dense(3, k, n), (i * 512 + n) as u64).failures(1..2));
        }
    }
    for (k, n, groups) in [(128, 16, 2), (192, 150, 3), (260, 300, 2), (512, 400, 2), (2 * 15_424, 72, 2)] {
        let conv = Conv { groups, ..Conv::dense(3, k, n) };
        failures.extend(Case::new(conv, k as u64).failures(2..3));
    }
    assert_all(failures);
}

/// Several panels of several taps, and of parts of a tap, with padding in between, in one group and in several.
#[test]
fn long_windows() {
    let mut failures = Vec::new();
    for (c_in, c_out, groups, kernel) in [
        (2000, 34, 1, [3, 3]),
        (2111, 34, 1, [2, 4]),
        (16_000, 34, 1, [1, 2]),
        // Groups whose bits begin within a word and at one, of one register block and of two.
        (4000, 34, 2, [3, 3]),
        (4000, 130, 2, [3, 3]),
        (4096, 80, 2, [3, 3]),
        (3 * 2111, 24, 3, [2, 4]),
        // Parts of a tap in each group.
        (2 * 16_001, 40, 2, [1, 2]),
        (2 * 16_000, 20, 2, [1, 2]),
    ] {
        for padding in PADDINGS {
            let conv = Conv { pads: [1, 1, 0, 1], padding, groups, ..Conv::new([1, 3, 3, c_in], c_out, kernel) };
            failures.extend(Case::new(conv, c_in as u64).failures(0..conv.rows()));
        }
    }
    assert_all(failures);
}

/// Channel counts of less than a word to several blocks of words, windows of few taps, of more, and of more than the
/// depthwise kernel takes, with every kind of taps outside.
#[test]
fn depthwise() {
    let mut failures = Vec::new();
    let windows = [
        ([1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
        ([3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
        ([3, 3], [2, 2], [1, 1], [0, 1, 1, 0]),
        ([3, 5], [1, 2], [2, 1], [2, 0, 3, 4]),
        ([4, 4], [2, 1], [1, 2], [4, 6, 0, 3]),
        ([5, 3], [1, 1], [3, 2], [6, 9, 6, 9]),
        ([7, 9], [1, 3], [1, 1], [3, 4, 3, 4]),
        ([8, 8], [1, 1], [1, 1], [4, 3, 4, 5]),
    ];
    for (i, channels) in SIZES.into_iter().chain([191, 192, 193, 256, 257, 300, 330, 512, 577]).enumerate() {
        for (j, (kernel, stride, dilation, pads)) in windows.into_iter().enumerate() {
            for padding in if channels > 130 { &PADDINGS[(i + j) % 3..][..1] } else { &PADDINGS } {
                // Wide and narrow pictures; the largest windows need their padding.
                let [h, w] = [[3, 9], [4, 3], [2, 6]][(i + j) % 3];
                let base = Conv::new([2, h, w, channels], channels, kernel);
                let conv = Conv { groups: channels, stride, dilation, pads, padding: *padding, ..base };
                let case = Case::new(conv, (i * 8 + j) as u64);
                failures.extend(case.failures(0..1));
                failures.extend(case.failures(1..conv.rows()));
            }
        }
    }
    assert_all(failures);
}

/// Groups of 2 to 32 channels and of others, whole words of them and parts.
#[test]
fn small_groups() {
    let mut failures = Vec::new();
    let windows = [
        ([1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
        ([3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
        ([2, 5], [2, 2], [1, 2], [1, 4, 3, 5]),
        ([4, 7], [1, 3], [1, 1], [3, 4, 3, 4]),
    ];
    for (i, group) in [2, 3, 4, 6, 8, 16, 32].into_iter().enumerate() {
        for (j, groups) in [1, 2, 8, 17, 33].into_iter().enumerate() {
            for (l, (kernel, stride, dilation, pads)) in windows.into_iter().enumerate() {
                let [h, w] = [[3, 9], [4, 3], [2, 6]][(i + j) % 3];
                let (channels, padding) = (group * groups, PADDINGS[(i + j + l) % 3]);
                let base = Conv::new([1, h, w, channels], channels, kernel);
                let case = Case::new(Conv { groups, stride, dilation, pads, padding, ..base }, (i * 64 + j) as u64);
                failures.extend(case.failures(0..case.conv.rows()));
            }
        }
    }
    assert_all(failures);
}

/// Several outputs of each channel, few outputs of groups, groups of other sizes in and out; pictures of one piece, of
/// several rows at a time, and wider than the room for copies.
#[test]
fn groups_that_are_copied() {
    let mut failures = Vec::new();
    let windows = [
        ([1, 1], [1, 1], [1, 1], [0, 0, 0, 0]),
        ([3, 3], [1, 1], [1, 1], [1, 1, 1, 1]),
        ([3, 3], [2, 2], [2, 1], [0, 1, 4, 2]),
        ([2, 5], [2, 3], [1, 2], [1, 4, 3, 5]),
        ([3, 1], [4, 5], [3, 7], [7, 0, 7, 2]),
    ];
    let sizes = [
        [1, 2],
        [1, 3],
        [1, 7],
        [2, 1],
        [2, 3],
        [3, 1],
        [3, 2],
        [3, 3],
        [5, 6],
        [6, 6],
        [7, 7],
        [8, 3],
        [1, 31],
        [3, 30],
    ];
    for (i, [group_in, group_out]) in sizes.into_iter().enumerate() {
        for (j, groups) in [2, 5, 21, 43].into_iter().enumerate() {
            for (l, (kernel, stride, dilation, pads)) in windows.into_iter().enumerate() {
                let outputs = group_out * groups;
                let [h, w] = match outputs {
                    0..64 => [[7, 9], [4, 31], [30, 6], [3, 400]][(i + j + l) % 4],
                    64..256 => [[7, 9], [2, 41], [15, 4]][(i + j + l) % 3],
                    _ => [3, 4],
                };
                let padding = PADDINGS[(i + j + l) % 3];
                let base = Conv::new([1, h, w, group_in * groups], outputs, kernel);
                let case = Case::new(Conv { groups, stride, dilation, pads, padding, ..base }, (i * 64 + j) as u64);
                failures.extend(case.failures(0..1));
                failures.extend(case.failures(1..case.conv.rows()));
            }
        }
    }
    assert_all(failures);
}

/// Thresholds around every count of small windows and at the ends of their range, in both directions.
#[test]
fn thresholds_around_every_count() {
    let mut failures = Vec::new();
    for (i, (kernel, group)) in
        [[1, 1], [3, 3], [3, 5], [4, 4], [7, 7], [7, 9]].into_iter().flat_map(|k| [1, 2, 4].map(|g| (k, g))).enumerate()
    {
        let k = (group * kernel[0] * kernel[1]) as i32;
        let around: Vec<i32> = (-k - 2..=k + 2).chain([i32::MIN, i32::MIN + 1, i32::MAX - 1, i32::MAX]).collect();
        let channels = (2 * around.len()).next_multiple_of(group);
        let (padding, groups) = (PADDINGS[(i + i / 3) % 3], channels / group);
        let conv = Conv { padding, groups, pads: [1, 2, 3, 1], ..Conv::new([1, 5, 7, channels], channels, kernel) };
        let mut case = Case::new(conv, k as u64);
        case.t = around.iter().cycle().copied().take(channels).collect();
        let directions: Vec<i32> = (0..channels).map(|i| if i < around.len() { 1 } else { -1 }).collect();
        case.flip = pack_rows(&directions, channels);
        failures.extend(case.failures(0..conv.rows()));
    }
    assert_all(failures);
}

/// Every pair of rows of up to 6 bits.
#[test]
fn exhaustive_small_k() {
    let mut failures = Vec::new();
    for k in 1..=6usize {
        let all: Vec<i32> =
            (0..1usize << k).flat_map(|row| (0..k).map(move |i| if row >> i & 1 == 1 { 1 } else { -1 })).collect();
        let conv = Conv::dense(1 << k, k, 1 << k);
        failures.extend(Case::of(conv, &all, &all, &mut Rng(k as u64)).failures(0..1 << k));
    }
    assert_all(failures);
}

/// The largest and smallest counts that the sums in bytes of a kernel can meet.
#[test]
fn all_bits_equal_or_different() {
    let mut failures = Vec::new();
    for k in (8..600).step_by(37).chain([240, 241, 248, 480, 1920, 15_360]) {
        for sign in [1, -1] {
            let (x, w) = (vec![1; 4 * k], vec![sign; 64 * k]);
            let case = Case::of(Conv::dense(4, k, 64), &x, &w, &mut Rng(k as u64));
            failures.extend(case.failures(0..4));
            failures.extend(case.failures(1..2));
        }
    }
    assert_all(failures);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_geometry(conv in convs(), seed: u64, split in 0.0..1.0f64) {
        let case = Case::new(conv, seed);
        let middle = (conv.rows() as f64 * split) as usize;
        let mut failures = case.failures(0..middle);
        failures.extend(case.failures(middle..conv.rows()));
        prop_assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
fn empty_batch_and_empty_range() {
    assert_all(Case::new(Conv::dense(0, 70, 40), 1).failures(0..0));
    assert_all(Case::new(Conv::dense(4, 70, 40), 1).failures(2..2));
}

mod refused {
    use super::*;

    fn dense() -> (Conv, Vec<u64>, Vec<u64>) {
        let case = Case::new(Conv::dense(2, 70, 40), 7);
        (case.conv, case.acts, case.rows)
    }

    fn packed(isa: Isa) -> Vec<u64> {
        let (conv, _, rows) = dense();
        let mut storage = vec![0; weights::packed_len(isa, &conv)];
        weights::pack(isa, &conv, &rows, &mut storage);
        storage
    }

    #[test]
    #[should_panic(expected = "weights packed for reference given to portable")]
    fn weights_of_another_isa() {
        let (conv, acts, _) = dense();
        let (reference, portable) = (Isa::by_name("reference").unwrap(), Isa::by_name("portable").unwrap());
        let storage = packed(reference);
        let weights = PackedWeights::new(reference, &conv, &storage);
        conv::dots(portable, &conv, &acts, &weights, 0..2, &mut [0; 80]);
    }

    #[test]
    #[should_panic(expected = "given to")]
    fn weights_of_another_geometry() {
        let (conv, acts, _) = dense();
        let storage = packed(Isa::best());
        let weights = PackedWeights::new(Isa::best(), &conv, &storage);
        let other = Conv { c_out: 39, ..conv };
        conv::dots(Isa::best(), &other, &acts, &weights, 0..2, &mut [0; 78]);
    }

    #[test]
    #[should_panic(expected = "packed words")]
    fn weights_of_another_length() {
        let storage = packed(Isa::best());
        PackedWeights::new(Isa::best(), &dense().0, &storage[1..]);
    }

    #[test]
    #[should_panic(expected = "activation words")]
    fn activations_of_another_length() {
        let (conv, acts, _) = dense();
        let storage = packed(Isa::best());
        let weights = PackedWeights::new(Isa::best(), &conv, &storage);
        conv::dots(Isa::best(), &conv, &acts[1..], &weights, 0..2, &mut [0; 80]);
    }

    #[test]
    #[should_panic(expected = "dot products")]
    fn output_of_another_length() {
        let (conv, acts, _) = dense();
        let storage = packed(Isa::best());
        let weights = PackedWeights::new(Isa::best(), &conv, &storage);
        conv::dots(Isa::best(), &conv, &acts, &weights, 0..2, &mut [0; 79]);
    }

    #[test]
    #[should_panic(expected = "rows 1..3 of 2")]
    fn rows_outside() {
        let (conv, acts, _) = dense();
        let storage = packed(Isa::best());
        let weights = PackedWeights::new(Isa::best(), &conv, &storage);
        conv::dots(Isa::best(), &conv, &acts, &weights, 1..3, &mut [0; 80]);
    }

    #[test]
    #[should_panic(expected = "thresholds for 40 channels")]
    fn thresholds_of_another_length() {
        let (conv, acts, _) = dense();
        let storage = packed(Isa::best());
        let weights = PackedWeights::new(Isa::best(), &conv, &storage);
        let thresholds = Thresholds { t: &[0; 39], flip: &[0] };
        conv::bits(Isa::best(), &conv, &acts, &weights, &thresholds, 0..2, &mut [0; 2]);
    }

    #[test]
    #[should_panic(expected = "the groups do not divide the channels")]
    fn invalid_geometry() {
        weights::packed_len(Isa::best(), &Conv { groups: 3, ..dense().0 });
    }
}

/// A layer in parts of its output channels is the whole layer, thresholds included.
#[test]
fn channels_in_parts() {
    for (conv, cuts) in [
        (Conv::dense(1, 100, 1000), vec![0, 64, 512, 1000]),
        (Conv::dense(3, 1024, 300), vec![0, 128, 300]),
        (Conv::dense(1, 4097, 128), vec![0, 64, 128]),
        (Conv::new([1, 3, 3, 33], 200, [3, 3]), vec![0, 64, 200]),
        (Conv::new([2, 5, 6, 64], 192, [3, 3]), vec![0, 128, 192]),
        (Conv::dense(2, 70, 40), vec![0, 40]),
    ] {
        let case = Case::new(conv, 11);
        for isa in Isa::all() {
            let mut storage = vec![0; weights::packed_len(isa, &conv)];
            weights::pack(isa, &conv, &case.rows, &mut storage);
            let packed = PackedWeights::new(isa, &conv, &storage);
            for channels in cuts.windows(2).map(|cut| cut[0]..cut[1]) {
                let (part, weights) = packed.channels(&conv, channels.clone());
                assert_eq!(part.c_out, channels.len());
                let rows = 0..conv.rows();
                let whole = case.dots.chunks_exact(conv.c_out);
                let dots: Vec<i32> = whole.flat_map(|dots| &dots[channels.clone()]).copied().collect();
                let mut out = vec![i32::MAX; dots.len()];
                conv::dots(isa, &part, &case.acts, &weights, rows.clone(), &mut out);
                assert!(out == dots, "dots on {} of {channels:?} of {conv:?}", isa.name());
                let words = channels.start / 64..channels.end.div_ceil(64);
                let thresholds = Thresholds { t: &case.t[channels.clone()], flip: &case.flip[words.clone()] };
                let expected = case.expected_bits(&case.dots);
                let whole = expected.chunks_exact(bits::words(conv.c_out));
                let expected: Vec<u64> = whole.flat_map(|bits| &bits[words.clone()]).copied().collect();
                let mut out = vec![u64::MAX; expected.len()];
                conv::bits(isa, &part, &case.acts, &weights, &thresholds, rows, &mut out);
                assert!(out == expected, "bits on {} of {channels:?} of {conv:?}", isa.name());
            }
        }
    }
}

#[test]
#[should_panic(expected = "channels 0..32")]
fn channels_that_are_no_blocks_are_refused() {
    let _ = Conv::dense(1, 64, 128).channels(0..32);
}
