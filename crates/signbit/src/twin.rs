//! The real-valued twin of a network, for comparing speed.

use std::collections::{BTreeMap, BTreeSet};

use signbit_model::{Graph, Node, NodeError, Op, Tensor, ValueId};

use crate::{Error, Model};

/// What a sign becomes.
const CLIP: Op = Op::Clip { min: -1.0, max: 1.0 };

/// The same network in f32: what its layers cost without bits.
///
/// Every layer has the shape and the multiply-accumulates of the original; the **answers differ**.
/// Binary convolutions and dense layers become real ones with weights +1.0 and -1.0, of which padding counts
/// as 0. `sign` and `rsign` become a clip to -1..=1, `unpack` goes, a threshold becomes a multiply-add (by the direction, with the
/// threshold subtracted) and that clip. What pooled or moved bits now pools or moves real numbers.
///
/// # Errors
/// [`Error::Model`] where `model` is not valid.
pub fn f32_twin(model: &signbit_model::Model) -> Result<Model, Error> {
    model.validate()?;
    let mut twin = Twin {
        model,
        nodes: Vec::new(),
        tensors: BTreeMap::new(),
        values: vec![ValueId::INPUT],
        names: model.graph.nodes.iter().map(|node| node.name.clone()).collect(),
    };
    for node in &model.graph.nodes {
        let output = twin.node(node)?;
        twin.values.push(output);
    }
    let output = twin.values[model.graph.output.index()];
    let graph = Graph { input: model.graph.input, nodes: twin.nodes, output };
    Model::new(signbit_model::Model { graph, tensors: twin.tensors, ..model.clone() })
}

struct Twin<'a> {
    model: &'a signbit_model::Model,
    nodes: Vec<Node>,
    tensors: BTreeMap<String, Tensor>,
    /// By value of the original: its twin.
    values: Vec<ValueId>,
    /// All names of nodes so far.
    names: BTreeSet<String>,
}

