//! A process that runs layers and models on demand and tells how long they took: signbit's side of
//! `benches/peers/infer`.
//!
//! One request per line of stdin, words separated by tabs; one line of JSON per answer. Arrays are files of
//! little-endian f32, activations `[N, H, W, C]`, weights `[O, kh, kw, I]`.
//!
//! | request | what it does |
//! |---|---|
//! | `layer N H W C_IN C_OUT KERNEL INPUT WEIGHT` | a binary convolution of stride 1 that keeps the size; `H W KERNEL` of 1: a dense layer |
//! | `model FILE N INPUT` | loads a model, plans it and runs it once |
//! | `winograd` | plans the model once more, with large real convolutions by minimal filtering |
//! | `run packed\|f32\|winograd SECONDS LEAST` | runs it again and again: packed bits to packed bits (layers only), or f32 to f32 |
//! | `idle` | nothing |
//! | `output f32\|winograd FILE` | writes the output of an f32 run |
//! | `twin MODEL FILE` | writes the same network in f32 as a model |

use std::{
    error::Error,
    fs,
    hint::black_box,
    io::{BufRead, Write},
    ops::Range,
    time::Instant,
};

use rustix::time::{ClockId, clock_gettime};
use signbit::{
    Isa, Model, Options, Session, f32_twin,
    model::{Geometry, ModelBuilder, Op, Padding, Shape, Tensor, file},
};
use signbit_kernels::{
    bits, conv,
    shape::{self, Conv},
    threshold::Thresholds,
    weights::{self, PackedWeights},
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Words that begin a line of the cache, as a session's do: elsewhere every second load would touch two lines.
struct Aligned {
    storage: Vec<u64>,
    range: Range<usize>,
}

impl Aligned {
    fn zeros(len: usize) -> Self {
        let storage = vec![0u64; len + 7];
        let start = storage.as_ptr().align_offset(64).min(7);
        Self { storage, range: start..start + len }
    }

    fn words(&self) -> &[u64] {
        &self.storage[self.range.clone()]
    }

    fn words_mut(&mut self) -> &mut [u64] {
        &mut self.storage[self.range.clone()]
    }
}

/// Packed operands of one layer, for the kernel alone.
struct Layer {
    isa: Isa,
    conv: Conv,
    acts: Aligned,
    weights: Aligned,
    thresholds: Vec<i32>,
    flip: Vec<u64>,
    out: Aligned,
}

impl Layer {
    fn new(conv: Conv, input: &[f32], weight: &[f32]) -> Self {
        let isa = Options::default().isa;
        let mut acts = Aligned::zeros(conv.n * conv.h * conv.w * bits::words(conv.c_in));
        bits::pack_signs(isa, input, conv.c_in, acts.words_mut());
        let mut rows = vec![0; conv.c_out * bits::words(conv.k())];
        bits::pack_signs(isa, weight, conv.k(), &mut rows);
        let mut packed = Aligned::zeros(weights::packed_len(isa, &conv));
        weights::pack(isa, &conv, &rows, packed.words_mut());
        Self {
            isa,
            conv,
            acts,
            weights: packed,
            thresholds: vec![3; conv.c_out],
            flip: vec![0; bits::words(conv.c_out)],
            out: Aligned::zeros(conv.rows() * conv.out_w() * bits::words(conv.c_out)),
        }
    }

    fn run(&mut self) {
        let packed = PackedWeights::new(self.isa, &self.conv, self.weights.words());
        let thresholds = Thresholds { t: &self.thresholds, flip: &self.flip };
        let rows = 0..self.conv.rows();
        let (acts, out) = (black_box(self.acts.words()), black_box(self.out.words_mut()));
        conv::bits(self.isa, &self.conv, acts, &packed, &thresholds, rows, out);
    }
}

/// What the last request has made ready.
struct Ready {
    layer: Option<Layer>,
    session: Session,
    winograd: Option<Session>,
    /// The model's file, if it is one.
    path: String,
    input: Vec<f32>,
    n: usize,
}

impl Ready {
    fn run(&mut self, variant: &str) -> Result<()> {
        match variant {
            "packed" => self.layer.as_mut().ok_or("a model has no packed run")?.run(),
            _ => {
                black_box(self.output(variant)?);
            }
        }
        Ok(())
    }

    fn output(&mut self, variant: &str) -> Result<&[f32]> {
        let session = match variant {
            "winograd" => self.winograd.as_mut().ok_or("it was not planned with winograd")?,
            _ => &mut self.session,
        };
        Ok(session.run(black_box(&self.input), self.n)?)
    }

    /// The median of a turn, and the CPU time of one of its runs.
    fn turn(&mut self, variant: &str, seconds: f64, least: usize) -> Result<String> {
        self.run(variant)?;
        let (mut times, turn, cpu) = (Vec::new(), Instant::now(), cpu_seconds());
        while times.len() < least || turn.elapsed().as_secs_f64() < seconds {
            let start = Instant::now();
            self.run(variant)?;
            times.push(start.elapsed().as_secs_f64());
        }
        let cpu = (cpu_seconds() - cpu) / times.len() as f64;
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        Ok(format!(r#"{{"wall_ms": {}, "cpu_ms": {}, "runs": {}}}"#, median * 1e3, cpu * 1e3, times.len()))
    }
}

/// What this process has used of the CPU.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn floats(path: &str) -> Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    Ok(bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

fn layer(sizes: [usize; 6], input: &str, weight: &str) -> Result<Ready> {
    let [n, h, w, c_in, c_out, kernel] = sizes;
    let (input, weight) = (floats(input)?, floats(weight)?);
    let pad = kernel / 2;
    let conv = Conv { pads: [pad; 4], padding: shape::Padding::One, ..Conv::new([n, h, w, c_in], c_out, [kernel; 2]) };
    let signs: Vec<i8> = weight.iter().map(|&w| if w >= 0.0 { 1 } else { -1 }).collect();
    let dense = [h, w, kernel] == [1; 3];
    let mut b = ModelBuilder::new(if dense { Shape::vector(c_in) } else { Shape::new(h, w, c_in) });
    let dims = if dense { vec![c_out, c_in] } else { vec![c_out, kernel, kernel, c_in] };
    b.tensor("weight", Tensor::bits_from_signs(dims, &signs)?);
    let sign = b.node("sign", Op::Sign, &[b.input()]);
    let weight_name = "weight".to_owned();
    let op = if dense {
        Op::BinaryDense { weight: weight_name }
    } else {
        let geometry = Geometry::padded([kernel; 2], [1, 1], pad);
        Op::BinaryConv2d { weight: weight_name, geometry, groups: 1, padding: Padding::One }
    };
    let product = b.node("product", op, &[sign]);
    let session = Session::new(&b.finish(product)?, Options { batch: n, ..Options::default() })?;
    let layer = Some(Layer::new(conv, &input, &weight));
    Ok(Ready { layer, session, winograd: None, path: String::new(), input, n })
}

/// Loads a model; with it the milliseconds from the file to the first output.
fn model(path: &str, n: usize, input: &str) -> Result<(Ready, f64)> {
    let input = floats(input)?;
    let start = Instant::now();
    let session = Model::load(path)?.into_session(Options { batch: n, ..Options::default() })?;
    let mut ready = Ready { layer: None, session, winograd: None, path: path.to_owned(), input, n };
    ready.run("f32")?;
    Ok((ready, start.elapsed().as_secs_f64() * 1e3))
}

fn answer(ready: &mut Option<Ready>, request: &str) -> Result<String> {
    let words: Vec<&str> = request.split('\t').collect();
    match words[..] {
        ["layer", n, h, w, c_in, c_out, kernel, input, weight] => {
            let sizes = [n.parse()?, h.parse()?, w.parse()?, c_in.parse()?, c_out.parse()?, kernel.parse()?];
            let made = ready.insert(layer(sizes, input, weight)?);
            Ok(format!(r#"{{"isa": "{}"}}"#, made.session.isa().name()))
        }
        ["model", path, n, input] => {
            *ready = None;
            let (made, first_ms) = model(path, n.parse()?, input)?;
            let isa = made.session.isa().name();
            *ready = Some(made);
            Ok(format!(r#"{{"isa": "{isa}", "first_ms": {first_ms}}}"#))
        }
        ["idle"] => Ok("{}".to_owned()),
        ["winograd"] => {
            let ready = ready.as_mut().ok_or("nothing is ready")?;
            let options = Options { batch: ready.n, winograd: true, ..Options::default() };
            ready.winograd = Some(Model::load(&ready.path)?.into_session(options)?);
            Ok("{}".to_owned())
        }
        ["run", variant @ ("packed" | "f32" | "winograd"), seconds, least] => {
            let ready = ready.as_mut().ok_or("nothing is ready")?;
            ready.turn(variant, seconds.parse()?, least.parse()?)
        }
        ["output", variant @ ("f32" | "winograd"), path] => {
            let ready = ready.as_mut().ok_or("nothing is ready")?;
            let output = ready.output(variant)?;
            fs::write(path, output.iter().flat_map(|y| y.to_le_bytes()).collect::<Vec<_>>())?;
            Ok("{}".to_owned())
        }
        ["twin", from, to] => {
            let twin = f32_twin(Model::load(from)?.data())?;
            file::save(twin.data(), to)?;
            Ok("{}".to_owned())
        }
        _ => Err(format!("no such request: {request}").into()),
    }
}

fn main() -> Result<()> {
    let mut ready = None;
    let mut stdout = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let told = answer(&mut ready, &line?).unwrap_or_else(|why| {
            let why = why.to_string().replace(['"', '\\'], "'");
            format!(r#"{{"failed": "{why}"}}"#)
        });
        writeln!(stdout, "{told}")?;
        stdout.flush()?;
    }
    Ok(())
}
