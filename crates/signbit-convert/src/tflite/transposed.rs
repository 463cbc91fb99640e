//! `TRANSPOSE_CONV`.

use signbit_model::{Geometry, Op, TransposedGeometry};

use super::Result;
use super::conv::{activation_of, bias, window_of};
use super::reader::{Dim, Reader};
use super::schema::Operator;

const TRANSPOSE_CONV_OPTIONS: u8 = 49;

/// `TRANSPOSE_CONV`: the output's shape `[N, H, W, O]`, filter `[O, kh, kw, C]`, input, bias.
pub(super) fn conv2d(reader: &mut Reader, op: &Operator) -> Result<()> {
    let options = op.options(TRANSPOSE_CONV_OPTIONS)?;
    let x = reader.real(op, 2)?;
    let input = reader.draft.shape(x);
    let weight = reader.reals(op, 1)?;
    let [o, kh, kw, c] = weight.shape[..] else {
        return Err(op.refuse(format!("its filter has the shape {:?}", weight.shape)));
    };
    if c != input.c {
        return Err(op.refuse(format!("its filter {:?} does not fit {} channels", weight.shape, input.c)));
    }
    let dims = reader.dims(op, 0)?;
    let size = |dim: &Dim| match dim {
        Dim::Known(size) => usize::try_from(*size).ok(),
        Dim::Batch => None,
    };
    let size = match dims.as_deref() {
        Some([_, h, w, _]) => size(h).zip(size(w)),
        _ => None,
    };
    let (h, w) = size.ok_or_else(|| op.refuse("the shape of its output is not known"))?;
    // The pads are those of the convolution that it transposes, from its output to its input.
    let output = signbit_model::Shape::new(h, w, o);
    let (stride, dilation) = ([2, 1].map(|f| options.int(f, 0)), [Ok(1), Ok(1)]);
    let Geometry { kernel, stride, dilation, pads } =
        window_of(op, output, options.byte(0)?, [kh, kw], stride, dilation)?;
    let geometry = TransposedGeometry::valid(kernel, stride, dilation);
    let geometry = geometry.of_size((input.h, input.w), [h, w], [pads[0], pads[1]]);
    let geometry = geometry.ok_or_else(|| op.refuse(format!("an output of {h} x {w} for an input of {input}")))?;
    let bias = bias(reader, op, 3, o)?;
    let weight = reader.draft.f32(&format!("{}.weight", op.name), [o, kh, kw, c], weight.data)?;
    let y = reader.draft.node(&op.name, Op::Conv2dTranspose { weight, bias, geometry, groups: 1 }, &[x])?;
    reader.put_activated(op, y, activation_of(op, options.byte(3)?.into())?)
}
