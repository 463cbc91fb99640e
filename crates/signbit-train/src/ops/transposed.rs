//! Transposed convolutions as the convolution that they are the transpose of: it leads from the output back to the input, so
//! its input gradient is the forward pass here, its forward pass the gradient by the input, and its weights' gradient ours.

use std::borrow::Cow;

use rayon::prelude::*;
use signbit_kernels::{Conv, Isa, Padding, bits};
use signbit_model::{DType, Geometry, Shape, TransposedGeometry, ValueType};

use super::im2row::{Dx, Im2Row};
use super::real;
use super::shapes::conv_of;
use crate::gemm::Gemm;
use crate::params::Init;
use crate::ranks::Ranks;
use crate::tensor::{Buffers, Tensor, Value};

/// Sizes of a transposed convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transposed {
    /// Shape of an input sample.
    input: Shape,
    c_out: usize,
    pub(super) geometry: TransposedGeometry,
    pub(super) groups: usize,
}

impl Transposed {
    pub(super) fn new(input: Shape, c_out: usize, geometry: TransposedGeometry, groups: usize) -> Self {
        Self { input, c_out, geometry, groups }
    }

    /// Shape `[c_out, kh, kw, c_in / groups]` and first values of the weights. Groups are checked by [`Self::output`] only.
    pub(super) fn weights(&self) -> ([usize; 4], Init) {
        let ([kh, kw], groups) = (self.geometry.kernel, self.groups.max(1));
        let (taps, cg) = (kh * kw, self.input.c / groups);
        ([self.c_out, kh, kw, cg], Init::Glorot { fan_in: taps * cg, fan_out: taps * self.c_out / groups })
    }

    /// Weights of one output channel.
    pub(super) fn k(&self) -> usize {
        self.geometry.kernel[0] * self.geometry.kernel[1] * self.input.c / self.groups
    }

