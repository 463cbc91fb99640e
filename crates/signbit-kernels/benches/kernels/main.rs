//! Micro-benchmarks of each instruction set of this CPU, on one thread. A layer counts multiply-accumulates, packing
//! numbers, as items.
//!
//! `cargo bench -p signbit-kernels [-- PART_OF_NAME]`

mod shapes;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use shapes::Case;
use signbit_kernels::{Isa, PackedWeights, Thresholds, bits, conv, real, sign_gemm, weights};

fn main() {
    divan::main();
}

fn words(len: usize) -> Vec<u64> {
    (1..=len as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
}

/// `rows` of `len` bits; those behind the last one are 0.
fn rows(rows: usize, len: usize) -> Vec<u64> {
    let mut all = words(rows * bits::words(len));
    if !len.is_multiple_of(64) {
        all.chunks_exact_mut(bits::words(len)).for_each(|row| row[len / 64] &= (1 << (len % 64)) - 1);
    }
    all
}

/// A binary layer from bits to bits.
#[divan::bench(args = shapes::binary())]
fn conv_bits(bencher: Bencher<'_, '_>, case: &Case) {
    let Case { isa, conv, .. } = case;
    let mut storage = vec![0; weights::packed_len(*isa, conv)];
    weights::pack(*isa, conv, &rows(conv.c_out, conv.k()), &mut storage);
    let packed = PackedWeights::new(*isa, conv, &storage);
    let acts = rows(conv.n * conv.h * conv.w, conv.c_in);
    let (t, flip) = (vec![3; conv.c_out], rows(1, conv.c_out));
    let thresholds = Thresholds { t: &t, flip: &flip };
    let mut out = vec![0; conv.rows() * conv.out_w() * bits::words(conv.c_out)];
    bencher.counter(ItemsCount::new(case.macs())).bench_local(|| {
        conv::bits(*isa, conv, black_box(&acts), &packed, &thresholds, 0..conv.rows(), black_box(&mut out));
    });
}

/// A real layer.
#[divan::bench(args = shapes::real())]
fn conv_real(bencher: Bencher<'_, '_>, case: &Case) {
    let Case { isa, conv, .. } = case;
    let x = vec![0.5; conv.n * conv.h * conv.w * conv.c_in];
    let mut packed = vec![0.0; real::pack_len(*isa, conv)];
    real::pack(*isa, conv, &vec![0.25; conv.c_out * conv.k()], &mut packed);
    let mut out = vec![0.0; conv.rows() * conv.out_w() * conv.c_out];
    bencher.counter(ItemsCount::new(case.macs())).bench_local(|| {
        real::conv2d(*isa, conv, black_box(&x), &packed, None, 0..conv.rows(), black_box(&mut out));
    });
}

/// 1,024 rows of 1,024 signs times 16 columns of real numbers.
#[divan::bench(args = shapes::isas().map(Isa::name))]
fn sign_panel(bencher: Bencher<'_, '_>, isa: &str) {
    let (isa, m, k) = (Isa::by_name(isa).expect("a name of this list"), 1024, 1024);
    let (signs, b) = (rows(m, k), vec![0.5; k * sign_gemm::COLUMNS]);
    let mut out = vec![0.0; m * sign_gemm::COLUMNS];
    let mut tables = sign_gemm::Tables::default();
    bencher.counter(ItemsCount::new(m * k * sign_gemm::COLUMNS)).bench_local(|| {
        sign_gemm::panel(isa, m, k, black_box(&signs), black_box(&b), &mut tables, black_box(&mut out));
    });
}

/// Channels of a packed pixel, and pixels.
const CHANNELS: usize = 128;
const PIXELS: usize = 256;

#[divan::bench(args = shapes::isas().map(Isa::name))]
fn pack_signs(bencher: Bencher<'_, '_>, isa: &str) {
    let isa = Isa::by_name(isa).expect("a name of this list");
    let x: Vec<f32> = (0..PIXELS * CHANNELS).map(|i| i as f32 - 16_000.0).collect();
    let mut packed = vec![0; PIXELS * bits::words(CHANNELS)];
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| {
        bits::pack_signs(isa, black_box(&x), CHANNELS, black_box(&mut packed));
    });
}

#[divan::bench(args = shapes::isas().map(Isa::name))]
fn unpack_signs(bencher: Bencher<'_, '_>, isa: &str) {
    let isa = Isa::by_name(isa).expect("a name of this list");
    let packed = words(PIXELS * bits::words(CHANNELS));
    let mut x = vec![0.0; PIXELS * CHANNELS];
    bencher.counter(ItemsCount::new(x.len())).bench_local(|| {
        bits::unpack_signs(isa, black_box(&packed), CHANNELS, black_box(&mut x));
    });
}
