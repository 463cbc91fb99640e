//! Shapes and shape rules that several operators share.

use signbit_kernels::{Conv, Padding};
use signbit_model::{DType, Geometry, Shape, ValueType};

use crate::params::Init;

/// The type of an output with the shape of the real input.
pub(super) fn same_as_real(inputs: &[ValueType], dtype: DType) -> Result<ValueType, String> {
    match inputs[0].dtype {
        DType::F32 => Ok(ValueType::new(inputs[0].shape, dtype)),
        _ => Err("the input must be real, these are bits".into()),
    }
}

/// The kernels' description of a convolution over one sample.
pub(super) fn conv_of(x: Shape, c_out: usize, geometry: Geometry, groups: usize, padding: Padding) -> Conv {
    let Geometry { kernel, stride, dilation, pads } = geometry;
    Conv { n: 1, h: x.h, w: x.w, c_in: x.c, c_out, kernel, stride, dilation, pads, padding, groups }
}

/// The model's description of the kernels' convolution.
pub(super) fn geometry_of(conv: &Conv) -> Geometry {
    Geometry { kernel: conv.kernel, stride: conv.stride, dilation: conv.dilation, pads: conv.pads }
}

/// The output type of a convolution, or why there is none.
pub(super) fn conv_output(conv: &Conv) -> Result<ValueType, String> {
    conv.validate().map_err(|e| e.to_string())?;
    Ok(ValueType::new(Shape::new(conv.out_h(), conv.out_w(), conv.c_out), DType::F32))
}

/// Shape `[c_out, kh, kw, c_in / groups]` and first values of a convolution's weights. Groups are checked by
/// [`conv_output`] only.
pub(super) fn conv_weights(conv: &Conv) -> ([usize; 4], Init) {
    let ([kh, kw], groups) = (conv.kernel, conv.groups.max(1));
    let (taps, cg) = (kh * kw, conv.c_in / groups);
    ([conv.c_out, kh, kw, cg], Init::Glorot { fan_in: taps * cg, fan_out: taps * conv.c_out / groups })
}

/// The output type of a dense layer, or why there is none.
pub(super) fn dense_output(x: ValueType, outputs: usize) -> Result<ValueType, String> {
    if !x.shape.is_vector() || x.shape.c == 0 || outputs == 0 {
        return Err(format!("a dense layer needs a vector, this is {:?}; flatten it first", x.shape));
    }
    Ok(ValueType::new(Shape::vector(outputs), DType::F32))
}