    /// The type of the output, or why there is none.
    pub(super) fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        if !matches!(inputs[0].dtype, DType::F32 | DType::Bits) {
            return Err("a transposed convolution needs a real or a binary input, these are integers".into());
        }
        let (g, shape) = (&self.geometry, self.input);
        let (h, w) = g.output_size(shape.h, shape.w).map_err(|e| e.to_string())?;
        for (i, side) in ["rows", "columns"].into_iter().enumerate() {
            let (reach, added, stride) = ((g.kernel[i] - 1) * g.dilation[i], g.output_padding[i], g.stride[i]);
            if added >= stride {
                return Err(format!(
                    "{added} added {side} at a stride of {stride}; training adds fewer than the stride"
                ));
            }
            let cut = g.pads[i].max(g.pads[i + 2].saturating_sub(added));
            if cut > reach {
                return Err(format!("{cut} {side} cut off, of which inputs lie alone; training cuts at most {reach}"));
            }
        }
        self.mirror(1, Shape::new(h, w, self.c_out)).validate().map_err(|e| e.to_string())?;
        self.apart(1).validate().map_err(|e| e.to_string())?;
        Ok(ValueType::new(Shape::new(h, w, self.c_out), DType::F32))
    }

    /// Shape of an output sample, of a geometry that [`Self::output`] has let pass.
    pub(super) fn output_shape(&self) -> Shape {
        let (h, w) = self.geometry.output_size(self.input.h, self.input.w).expect("a checked geometry");
        Shape::new(h, w, self.c_out)
    }

    /// The convolution of `n` samples from the output to the input.
    fn mirror(&self, n: usize, output: Shape) -> Conv {
        let TransposedGeometry { kernel, stride, dilation, pads, .. } = self.geometry;
        let geometry = Geometry { kernel, stride, dilation, pads };
        Conv { n, ..conv_of(output, self.input.c, geometry, self.groups, Padding::Zero) }
    }

    /// The convolution with mirrored taps over `n` samples whose pixels lie a stride apart.
    fn apart(&self, n: usize) -> Conv {
        let (g, input) = (&self.geometry, self.input);
        let apart = Shape::new((input.h - 1) * g.stride[0] + 1, (input.w - 1) * g.stride[1] + 1, input.c);
        let reach = [(g.kernel[0] - 1) * g.dilation[0], (g.kernel[1] - 1) * g.dilation[1]];
        let [top, left, bottom, right] = g.pads;
        let [below, beside] = g.output_padding;
        let pads = [reach[0] - top, reach[1] - left, reach[0] + below - bottom, reach[1] + beside - right];
        let geometry = Geometry { kernel: g.kernel, stride: [1, 1], dilation: g.dilation, pads };
        Conv { n, ..conv_of(apart, self.c_out, geometry, self.groups, Padding::Zero) }
    }

    /// The weights of the mirror, `[c_in, kh, kw, c_out / groups]`, each times the factor of its output channel.
    pub(super) fn turned(&self, buffers: &mut Buffers, weights: &[f32], scale: Option<&[f32]>) -> Vec<f32> {
        let mut turned = buffers.real(weights.len());
        self.each_weight(|own, o, mirror| turned[mirror] = weights[own] * scale.map_or(1.0, |scale| scale[o]));
        turned
    }

    /// For each weight its place, its output channel and its place among the mirror's.
    fn each_weight(&self, mut f: impl FnMut(usize, usize, usize)) {
        let taps = self.geometry.kernel[0] * self.geometry.kernel[1];
        let (cg, og) = (self.input.c / self.groups, self.c_out / self.groups);
        for o in 0..self.c_out {
            for tap in 0..taps {
                for c in 0..cg {
                    let mirror = ((o / og * cg + c) * taps + tap) * og + o % og;
                    f((o * taps + tap) * cg + c, o, mirror);
                }
            }
        }
    }

    /// The output from `x` and the weights of [`Self::turned`], in the order of the library's products.
    pub(super) fn forward(&self, gemm: &dyn Gemm, buffers: &mut Buffers, x: &Tensor, turned: &[f32], out: &mut [f32]) {
        let mirror = self.mirror(x.n, self.output_shape());
        Im2Row::new(mirror, 0.0).input_gradient(gemm, buffers, &x.data, Dx { weights: turned, scale: None, out });
    }

    /// The output from `x` and `weights` in the order that the packed network has: input rows, columns and channels ascending. It
    /// is a convolution with mirrored taps over inputs that zeros keep a stride apart; a zero more changes no sum.
    pub(super) fn forward_in_order(
        &self,
        isa: Isa,
        buffers: &mut Buffers,
        x: &Tensor,
        weights: &[f32],
        out: &mut [f32],
    ) {
        let (g, input, cg, conv) = (&self.geometry, self.input, self.input.c / self.groups, self.apart(x.n));
        let len = conv.h * conv.w * input.c;
        let mut apart = buffers.zeros(x.n * len);
        apart.par_chunks_mut(len).zip(x.data.par_chunks(input.elements())).for_each(|(apart, x)| {
            for (pixel, x) in x.chunks_exact(input.c).enumerate() {
                let (row, column) = (pixel / input.w * g.stride[0], pixel % input.w * g.stride[1]);
                apart[(row * conv.w + column) * input.c..][..input.c].copy_from_slice(x);
            }
        });
        let taps = g.kernel[0] * g.kernel[1];
        let mut mirrored = buffers.real(weights.len());
        for (to, from) in mirrored.chunks_exact_mut(taps * cg).zip(weights.chunks_exact(taps * cg)) {
            to.chunks_exact_mut(cg).rev().zip(from.chunks_exact(cg)).for_each(|(to, from)| to.copy_from_slice(from));
        }
        real::fixed_order(isa, buffers, &conv, &apart, &mirrored, None, out);
        buffers.give(apart);
        buffers.give(mirrored);
    }

    /// Writes the gradients by the weights and, where there is a place for it, by the input, whose weights are `turned`.
    #[expect(clippy::too_many_arguments, reason = "as the convolution that it mirrors")]
    pub(super) fn backward(
        &self,
        ranks: Option<&Ranks>,
        gemm: &dyn Gemm,
        buffers: &mut Buffers,
        x: &Tensor,
        dy: &[f32],
        dw: &mut [f32],
        dx: Option<(&[f32], &mut [f32])>,
    ) {
        let mirror = self.mirror(x.n, self.output_shape());
        let im2row = Im2Row::new(mirror, 0.0);
        let load = |n: usize, y: usize, to: &mut [f32]| to.copy_from_slice(im2row.real_row(dy, n, y));
        let mut turned_dw = buffers.real(dw.len());
        im2row.backward(ranks, gemm, buffers, load, &x.data, &mut turned_dw, None);
        self.each_weight(|own, _, mirror| dw[own] = turned_dw[mirror]);
        buffers.give(turned_dw);
        if let Some((turned, dx)) = dx {
            im2row.forward(ranks, gemm, buffers, load, turned, dx);
        }
    }
}