impl Twin<'_> {
    /// Adds the twin of one node and returns its output.
    fn node(&mut self, node: &Node) -> Result<ValueId, Error> {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|id| self.values[id.index()]).collect();
        let op = match node.op.clone() {
            Op::BinaryConv2d { weight, geometry, groups, padding: _ } => {
                self.real_weight(node, &weight)?;
                Op::Conv2d { weight, bias: None, geometry, groups }
            }
            Op::BinaryConv2dTranspose { weight, geometry, groups } => {
                self.real_weight(node, &weight)?;
                Op::Conv2dTranspose { weight, bias: None, geometry, groups }
            }
            Op::BinaryDense { weight } => {
                self.real_weight(node, &weight)?;
                Op::Dense { weight, bias: None }
            }
            // The operand is real already.
            Op::Unpack => return Ok(inputs[0]),
            Op::Sign | Op::RSign { .. } => CLIP,
            Op::Threshold { threshold, flip } => {
                let folded = self.folded(node, &threshold, &flip)?;
                let shifted = self.push(folded.0, folded.1, &inputs);
                return Ok(self.push(node.name.clone(), CLIP, &[shifted]));
            }
            op @ (Op::Conv2d { .. } | Op::Conv2dTranspose { .. } | Op::Dense { .. }) => {
                for name in op.tensors() {
                    self.real_weight(node, name)?;
                }
                op
            }
            op => {
                for name in op.tensors() {
                    self.tensors.insert(name.to_owned(), self.tensor(node, name)?.clone());
                }
                op
            }
        };
        Ok(self.push(node.name.clone(), op, &inputs))
    }

    fn push(&mut self, name: String, op: Op, inputs: &[ValueId]) -> ValueId {
        self.nodes.push(Node { name, op, inputs: inputs.to_vec() });
        ValueId::of_node(self.nodes.len() - 1)
    }

    fn tensor(&self, node: &Node, name: &str) -> Result<&Tensor, Error> {
        self.model.tensors.get(name).ok_or_else(|| {
            let source = NodeError::MissingTensor { tensor: name.to_owned() };
            signbit_model::ModelError::Node { node: node.name.clone(), source }.into()
        })
    }

    /// Takes a tensor over, bits as +1.0 and -1.0.
    fn real_weight(&mut self, node: &Node, name: &str) -> Result<(), Error> {
        let tensor = self.tensor(node, name)?;
        let real = match tensor.to_signs() {
            Some(signs) => {
                let data = signs.into_iter().map(f32::from).collect();
                Tensor::F32 { shape: tensor.shape().to_vec(), data }
            }
            None => tensor.clone(),
        };
        self.tensors.insert(name.to_owned(), real);
        Ok(())
    }

    /// `(x - t) * direction` as a multiply-add with a name of its own and tensors named after it.
    fn folded(&mut self, node: &Node, threshold: &str, flip: &str) -> Result<(String, Op), Error> {
        let flips = self.tensor(node, flip)?.to_signs().unwrap_or_default();
        let mul: Vec<f32> = flips.into_iter().map(|flip| -f32::from(flip)).collect();
        let t = self.tensor(node, threshold)?.as_i32().unwrap_or_default();
        let add: Vec<f32> = t.iter().zip(&mul).map(|(&t, mul)| -(t as f32) * mul).collect();
        let name = self.unused_name();
        let (mul_name, add_name) = (format!("{name}.mul"), format!("{name}.add"));
        self.tensors.insert(mul_name.clone(), Tensor::F32 { shape: vec![mul.len()], data: mul });
        self.tensors.insert(add_name.clone(), Tensor::F32 { shape: vec![add.len()], data: add });
        Ok((name, Op::MulAdd { mul: mul_name, add: add_name }))
    }

    /// A name that neither a node nor the tensors of one have.
    fn unused_name(&mut self) -> String {
        let mut i = self.nodes.len();
        loop {
            let name = format!("folded{i}");
            let taken = |tensor: &str| self.model.tensors.contains_key(tensor);
            if !taken(&format!("{name}.mul")) && !taken(&format!("{name}.add")) && self.names.insert(name.clone()) {
                return name;
            }
            i += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::{
        DType, Geometry, ModelBuilder, Padding, Shape, TransposedGeometry, interpreter, size::SizeTable,
    };

    use super::*;

    /// Every operator that the twin replaces, each tensor name that it might choose taken already.
    fn original() -> signbit_model::Model {
        let mut b = ModelBuilder::new(Shape::new(4, 4, 2));
        b.tensor("folded3.mul", Tensor::bits_from_signs([2, 3, 3, 2], &[1, -1, -1, 1].repeat(9)).unwrap());
        b.tensor("t", Tensor::i32([2], vec![3, i32::MAX]).unwrap());
        b.tensor("f", Tensor::bits_from_signs([1, 2], &[-1, 1]).unwrap());
        b.tensor("s", Tensor::f32([2], vec![0.5, -0.5]).unwrap());
        b.tensor("w2", Tensor::bits_from_signs([3, 6], &[1; 18]).unwrap());
        b.tensor("w3", Tensor::bits_from_signs([2, 3], &[1; 6]).unwrap());
        let geometry = Geometry::padded([3, 3], [1, 1], 1);
        let x = b.node("sign", Op::Sign, &[b.input()]);
        let conv = Op::BinaryConv2d { weight: "folded3.mul".into(), geometry, groups: 1, padding: Padding::One };
        let x = b.node("conv", conv, &[x]);
        let x = b.node("t", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x]);
        let geometry = TransposedGeometry::valid([3, 3], [2, 2], [1, 1]);
        b.node("up", Op::BinaryConv2dTranspose { weight: "folded3.mul".into(), geometry, groups: 1 }, &[x]);
        let x = b.node("pool", Op::MaxPool2d { geometry: Geometry::valid([2, 2], [2, 2], [1, 1]) }, &[x]);
        let x = b.node("pad", Op::Pad { pads: [0, 1, 0, 0], value: -1.0 }, &[x]);
        let x = b.node("slice", Op::Slice { start: 0, end: 1 }, &[x]);
        let r = b.node("rsign", Op::RSign { shift: "s".into() }, &[b.input()]);
        b.node("folded2", Op::GlobalMaxPool, &[r]);
        let x = b.node("flat", Op::Flatten, &[x]);
        let x = b.node("fc", Op::BinaryDense { weight: "w2".into() }, &[x]);
        let x = b.node("s2", Op::Sign, &[x]);
        let x = b.node("fc2", Op::BinaryDense { weight: "w3".into() }, &[x]);
        b.finish(x).unwrap()
    }

    #[test]
    fn same_shapes_and_macs_without_bits() {
        let original = original();
        let twin = f32_twin(&original).unwrap();
        let (before, after) = (SizeTable::of(&original).unwrap(), SizeTable::of(twin.data()).unwrap());
        assert_eq!((after.binary_macs, after.real_macs), (0, before.binary_macs + before.real_macs));
        for node in before.nodes {
            let twin = after.nodes.iter().find(|twin| twin.name == node.name).unwrap();
            assert_eq!((twin.output.shape, twin.output.dtype), (node.output.shape, DType::F32), "{}", node.name);
        }
    }

    /// With one input channel per threshold and no padding, the sign of the twin's clip is the bit.
    #[test]
    fn thresholds_keep_their_sign() {
        let mut b = ModelBuilder::new(Shape::vector(3));
        b.tensor("w", Tensor::bits_from_signs([4, 3], &[1, 1, 1, 1, 1, 1, -1, 1, -1, 1, -1, -1]).unwrap());
        b.tensor("t", Tensor::i32([4], vec![2, 2, -2, i32::MIN]).unwrap());
        b.tensor("f", Tensor::bits_from_signs([1, 4], &[-1, 1, 1, -1]).unwrap());
        let x = b.node("sign", Op::Sign, &[b.input()]);
        let x = b.node("fc", Op::BinaryDense { weight: "w".into() }, &[x]);
        let x = b.node("t", Op::Threshold { threshold: "t".into(), flip: "f".into() }, &[x]);
        let model = b.finish(x).unwrap();
        let twin = f32_twin(&model).unwrap();
        for code in 0..8 {
            let input = [0, 1, 2].map(|i| if code >> i & 1 == 1 { 1.0 } else { -1.0 });
            let bits = interpreter::run(&model, 1, &input).unwrap().data;
            let clipped = twin.run(&input).unwrap();
            let signs = clipped.iter().map(|&y| if y >= 0.0 { 1 } else { -1 }).collect();
            assert_eq!(bits, interpreter::ValueData::Bits(signs), "{input:?}");
        }
    }

    #[test]
    fn an_invalid_model_has_no_twin() {
        let mut model = original();
        model.tensors.remove("t");
        assert!(matches!(f32_twin(&model), Err(Error::Model(_))));
    }
}
