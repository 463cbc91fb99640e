//! FINN's LFC-w1a1, a network of others, gets exactly as many MNIST test pictures right as ONNX Runtime does with it.

use std::path::Path;

use signbit_convert::{Warning, onnx, passes};
use signbit_model::Op;

/// Right ones of 10,000, by ONNX Runtime; of equal outputs, the first one counts.
const RIGHT: usize = 9835;

#[test]
fn lfc_w1a1_gets_9835_of_10000() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |path: &str| std::fs::read(root.join(path));
    let (Ok(file), Ok(pictures), Ok(labels)) = (
        read("../shared/pretrained/lfc-w1a1.onnx"),
        read("data/mnist/t10k-images-idx3-ubyte"),
        read("data/mnist/t10k-labels-idx1-ubyte"),
    ) else {
        eprintln!("skipped: the network or the MNIST test set is missing");
        return;
    };
    let imported = onnx::read(&file).unwrap();
    let zeros = imported.warnings.iter().filter(|w| matches!(w, Warning::SignOfZero { .. })).count();
    assert_eq!((zeros, imported.operators["MatMul"], imported.operators["BatchNormalization"]), (4, 4, 3));

    // All four dense layers of it are binary, and the batch norms thresholds.
    let imported = passes::simplify(imported).unwrap();
    let count = |of: fn(&Op) -> bool| imported.model.graph.nodes.iter().filter(|node| of(&node.op)).count();
    assert_eq!(count(|op| matches!(op, Op::BinaryDense { .. })), 4);
    assert_eq!(count(|op| matches!(op, Op::Threshold { .. })), 3);

    let model = signbit::Model::new(imported.model).unwrap();
    let mut session = model.session(signbit::Options { batch: 500, ..Default::default() }).unwrap();
    let mut right = 0;
    for (pictures, labels) in pictures[16..].chunks(500 * 784).zip(labels[8..].chunks(500)) {
        let input: Vec<f32> = pictures.iter().map(|&p| f32::from(p) / 255.0).collect();
        let scores = session.run(&input, labels.len()).unwrap();
        for (scores, &label) in scores.chunks(10).zip(labels) {
            let best = (0..10).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
            right += usize::from(best == usize::from(label));
        }
    }
    assert_eq!(right, RIGHT);
}
