//! Convolutions: plain, depthwise and separable, quantized or not.

use signbit_model::{Geometry, Op, TransposedGeometry};

use super::activation;
use crate::ConvertError;
use crate::keras::build::{Builder, Flow, Step};
use crate::keras::hdf5::Array;
use crate::keras::quantizer::{self, KernelQuantizer};
use crate::keras::weights::Variable;

/// One convolution of a layer.
struct Conv<'a> {
    /// The node's name.
    node: &'a str,
    /// Its weights' kind, and where they stand.
    kernel: Variable,
    quantizer: KernelQuantizer,
    geometry: Geometry,
    groups: usize,
    bias: Option<Variable>,
    /// The kernel's shape in Keras' layout; 0 where any size will do.
    expected: [usize; 4],
    /// From Keras' layout to `[O, kh, kw, C / groups]`.
    layout: fn(&Array) -> ([usize; 4], Vec<f32>),
}

/// Conv2D, QuantConv2D.
pub(super) fn conv2d(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let config = &step.config;
    let groups = config.usize_or("groups", 1)?.max(1);
    let (x, geometry) = begin(builder, step, "kernel_size")?;
    let [_, _, c] = picture(&x);
    let conv = Conv {
        node: &step.node,
        kernel: Variable { name: "kernel", number: 0 },
        quantizer: quantizer::kernel_quantizer(config, "kernel_quantizer")?,
        geometry,
        groups,
        bias: bias(step, 1)?,
        expected: [geometry.kernel[0], geometry.kernel[1], c / groups, config.usize("filters")?],
        layout: ohwi,
    };
    let x = add(builder, step, &x, conv)?;
    activation::fused(builder, step, &x)
}

/// Conv2DTranspose, QuantConv2DTranspose.
pub(super) fn transposed(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let config = &step.config;
    config.channels_last()?;
    let mut x = step.picture()?.clone();
    if quantizer::input_sign(config)? {
        x = builder.sign(&format!("{}.input_quantizer", step.node), &x)?;
    }
    let kernel = config.pair("kernel_size")?.ok_or_else(|| step.unsupported("its kernel_size is missing"))?;
    let stride = config.pair("strides")?.unwrap_or([1, 1]);
    let ([kh, kw], [_, _, c]) = (kernel, picture(&x));
    let geometry = transposed_geometry(step, &x, kernel, stride)?;
    let filters = config.usize("filters")?;
    let quantizer = quantizer::kernel_quantizer(config, "kernel_quantizer")?;
    let weight = builder.tensor(step, "kernel", |builder| {
        let kernel = builder.weight(step, Variable { name: "kernel", number: 0 })?;
        let expected = [kh, kw, filters, c];
        if kernel.shape != expected {
            let name = format!("{}/kernel", step.node);
            return Err(ConvertError::WeightShape { name, expected: format!("{expected:?}"), found: kernel.shape });
        }
        let (shape, data) = transposed_ohwi(&quantizer.apply(kernel));
        Ok((shape.to_vec(), data))
    })?;
    let bias = match bias(step, 1)? {
        Some(variable) => Some(
            builder.tensor(step, "bias", |builder| Ok((vec![filters], builder.vector(step, variable, filters)?)))?,
        ),
        None => None,
    };
    let id = builder.draft.node(&step.node, Op::Conv2dTranspose { weight, bias, geometry, groups: 1 }, &[x.id])?;
    let shape = builder.draft.shape(id);
    activation::fused(builder, step, &Flow { id, dims: vec![shape.h, shape.w, shape.c] })
}

/// The geometry by Keras' rule for the output's size; the pads are those of the convolution that it transposes.
fn transposed_geometry(
    step: &Step<'_>,
    x: &Flow,
    kernel: [usize; 2],
    stride: [usize; 2],
) -> Result<TransposedGeometry, ConvertError> {
    let config = &step.config;
    if config.pair("dilation_rate")?.unwrap_or([1, 1]) != [1, 1] {
        return Err(step.unsupported("a transposed convolution with dilation"));
    }
    let [h, w, _] = picture(x);
    let same = match config.str_or("padding", "valid")?.to_lowercase().as_str() {
        "valid" => false,
        "same" => true,
        other => return Err(step.unsupported(format!("its padding is {other}"))),
    };
    let added = config.pair("output_padding")?;
    let mut size = [0_usize; 2];
    for (i, input) in [h, w].into_iter().enumerate() {
        let steps = input.saturating_mul(stride[i]);
        size[i] = match added {
            None if same => steps,
            None => steps.saturating_add(kernel[i].saturating_sub(stride[i])),
            Some(added) => {
                let pad = if same { kernel[i] / 2 } else { 0 };
                let end = steps.saturating_add(kernel[i]).saturating_add(added[i]);
                end.saturating_sub(stride[i]).saturating_sub(pad.saturating_mul(2))
            }
        };
    }
    let transposed = match same {
        true => Geometry::same(size[0], size[1], kernel, stride, [1, 1]),
        false => Geometry::valid(kernel, stride, [1, 1]),
    };
    let geometry = TransposedGeometry::valid(kernel, stride, [1, 1]);
    let geometry = geometry.of_size((h, w), size, [transposed.pads[0], transposed.pads[1]]);
    geometry.ok_or_else(|| step.unsupported(format!("an output of {size:?}")))
}

