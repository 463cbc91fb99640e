//! Layers with weights.

use signbit_model::{Geometry, Node, Padding, Shape, Tensor, TransposedGeometry, ValueId};

use super::super::{int, refuse, weights};
use super::graph::{Writer, integer, ints};
use super::{FORMAT, Lowering, pad_value};
use crate::ConvertError;

impl Lowering<'_> {
    /// `Conv` on `[N, C, H, W]`.
    pub(super) fn conv(
        &mut self,
        node: &Node,
        x: &str,
        weight: &str,
        bias: Option<&str>,
        geometry: &Geometry,
        groups: usize,
    ) -> Result<String, ConvertError> {
        let weight = self.weight(node, weight)?;
        let bias = bias.map(|bias| self.bias(node, bias)).transpose()?;
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        Ok(self.w.node(&node.name, "Conv", &inputs, window(geometry, Some(groups))?))
    }

    pub(super) fn binary_conv(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        weight: &str,
        geometry: &Geometry,
        groups: usize,
        padding: Padding,
    ) -> Result<String, ConvertError> {
        let [kh, kw] = geometry.kernel;
        self.check_row(node, (kh * kw).saturating_mul(self.shape(x).c / groups.max(1)))?;
        let mut geometry = *geometry;
        let mut x = self.map(&node.name, x)?;
        if padding != Padding::Zero {
            x = self.pad(&node.name, &x, geometry.pads, pad_value(padding))?;
            geometry.pads = [0; 4];
        }
        let y = self.conv(node, &x, weight, None, &geometry, groups)?;
        Ok(self.settle(&node.name, y, output))
    }

    /// `ConvTranspose`, with weights `[C, O / groups, kh, kw]`.
    pub(super) fn transposed(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        weight: &str,
        bias: Option<&str>,
        geometry: &TransposedGeometry,
        groups: usize,
    ) -> Result<String, ConvertError> {
        // ONNX adds fewer rows than a step has.
        let (added, stride) = (geometry.output_padding, geometry.stride);
        if added[0] >= stride[0].max(geometry.dilation[0]) || added[1] >= stride[1].max(geometry.dilation[1]) {
            return Err(refuse(node, FORMAT, format!("{added:?} added rows and columns with steps of {stride:?}")));
        }
        let x = self.map(&node.name, x)?;
        let tensor = weights::tensor(self.model, node, weight)?;
        let shape = tensor.shape();
        let &[o, kh, kw, c] = shape else {
            return Err(refuse(node, FORMAT, "a weight of another rank"));
        };
        let dims = dims(&[c * groups, o / groups.max(1), kh, kw])?;
        let weight = self.w.shared(format!("transposed {groups} {weight}"), |w| match tensor {
            Tensor::Bits { .. } => {
                packed_signs(w, weight, &dims, &weights::ohwi_to_iohw(&weights::signs(tensor), shape, groups))
            }
            _ => Ok(w.reals(weight, &dims, &weights::ohwi_to_iohw(&weights::reals(tensor), shape, groups))),
        })?;
        let bias = bias.map(|bias| self.bias(node, bias)).transpose()?;
        let inputs: Vec<&str> = [x.as_str(), &weight].into_iter().chain(bias.as_deref()).collect();
        let TransposedGeometry { kernel, stride, dilation, pads, output_padding } = *geometry;
        let mut attributes = window(&Geometry { kernel, stride, dilation, pads }, Some(groups))?;
        if output_padding != [0, 0] {
            attributes.push(ints("output_padding", &self::dims(&output_padding)?));
        }
        let y = self.w.node(&node.name, "ConvTranspose", &inputs, attributes);
        Ok(self.settle(&node.name, y, output))
    }

    /// `Gemm` on `[N, K]`.
    pub(super) fn dense(
        &mut self,
        node: &Node,
        x: &str,
        weight: &str,
        bias: Option<&str>,
    ) -> Result<String, ConvertError> {
        let weight = self.weight(node, weight)?;
        let bias = bias.map(|bias| self.bias(node, bias)).transpose()?;
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        Ok(self.w.node(&node.name, "Gemm", &inputs, vec![integer("transB", 1)]))
    }

    /// Mean of |x| over the channels, then a box filter.
    pub(super) fn activation_scale(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        geometry: &Geometry,
    ) -> Result<String, ConvertError> {
        let name = &node.name;
        let x = self.map(name, x)?;
        let magnitudes = self.w.node(&format!("{name}.abs"), "Abs", &[&x], Vec::new());
        let axes = vec![ints("axes", &[1]), integer("keepdims", 1)];
        let mean = self.w.node(&format!("{name}.mean"), "ReduceMean", &[&magnitudes], axes);
        let [kh, kw] = geometry.kernel;
        let filter = vec![1.0 / (kh * kw) as f32; kh * kw];
        let filter = self.w.reals(&format!("{name}.box"), &[1, 1, int(kh)?, int(kw)?], &filter);
        let y = self.w.node(name, "Conv", &[&mean, &filter], window(geometry, Some(1))?);
        Ok(self.settle(name, y, output))
    }

    /// A constant frame around height and width; nothing where there is no pad.
    pub(super) fn pad(&mut self, name: &str, x: &str, pads: [usize; 4], value: f32) -> Result<String, ConvertError> {
        if pads == [0; 4] {
            return Ok(x.to_owned());
        }
        let [top, left, bottom, right] = pads;
        let pads = [0, 0, int(top)?, int(left)?, 0, 0, int(bottom)?, int(right)?];
        let (pads, value) = (self.w.ints_constant(&pads), self.w.scalar(value));
        Ok(self.w.node(&format!("{name}.pad"), "Pad", &[x, &pads, &value], Vec::new()))
    }

    fn bias(&mut self, node: &Node, name: &str) -> Result<String, ConvertError> {
        let tensor = weights::tensor(self.model, node, name)?;
        let dims = dims(tensor.shape())?;
        self.w.shared(format!("bias {name}"), |w| Ok(w.reals(name, &dims, &weights::reals(tensor))))
    }

    /// A weight as `[O, C, kh, kw]` or `[O, K]`, of real numbers.
    fn weight(&mut self, node: &Node, name: &str) -> Result<String, ConvertError> {
        let tensor = weights::tensor(self.model, node, name)?;
        let mut shape = tensor.shape().to_vec();
        if let [_, rest @ ..] = shape.as_mut_slice() {
            rest.rotate_right(1);
        }
        let dims = dims(if shape.len() == 4 { &shape } else { tensor.shape() })?;
        self.w.shared(format!("weight {name}"), |w| match tensor {
            Tensor::Bits { .. } => {
                packed_signs(w, name, &dims, &weights::ohwi_to_oihw(&weights::signs(tensor), tensor.shape()))
            }
            _ => Ok(w.reals(name, &dims, &weights::ohwi_to_oihw(&weights::reals(tensor), tensor.shape()))),
        })
    }
}

