//! Layers on real numbers, by TensorFlow Lite's operators.

use signbit_model::{Geometry, Node, Shape, TransposedGeometry, ValueId};

use super::super::{int, refuse, weights};
use super::FORMAT;
use super::file::{Field, Options};
use super::lower::{Lowering, builtin, keep_dims};
use super::window::{Frame, Pads, pool_options};
use crate::ConvertError;

impl Lowering<'_> {
    pub(super) fn conv(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        weight: &str,
        bias: Option<&str>,
        geometry: &Geometry,
        groups: usize,
    ) -> Result<usize, ConvertError> {
        let (name, input, geometry) = (&node.name, self.shape(x), &plain(geometry));
        let x = self.real(x)?;
        let (x, pads) = self.framed(name, x, input, geometry, Frame::Real(0.0))?;
        let tensor = weights::tensor(self.model, node, weight)?;
        let (shape, data) = (tensor.shape().to_vec(), weights::reals(tensor));
        let bias = self.bias(node, bias, output.c)?;
        if groups > 1 && groups == input.c {
            let [kh, kw] = geometry.kernel;
            let filter = weights::depthwise_to_hwo(&data, &shape);
            let filter = self.reals(weight, &[1, kh, kw, output.c], &filter)?;
            return self.depthwise(name, [x, filter, bias], output, geometry, pads, output.c / groups);
        }
        let filter = self.reals(weight, &shape, &data)?;
        let options = conv_options(geometry, pads)?;
        Ok(self.real_node(name, builtin::CONV_2D, &[x, filter, bias], output, options))
    }

    pub(super) fn transposed(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        weight: &str,
        bias: Option<&str>,
        geometry: &TransposedGeometry,
        groups: usize,
    ) -> Result<usize, ConvertError> {
        let TransposedGeometry { kernel, stride, dilation, pads: [top, left, ..], .. } = *geometry;
        if groups != 1 || dilation != [1, 1] {
            return Err(refuse(node, FORMAT, "TensorFlow Lite transposes no convolution with groups or dilation"));
        }
        // It is given by the convolution that it transposes, from the output's size to the input's.
        let input = self.shape(x);
        let forth = |window: Geometry| {
            window.pads[..2] == [top, left] && window.output_size(output.h, output.w) == Ok((input.h, input.w))
        };
        let pads = if forth(Geometry::valid(kernel, stride, dilation)) {
            Pads::Valid
        } else if forth(Geometry::same(output.h, output.w, kernel, stride, dilation)) {
            Pads::Same
        } else {
            return Err(refuse(node, FORMAT, "its pads are neither those of SAME nor of VALID"));
        };
        let x = self.real(x)?;
        let tensor = weights::tensor(self.model, node, weight)?;
        let filter = self.reals(weight, tensor.shape(), &weights::reals(tensor))?;
        let bias = self.bias(node, bias, output.c)?;
        let size = self.ints(&format!("{}.size", node.name), &[1, output.h, output.w, output.c])?;
        let options = Options::Builtin(49, sized(pads, &[(1, stride[1]), (2, stride[0])])?);
        Ok(self.real_node(&node.name, builtin::TRANSPOSE_CONV, &[size, filter, x, bias], output, options))
    }

    fn depthwise(
        &mut self,
        name: &str,
        inputs: [usize; 3],
        output: Shape,
        geometry: &Geometry,
        pads: Pads,
        multiplier: usize,
    ) -> Result<usize, ConvertError> {
        let ([sh, sw], [dh, dw]) = (geometry.stride, geometry.dilation);
        let sizes = [(1, sw), (2, sh), (3, multiplier), (5, dw), (6, dh)];
        let options = Options::Builtin(2, sized(pads, &sizes)?);
        Ok(self.real_node(name, builtin::DEPTHWISE_CONV_2D, &inputs, output, options))
    }

    /// The bias, or zeros.
    fn bias(&mut self, node: &Node, bias: Option<&str>, channels: usize) -> Result<usize, ConvertError> {
        let data = bias.map(|bias| self.channels(node, bias)).transpose()?.unwrap_or_else(|| vec![0.0; channels]);
        let name = bias.map_or_else(|| format!("{}.bias", node.name), str::to_owned);
        self.reals(&name, &[channels], &data)
    }

    pub(super) fn dense(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        weight: &str,
        bias: Option<&str>,
    ) -> Result<usize, ConvertError> {
        let x = self.real(x)?;
        let tensor = weights::tensor(self.model, node, weight)?;
        let filter = self.reals(weight, tensor.shape(), &weights::reals(tensor))?;
        let bias = self.bias(node, bias, output.c)?;
        // Field 2 keeps the dimensions: [1, 1, 1, O].
        let options = Options::Builtin(8, vec![(2, Field::Bool(true))]);
        Ok(self.real_node(&node.name, builtin::FULLY_CONNECTED, &[x, filter, bias], output, options))
    }

    /// Mean of |x| over the channels, then a box filter.
    pub(super) fn activation_scale(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        geometry: &Geometry,
    ) -> Result<usize, ConvertError> {
        let (name, shape) = (&node.name, self.shape(x));
        let one = Shape { c: 1, ..shape };
        let x = self.real(x)?;
        let magnitudes = self.real_node(&format!("{name}.abs"), builtin::ABS, &[x], shape, Options::None);
        let axes = self.ints(&format!("{name}.axes"), &[3])?;
        let mean = self.real_node(&format!("{name}.mean"), builtin::MEAN, &[magnitudes, axes], one, keep_dims());
        let (mean, pads) = self.framed(name, mean, one, geometry, Frame::Real(0.0))?;
        let [kh, kw] = geometry.kernel;
        let filter = vec![1.0 / (kh * kw) as f32; kh * kw];
        let filter = self.reals(&format!("{name}.box"), &[1, kh, kw, 1], &filter)?;
        let bias = self.bias(node, None, 1)?;
        let options = conv_options(geometry, pads)?;
        Ok(self.real_node(name, builtin::CONV_2D, &[mean, filter, bias], output, options))
    }

    /// `AVERAGE_POOL_2D`; what it has no options for is a sum by a depthwise convolution, divided by the counts.
    pub(super) fn avg_pool(
        &mut self,
        node: &Node,
        x: ValueId,
        output: Shape,
        geometry: &Geometry,
        count_include_pad: bool,
    ) -> Result<usize, ConvertError> {
        let (name, input) = (&node.name, self.shape(x));
        let x = self.real(x)?;
        let mut pads = Pads::of(geometry, input);
        let mut framed = x;
        if count_include_pad && pads != Some(Pads::Valid) {
            framed = self.pad(&format!("{name}.pad"), x, input, geometry.pads, Frame::Real(0.0))?;
            pads = Some(Pads::Valid);
        }
        if let (Some(pads), [1, 1]) = (pads, geometry.dilation) {
            let options = pool_options(geometry, pads)?;
            return Ok(self.real_node(name, builtin::AVERAGE_POOL_2D, &[framed], output, options));
        }
        let (x, pads) = match pads {
            Some(pads) => (framed, pads),
            None => self.framed(name, x, input, geometry, Frame::Real(0.0))?,
        };
        let [kh, kw] = geometry.kernel;
        self.check_room(input.c * kh * kw)?;
        let ones = self.reals(&format!("{name}.ones"), &[1, kh, kw, input.c], &vec![1.0; input.c * kh * kw])?;
        let bias = self.bias(node, None, input.c)?;
        let sum = self.depthwise(&format!("{name}.sum"), [x, ones, bias], output, geometry, pads, 1)?;
        let counts = if count_include_pad {
            self.reals(&format!("{name}.count"), &[1], &[(kh * kw) as f32])?
        } else {
            let counts = weights::taps_inside(geometry, input, output);
            self.reals(&format!("{name}.counts"), &[1, output.h, output.w, 1], &counts)?
        };
        Ok(self.real_node(name, builtin::DIV, &[sum, counts], output, Options::Builtin(29, Vec::new())))
    }

    pub(super) fn prelu(&mut self, name: &str, x: usize, shape: Shape, slope: &[f32]) -> Result<usize, ConvertError> {
        let slope = self.reals(&format!("{name}.slope"), &[1, 1, slope.len()], slope)?;
        Ok(self.real_node(name, builtin::PRELU, &[x, slope], shape, Options::None))
    }

    pub(super) fn clip(
        &mut self,
        name: &str,
        x: ValueId,
        shape: Shape,
        min: f32,
        max: f32,
    ) -> Result<usize, ConvertError> {
        let x = self.real(x)?;
        if (min, max) == (-1.0, 1.0) {
            return Ok(self.real_node(name, builtin::RELU_N1_TO_1, &[x], shape, Options::None));
        }
        if (min, max) == (0.0, 6.0) {
            return Ok(self.real_node(name, builtin::RELU6, &[x], shape, Options::None));
        }
        let low = self.reals(&format!("{name}.min"), &[1], &[min])?;
        let high = self.reals(&format!("{name}.max"), &[1], &[max])?;
        let options = Options::Builtin(39, Vec::new());
        let x = self.real_node(&format!("{name}.low"), builtin::MAXIMUM, &[x, low], shape, options.clone());
        Ok(self.real_node(name, builtin::MINIMUM, &[x, high], shape, options))
    }
}

/// The geometry with no dilation where a kernel of 1 has nothing to spread.
fn plain(geometry: &Geometry) -> Geometry {
    let dilation = [0, 1].map(|i| if geometry.kernel[i] == 1 { 1 } else { geometry.dilation[i] });
    Geometry { dilation, ..*geometry }
}

fn conv_options(geometry: &Geometry, pads: Pads) -> Result<Options, ConvertError> {
    let ([sh, sw], [dh, dw]) = (geometry.stride, geometry.dilation);
    Ok(Options::Builtin(1, sized(pads, &[(1, sw), (2, sh), (4, dw), (5, dh)])?))
}

/// Field 0 is the padding; the others are sizes.
fn sized(pads: Pads, sizes: &[(u16, usize)]) -> Result<Vec<(u16, Field)>, ConvertError> {
    let mut fields = vec![(0, Field::I8(pads.number()))];
    for &(field, size) in sizes {
        fields.push((field, Field::I32(int(size)?)));
    }
    Ok(fields)
}