/// DepthwiseConv2D, QuantDepthwiseConv2D.
pub(super) fn depthwise(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let (x, geometry) = begin(builder, step, "kernel_size")?;
    let bias = bias(step, 1)?;
    let x = add_depthwise(builder, step, &step.node, &x, geometry, bias)?;
    activation::fused(builder, step, &x)
}

/// SeparableConv2D, QuantSeparableConv2D: a depthwise convolution, then one of a single pixel.
pub(super) fn separable(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    let (x, geometry) = begin(builder, step, "kernel_size")?;
    let x = add_depthwise(builder, step, &format!("{}.depthwise", step.node), &x, geometry, None)?;
    let [_, _, c] = picture(&x);
    let conv = Conv {
        node: &step.node,
        kernel: Variable { name: "pointwise_kernel", number: 1 },
        quantizer: quantizer::kernel_quantizer(&step.config, "pointwise_quantizer")?,
        geometry: Geometry::valid([1, 1], [1, 1], [1, 1]),
        groups: 1,
        bias: bias(step, 2)?,
        expected: [1, 1, c, step.config.usize("filters")?],
        layout: ohwi,
    };
    let x = add(builder, step, &x, conv)?;
    activation::fused(builder, step, &x)
}

/// The input, its sign taken and padded where the layer says so, and the window over it.
fn begin(builder: &mut Builder, step: &Step<'_>, kernel: &str) -> Result<(Flow, Geometry), ConvertError> {
    let config = &step.config;
    config.channels_last()?;
    let mut x = step.picture()?.clone();
    if quantizer::input_sign(config)? {
        x = builder.sign(&format!("{}.input_quantizer", step.node), &x)?;
    }
    let kernel = config.pair(kernel)?.ok_or_else(|| step.unsupported("its kernel_size is missing"))?;
    let stride = config.pair("strides")?.unwrap_or([1, 1]);
    let dilation = config.pair("dilation_rate")?.unwrap_or([1, 1]);
    let geometry = window(step, &x, kernel, stride, dilation)?;
    let value = config.f32("pad_values")?.unwrap_or(0.0);
    if geometry.pads == [0; 4] || value == 0.0 {
        return Ok((x, geometry));
    }
    let x = builder.pad(&format!("{}.pad", step.node), &x, geometry.pads, value)?;
    Ok((x, Geometry { pads: [0; 4], ..geometry }))
}

/// The window of a convolution or pooling with the option `padding`.
pub(super) fn window(
    step: &Step<'_>,
    x: &Flow,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
) -> Result<Geometry, ConvertError> {
    let [h, w, _] = picture(x);
    match step.config.str_or("padding", "valid")?.to_lowercase().as_str() {
        "valid" => Ok(Geometry::valid(kernel, stride, dilation)),
        "same" => Ok(Geometry::same(h, w, kernel, stride, dilation)),
        other => Err(step.unsupported(format!("its padding is {other}"))),
    }
}

/// Height, width and channels.
fn picture(x: &Flow) -> [usize; 3] {
    match *x.dims {
        [h, w, c] => [h, w, c],
        _ => [1, 1, x.dims.last().copied().unwrap_or(0)],
    }
}

fn bias(step: &Step<'_>, number: usize) -> Result<Option<Variable>, ConvertError> {
    Ok(step.config.bool_or("use_bias", true)?.then_some(Variable { name: "bias", number }))
}