/// Signs in one bit each, and the nodes that make real numbers of them.
fn packed_signs(w: &mut Writer, name: &str, dims: &[i64], signs: &[i8]) -> Result<String, ConvertError> {
    let byte = |signs: &[i8]| signs.iter().enumerate().map(|(i, &s)| u8::from(s > 0) << i).sum::<u8>();
    let bytes: Vec<u8> = signs.chunks(8).map(byte).collect();
    let table = w.shared("table".to_owned(), |w| {
        let bit = |byte: u16, i: u16| if byte >> i & 1 == 1 { 1 } else { -1 };
        let rows: Vec<i8> = (0..256).flat_map(|byte| (0..8).map(move |i| bit(byte, i))).collect();
        let table = w.signed_bytes("signs_of_a_byte", &[256, 8], &rows);
        Ok::<_, ConvertError>(cast(w, "signs_of_a_byte.real", &table, crate::onnx::proto::data_type::FLOAT))
    })?;
    let packed = w.bytes(&format!("{name}.bits"), &[int(bytes.len())?], bytes);
    let indices = cast(w, &format!("{name}.bytes"), &packed, crate::onnx::proto::data_type::INT32);
    let mut y = w.node(&format!("{name}.signs"), "Gather", &[&table, &indices], vec![integer("axis", 0)]);
    if !signs.len().is_multiple_of(8) {
        let all = w.ints_constant(&[-1]);
        y = w.node(&format!("{name}.flat"), "Reshape", &[&y, &all], Vec::new());
        let (start, end, axis) = (w.ints_constant(&[0]), w.ints_constant(&[int(signs.len())?]), w.ints_constant(&[0]));
        y = w.node(&format!("{name}.cut"), "Slice", &[&y, &start, &end, &axis], Vec::new());
    }
    let shape = w.ints_constant(dims);
    Ok(w.node(&format!("{name}.weight"), "Reshape", &[&y, &shape], Vec::new()))
}

fn cast(w: &mut Writer, name: &str, x: &str, to: i32) -> String {
    w.node(name, "Cast", &[x], vec![integer("to", i64::from(to))])
}

pub(super) fn dims(shape: &[usize]) -> Result<Vec<i64>, ConvertError> {
    shape.iter().map(|&d| int(d)).collect()
}

/// The attributes of a sliding window, without dilations where they are 1.
pub(super) fn window(
    geometry: &Geometry,
    groups: Option<usize>,
) -> Result<Vec<crate::onnx::proto::AttributeProto>, ConvertError> {
    let mut attributes = vec![
        ints("kernel_shape", &dims(&geometry.kernel)?),
        ints("strides", &dims(&geometry.stride)?),
        ints("pads", &dims(&geometry.pads)?),
    ];
    if geometry.dilation != [1, 1] {
        attributes.push(ints("dilations", &dims(&geometry.dilation)?));
    }
    if let Some(groups) = groups {
        attributes.push(integer("group", int(groups)?));
    }
    Ok(attributes)
}