/// The values as real numbers; bits as ±1, in a buffer that [`give_back`] takes.
pub(super) fn as_real<'x>(isa: Isa, buffers: &mut Buffers, x: &'x Value) -> Cow<'x, Tensor> {
    match x {
        Value::Real(x) => Cow::Borrowed(x),
        Value::Bits(x) => {
            let mut data = buffers.real(x.n * x.shape.elements());
            bits::unpack_signs(isa, &x.words, x.shape.c, &mut data);
            Cow::Owned(Tensor::new(x.n, x.shape, data))
        }
    }
}

/// Takes the buffer of [`as_real`].
pub(super) fn give_back(buffers: &mut Buffers, x: Cow<'_, Tensor>) {
    if let Cow::Owned(x) = x {
        buffers.give(x.data);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::network::{NetworkBuilder, NetworkError, Var};

    /// Geometries of the operators' tests, for 4 input and 8 output channels, with groups.
    pub(in crate::ops) const GEOMETRIES: [(TransposedGeometry, usize); 5] = [
        (TransposedGeometry::valid([2, 2], [2, 2], [1, 1]), 1),
        (TransposedGeometry { pads: [1, 1, 1, 1], ..TransposedGeometry::valid([3, 3], [1, 1], [1, 1]) }, 1),
        (
            TransposedGeometry {
                pads: [1, 0, 1, 1],
                output_padding: [1, 0],
                ..TransposedGeometry::valid([3, 3], [2, 2], [1, 1])
            },
            2,
        ),
        (
            TransposedGeometry {
                pads: [1, 2, 0, 1],
                output_padding: [0, 2],
                ..TransposedGeometry::valid([2, 3], [1, 3], [3, 1])
            },
            1,
        ),
        (TransposedGeometry::valid([3, 2], [2, 2], [1, 1]), 4),
    ];

    type Build = fn(&mut NetworkBuilder, Var, TransposedGeometry, usize) -> Result<Var, NetworkError>;

    /// What [`Transposed::output`] refuses, of the operator that `build` adds with 8 outputs.
    pub(in crate::ops) fn refused(build: Build) {
        let valid = TransposedGeometry::valid([3, 3], [2, 2], [1, 1]);
        let cases = [
            (TransposedGeometry { output_padding: [0, 2], ..valid }, 1, "fewer than the stride"),
            (TransposedGeometry { pads: [0, 3, 0, 0], ..valid }, 1, "at most 2"),
            (TransposedGeometry { pads: [0, 0, 4, 0], output_padding: [1, 0], ..valid }, 1, "at most 2"),
            (TransposedGeometry { kernel: [0, 3], ..valid }, 1, "at least 1"),
            (TransposedGeometry { pads: [9, 9, 9, 9], ..valid }, 1, "cut"),
            (valid, 3, "groups"),
            (valid, 0, "a size is 0"),
        ];
        for (geometry, groups, reason) in cases {
            let mut b = NetworkBuilder::new(Shape::new(3, 4, 4), 1);
            let x = b.input();
            let message = build(&mut b, x, geometry, groups).unwrap_err().to_string();
            assert!(message.contains(reason), "{geometry:?} in {groups}: {message}");
        }
    }
}
