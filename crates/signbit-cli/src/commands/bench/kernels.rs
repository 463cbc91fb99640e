//! `signbit bench kernels`: the binary kernel of each instruction set by itself, on one thread.

use std::hint::black_box;
use std::time::Instant;

use clap::Args;
use serde_json::json;
use signbit::Isa;
use signbit_kernels::{Conv, PackedWeights, Thresholds, bits, conv, weights};

use super::clock::{Clock, Spread, seconds, spread};
use super::shape::{DEFAULT, Shape};
use crate::args::JsonArg;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::{grouped, short, table};

/// Measure the binary kernels of each instruction set that this processor has, layer shape by layer shape
#[derive(Args, Debug)]
#[command(after_help = "\
EXAMPLE:
  signbit bench kernels
  signbit bench kernels --shape 28x28x128,3,128
  signbit bench kernels --shape 1024,4096,batch=16 28x28x128,3,128,groups=128 --seconds 0.5

A shape is HEIGHTxWIDTHxCHANNELS,KERNEL,OUTPUTS for a convolution, padded so that its output is as large as its
input, or INPUTS,OUTPUTS for a dense layer. groups=G, stride=S and batch=N may follow.

The table shows 10^9 multiply-accumulates per second: bits in, sums compared with thresholds, bits out, the median
of the calls on one thread. * marks the instruction set that signbit picks on this processor. The reference kernels,
which exist to be right, are left out.")]
pub(super) struct KernelsArgs {
    /// Layer shapes [default: those of a ResNet-18, pointwise, dense, odd and depthwise ones]
    #[arg(long = "shape", value_name = "HxWxC,K,O", num_args = 1..)]
    shapes: Vec<Shape>,
    /// How long to measure each shape on each instruction set
    #[arg(long, value_name = "S", default_value_t = 0.1, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    json: JsonArg,
}

pub(super) fn run(args: &KernelsArgs) -> Result<(), Failure> {
    let out = args.json.out();
    let shapes = if args.shapes.is_empty() { defaults()? } else { args.shapes.clone() };
    let isas: Vec<_> = Isa::all().filter(|isa| isa.name() != "reference").collect();
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    for shape in &shapes {
        let (macs, clock) = (shape.macs(), shape.to_string());
        let times: Vec<_> = isas.iter().map(|&isa| (isa, times(isa, &shape.conv, &clock, args.seconds))).collect();
        let rate = |ms: &Spread| macs as f64 / ms.median / 1e6;
        let mut row = vec![shape.to_string(), grouped(macs)];
        row.extend(times.iter().map(|(_, ms)| short(rate(ms))));
        rows.push(row);
        let kernels = times.iter().map(|(isa, ms)| {
            json!({ "isa": isa.name(), "pick": *isa == Isa::best(), "ms": ms, "gmac_per_second": rate(ms) })
        });
        documents.push(json!({ "shape": shape.to_string(), "macs": macs, "kernels": kernels.collect::<Vec<_>>() }));
    }
    let names = isas.iter().map(|isa| format!("{}{}", isa.name(), if *isa == Isa::best() { " *" } else { "" }));
    let head: Vec<_> = ["shape".to_owned(), "MACs".to_owned()].into_iter().chain(names).collect();
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    out.headed(table(&head, 1, rows))?;
    out.text("\nGMAC/s on one thread; * is what signbit picks here")?;
    out.json(&json!({
        "record": "signbit bench kernels", "version": env!("CARGO_PKG_VERSION"), "cpu": Machine::look().cpu,
        "best_isa": Isa::best().name(), "seconds": args.seconds, "shapes": documents,
    }))
}

fn defaults() -> Result<Vec<Shape>, Failure> {
    DEFAULT.iter().map(|text| text.parse().map_err(Failure::Input)).collect()
}

/// The times of a call in ms.
fn times(isa: Isa, conv: &Conv, name: &str, seconds: f64) -> Spread {
    let rows = noise_bits(conv.c_out, conv.k());
    let acts = noise_bits(conv.n * conv.h * conv.w, conv.c_in);
    let mut storage = vec![0; weights::packed_len(isa, conv)];
    weights::pack(isa, conv, &rows, &mut storage);
    let packed = PackedWeights::new(isa, conv, &storage);
    let (t, flip) = (vec![0; conv.c_out], noise_bits(1, conv.c_out));
    let thresholds = Thresholds { t: &t, flip: &flip };
    let mut out = vec![0; conv.rows() * conv.out_w() * bits::words(conv.c_out)];
    let mut call = || {
        let start = Instant::now();
        conv::bits(isa, conv, black_box(&acts), &packed, &thresholds, 0..conv.rows(), black_box(&mut out));
        start.elapsed().as_secs_f64() * 1e3
    };
    // The first one is for the caches.
    call();
    let clock = Clock::start(&format!("{name} {}", isa.name()), seconds);
    let mut ms = Vec::new();
    while clock.goes_on(ms.len()) {
        ms.push(call());
    }
    clock.end();
    spread(ms.into_iter())
}

/// `rows` of `len` bits without a pattern; the bits behind the last one are 0.
fn noise_bits(rows: usize, len: usize) -> Vec<u64> {
    let words = bits::words(len);
    let mut noise: Vec<u64> = (1..=(rows * words) as u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    if !len.is_multiple_of(64) {
        noise.chunks_exact_mut(words).for_each(|row| row[words - 1] &= (1 << (len % 64)) - 1);
    }
    noise
}
