//! Throughput of each instruction set on one core: the best of several runs.
//!
//! `cargo run --release -p signbit-kernels --example throughput [SECONDS_PER_CASE [PART_OF_NAME]]`
//!
//! Binary and real layers count one multiply-accumulate as one MAC; packing counts numbers.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use signbit_kernels::{
    Isa, bits, conv, real,
    shape::Conv,
    threshold::Thresholds,
    weights::{self, PackedWeights},
};

/// Seconds of the best run.
fn best(budget: Duration, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::MAX;
    while best == f64::MAX || start.elapsed() < budget {
        let run_start = Instant::now();
        run();
        best = best.min(run_start.elapsed().as_secs_f64());
    }
    best
}

fn same(size: usize, channels: [usize; 2], kernel: usize) -> Conv {
    let conv = Conv::new([1, size, size, channels[0]], channels[1], [kernel; 2]);
    Conv { pads: [kernel / 2; 4], ..conv }
}

fn words(len: usize) -> Vec<u64> {
    (1..=len as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
}

fn macs(conv: &Conv) -> f64 {
    (conv.rows() * conv.out_w() * conv.c_out * conv.k()) as f64
}

fn binary(isa: Isa, conv: &Conv, budget: Duration) -> f64 {
    let rows = words(conv.c_out * bits::words(conv.k()));
    let acts = words(conv.n * conv.h * conv.w * bits::words(conv.c_in));
    let mut storage = vec![0; weights::packed_len(isa, conv)];
    weights::pack(isa, conv, &rows, &mut storage);
    let packed = PackedWeights::new(isa, conv, &storage);
    let (t, flip) = (vec![3; conv.c_out], words(bits::words(conv.c_out)));
    let thresholds = Thresholds { t: &t, flip: &flip };
    let mut out = vec![0; conv.rows() * conv.out_w() * bits::words(conv.c_out)];
    let seconds = best(budget, || {
        conv::bits(isa, conv, black_box(&acts), &packed, &thresholds, 0..conv.rows(), black_box(&mut out));
    });
    macs(conv) / seconds / 1e9
}

fn real(isa: Isa, conv: &Conv, budget: Duration) -> f64 {
    let x = vec![0.5; conv.n * conv.h * conv.w * conv.c_in];
    let mut packed = vec![0.0; real::pack_len(isa, conv)];
    real::pack(isa, conv, &vec![0.25; conv.c_out * conv.k()], &mut packed);
    let mut out = vec![0.0; conv.rows() * conv.out_w() * conv.c_out];
    let seconds = best(budget, || {
        real::conv2d(isa, conv, black_box(&x), &packed, None, 0..conv.rows(), black_box(&mut out));
    });
    macs(conv) / seconds / 1e9
}

fn packing(isa: Isa, budget: Duration) -> [f64; 2] {
    let mut x: Vec<f32> = (0..32 * 1024).map(|i| i as f32 - 16_000.0).collect();
    let mut packed = vec![0; x.len() / 64];
    let pack = best(budget, || bits::pack_signs(isa, black_box(&x), 128, black_box(&mut packed)));
    let unpack = best(budget, || bits::unpack_signs(isa, black_box(&packed), 128, black_box(&mut x)));
    [x.len() as f64 / pack / 1e9, x.len() as f64 / unpack / 1e9]
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0.3);
    let budget = Duration::from_secs_f64(seconds);
    let binary_cases = [
        ("56x56x64 3x3 to 64", same(56, [64, 64], 3)),
        ("28x28x128 3x3 to 128", same(28, [128, 128], 3)),
        ("14x14x256 3x3 to 256", same(14, [256, 256], 3)),
        ("7x7x512 3x3 to 512", same(7, [512, 512], 3)),
        ("28x28x256 1x1 to 256", same(28, [256, 256], 1)),
        ("dense 1024 to 1024, batch 64", Conv::dense(64, 1024, 1024)),
        ("dense 1024 to 1024, batch 1", Conv::dense(1, 1024, 1024)),
        ("dense 4096 to 4096, batch 1", Conv::dense(1, 4096, 4096)),
        ("28x28x100 3x3 to 100", same(28, [100, 100], 3)),
        ("28x28x128 3x3 depthwise", Conv { groups: 128, ..same(28, [128, 128], 3) }),
    ];
    let real_cases = [
        ("real 32x32x3 3x3 to 64", same(32, [3, 64], 3)),
        ("real 28x28x32 3x3 to 32", same(28, [32, 32], 3)),
        ("real 28x28x32 3x3 depthwise", Conv { groups: 32, ..same(28, [32, 32], 3) }),
        ("real dense 784 to 1024, batch 64", Conv::dense(64, 784, 1024)),
        ("real dense 1024 to 10, batch 64", Conv::dense(64, 1024, 10)),
        ("real dense 1024 to 10, batch 1", Conv::dense(1, 1024, 10)),
    ];
    let filter = std::env::args().nth(2).unwrap_or_default();
    for isa in Isa::all().filter(|isa| isa.name() != "reference") {
        let report = |name: &str, unit: &str, run: &dyn Fn() -> f64| {
            if name.contains(&filter) {
                println!("{:10} {name:34} {:8.1} {unit}", isa.name(), run());
            }
        };
        for (name, conv) in &binary_cases {
            report(name, "GMAC/s", &|| binary(isa, conv, budget));
        }
        for (name, conv) in &real_cases {
            report(name, "GMAC/s", &|| real(isa, conv, budget));
        }
        report("pack_signs", "G/s", &|| packing(isa, budget)[0]);
        report("unpack_signs", "G/s", &|| packing(isa, budget)[1]);
    }
}