fn add_depthwise(
    builder: &mut Builder,
    step: &Step<'_>,
    node: &str,
    x: &Flow,
    geometry: Geometry,
    bias: Option<Variable>,
) -> Result<Flow, ConvertError> {
    let [_, _, c] = picture(x);
    let [kh, kw] = geometry.kernel;
    let conv = Conv {
        node,
        kernel: Variable { name: "depthwise_kernel", number: 0 },
        quantizer: quantizer::kernel_quantizer(&step.config, "depthwise_quantizer")?,
        geometry,
        groups: c,
        bias,
        expected: [kh, kw, c, step.config.usize_or("depth_multiplier", 1)?],
        layout: depthwise_ohwi,
    };
    add(builder, step, x, conv)
}

fn add(builder: &mut Builder, step: &Step<'_>, x: &Flow, conv: Conv<'_>) -> Result<Flow, ConvertError> {
    let weight = builder.tensor(step, conv.kernel.name, |builder| {
        let kernel = builder.weight(step, conv.kernel)?;
        if kernel.shape != conv.expected {
            let name = format!("{}/{}", step.node, conv.kernel.name);
            let expected = format!("{:?}", conv.expected);
            return Err(ConvertError::WeightShape { name, expected, found: kernel.shape });
        }
        let (shape, data) = (conv.layout)(&conv.quantizer.apply(kernel));
        Ok((shape.to_vec(), data))
    })?;
    let filters = match conv.expected {
        [_, _, _, multiplier] if conv.kernel.name == "depthwise_kernel" => conv.groups.saturating_mul(multiplier),
        [_, _, _, filters] => filters,
    };
    let bias = match conv.bias {
        Some(variable) => Some(
            builder.tensor(step, "bias", |builder| Ok((vec![filters], builder.vector(step, variable, filters)?)))?,
        ),
        None => None,
    };
    let op = Op::Conv2d { weight, bias, geometry: conv.geometry, groups: conv.groups };
    let id = builder.draft.node(conv.node, op, &[x.id])?;
    let shape = builder.draft.shape(id);
    Ok(Flow { id, dims: vec![shape.h, shape.w, shape.c] })
}

/// `[kh, kw, C, O]` to `[O, kh, kw, C]`.
fn ohwi(kernel: &Array) -> ([usize; 4], Vec<f32>) {
    let [kh, kw, c, o] = four(&kernel.shape);
    (([o, kh, kw, c]), transpose(&kernel.data, o))
}

/// `[kh, kw, O, C]` to `[O, kh, kw, C]`.
fn transposed_ohwi(kernel: &Array) -> ([usize; 4], Vec<f32>) {
    let [kh, kw, o, c] = four(&kernel.shape);
    let pixels: Vec<&[f32]> = kernel.data.chunks_exact(c.max(1)).collect();
    let data = (0..o).flat_map(|i| pixels.iter().skip(i).step_by(o.max(1)).flat_map(|row| row.iter().copied()));
    ([o, kh, kw, c], data.collect())
}

/// `[kh, kw, C, M]` to `[C * M, kh, kw, 1]`.
fn depthwise_ohwi(kernel: &Array) -> ([usize; 4], Vec<f32>) {
    let [kh, kw, c, m] = four(&kernel.shape);
    let o = c.saturating_mul(m);
    ([o, kh, kw, 1], transpose(&kernel.data, o))
}

fn four(shape: &[usize]) -> [usize; 4] {
    <[usize; 4]>::try_from(shape).unwrap_or_default()
}

/// Rows of `columns` numbers to `columns` rows.
pub(super) fn transpose(data: &[f32], columns: usize) -> Vec<f32> {
    let columns = columns.max(1);
    (0..columns).flat_map(|column| data.iter().skip(column).step_by(columns).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_go_to_one_row_per_output_channel() {
        // [1, 2, 2, 3]: the number's digits are kx, c, o.
        let data = [0., 1., 2., 10., 11., 12., 100., 101., 102., 110., 111., 112.].to_vec();
        let kernel = Array { shape: vec![1, 2, 2, 3], data };
        let (shape, rows) = ohwi(&kernel);
        assert_eq!(shape, [3, 1, 2, 2]);
        assert_eq!(rows[4..8], [1., 11., 101., 111.]);
        let (shape, rows) = transposed_ohwi(&Array { shape: vec![1, 2, 3, 2], data: kernel.data.clone() });
        // The digits are now counted anew: pixels of 3 output channels of 2.
        assert_eq!(shape, [3, 1, 2, 2]);
        assert_eq!(rows, [0., 1., 100., 101., 2., 10., 102., 110., 11., 12., 111., 112.]);
        // Output channel c * M + m.
        let (shape, rows) = depthwise_ohwi(&kernel);
        assert_eq!(shape, [6, 1, 2, 1]);
        assert_eq!(rows[8..10], [11., 111.]);
    }
}
