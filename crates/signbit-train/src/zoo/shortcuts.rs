//! Layers of networks whose activations between blocks are real: a sign stands in front of each binary convolution,
//! and shortcuts go around it. In a twin, a ReLU stands where the sign is.

use signbit_kernels::Padding;
use signbit_model::{Geometry, Shape};

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::ops::{
    ActivationScale, Add, AvgPool2d, BatchNorm, BatchNormSign, BinaryConv2d, Blur, Concat, Conv2d, Dense, Flatten,
    Gate, GlobalAvgPool, MaxPool2d, MulMap, NormOptions, PRelu, RPRelu, RSign, Relu, Sigmoid, Sign, Slice,
};

/// Inputs with a side below this have a stem that keeps height and width.
const SMALL: usize = 64;

/// A value that a layer made.
pub(super) type Made = Result<Var, ZooError>;

impl Blocks {
    /// Whether the network's input is small: it would be nothing after the stem of ImageNet's pictures.
    pub(super) fn small(&self) -> bool {
        let input = self.shape(self.builder.input());
        input.h.min(input.w) < SMALL
    }

    /// Shape of a value.
    pub(super) fn shape(&self, x: Var) -> Shape {
        self.builder.ty(x).shape
    }

    /// Window of `kernel` over `x` with padding for an output of the same size, divided by the stride.
    pub(super) fn same(&self, x: Var, kernel: usize, stride: usize) -> Geometry {
        let shape = self.shape(x);
        Geometry::same(shape.h, shape.w, [kernel; 2], [stride; 2], [1, 1])
    }

    /// The first convolution of a ResNet: 7x7 with stride 2, or 3x3 for small inputs.
    pub(super) fn stem(&mut self, name: &str, x: Activations, c: usize) -> Made {
        let (kernel, stride) = if self.small() { (3, 1) } else { (7, 2) };
        self.real_window(name, x.x(), c, kernel, stride)
    }

    /// The pooling behind [`Blocks::stem`]; none for small inputs.
    pub(super) fn stem_pool(&mut self, name: &str, x: Var) -> Made {
        if self.small() { Ok(x) } else { self.max_pool(name, x, 3, 2) }
    }

    /// A real convolution with "same" padding.
    pub(super) fn real_window(&mut self, name: &str, x: Var, c: usize, kernel: usize, stride: usize) -> Made {
        let geometry = self.same(x, kernel, stride);
        Ok(Conv2d::add(&mut self.builder, name, x, c, geometry, 1)?)
    }

    /// A real convolution in groups.
    pub(super) fn grouped(&mut self, name: &str, x: Var, c: usize, kernel: usize, groups: usize) -> Made {
        let geometry = self.same(x, kernel, 1);
        Ok(Conv2d::add(&mut self.builder, name, x, c, geometry, groups)?)
    }

    /// A real depthwise convolution.
    pub(super) fn depthwise(&mut self, name: &str, x: Var, kernel: usize, stride: usize) -> Made {
        let (c, geometry) = (self.shape(x).c, self.same(x, kernel, stride));
        Ok(Conv2d::add(&mut self.builder, name, x, c, geometry, c)?)
    }

    /// A sign and a convolution with binary weights, whose padding counts as 0.
    pub(super) fn sign_conv(&mut self, name: &str, x: Var, c: usize, kernel: usize, stride: usize) -> Made {
        let geometry = self.same(x, kernel, stride);
        self.sign_conv_padded(name, x, c, geometry, Padding::Zero)
    }

    /// A sign and a convolution with binary weights.
    pub(super) fn sign_conv_padded(
        &mut self,
        name: &str,
        x: Var,
        c: usize,
        geometry: Geometry,
        padding: Padding,
    ) -> Made {
        let b = &mut self.builder;
        let bits = match self.twin {
            true => Relu::add(b, &format!("{name}.relu"), x)?,
            false => Sign::add(b, &format!("{name}.sign"), x, self.quantizer.clone())?,
        };
        let y = self.binary_conv(name, bits, c, geometry, padding)?;
        if self.twin || !self.scale.map() {
            return Ok(y);
        }
        let b = &mut self.builder;
        let k = ActivationScale::add(b, &format!("{name}.k"), x, geometry)?;
        Ok(MulMap::add(b, &format!("{name}.scaled"), y, k)?)
    }

    /// Batch norm, sign and a binary convolution.
    pub(super) fn norm_sign_conv(&mut self, name: &str, x: Var, c: usize, kernel: usize) -> Made {
        let geometry = self.same(x, kernel, 1);
        self.norm_sign_conv_padded(name, x, c, geometry, Padding::Zero)
    }

    /// Batch norm, sign and a binary convolution. The normalised numbers are kept where K needs them only.
    pub(super) fn norm_sign_conv_padded(
        &mut self,
        name: &str,
        x: Var,
        c: usize,
        geometry: Geometry,
        padding: Padding,
    ) -> Made {
        let norm = format!("{name}.norm");
        if self.twin || self.scale.map() {
            let y = self.norm(&norm, x)?;
            return self.sign_conv_padded(name, y, c, geometry, padding);
        }
        let bits = BatchNormSign::with(&mut self.builder, &norm, x, self.quantizer.clone(), self.norm)?;
        self.binary_conv(name, bits, c, geometry, padding)
    }

    /// A convolution of bits with "same" padding that counts as 0.
    pub(super) fn bits_conv(&mut self, name: &str, bits: Var, c: usize, kernel: usize, stride: usize) -> Made {
        let geometry = self.same(bits, kernel, stride);
        self.binary_conv(name, bits, c, geometry, Padding::Zero)
    }

    /// A convolution with binary weights, or a real one (which pads with 0) in a twin and where the recipe wants real weights.
    fn binary_conv(&mut self, name: &str, x: Var, c: usize, geometry: Geometry, padding: Padding) -> Made {
        let b = &mut self.builder;
        if self.twin || self.real_weights {
            return Ok(Conv2d::add(b, name, x, c, geometry, 1)?);
        }
        let (scale, quantizer) = (self.scale.weight(), self.weight_quantizer.clone());
        let y = BinaryConv2d::add(b, name, x, c, geometry, 1, padding, quantizer, scale)?;
        self.spatial(name, y)
    }

    /// Sign with a learned shift; ReLU in a twin.
    pub(super) fn rsign(&mut self, name: &str, x: Var) -> Made {
        match self.twin {
            true => self.relu(name, x),
            false => Ok(RSign::add(&mut self.builder, name, x, self.quantizer.clone())?),
        }
    }

    /// Batch norm with the recipe's momentum.
    pub(super) fn norm(&mut self, name: &str, x: Var) -> Made {
        self.norm_with(name, x, self.norm)
    }

    /// Batch norm with choices.
    pub(super) fn norm_with(&mut self, name: &str, x: Var, options: NormOptions) -> Made {
        Ok(BatchNorm::with(&mut self.builder, name, x, options)?)
    }

    /// ReLU.
    pub(super) fn relu(&mut self, name: &str, x: Var) -> Made {
        Ok(Relu::add(&mut self.builder, name, x)?)
    }

    /// PReLU.
    pub(super) fn prelu(&mut self, name: &str, x: Var) -> Made {
        Ok(PRelu::add(&mut self.builder, name, x)?)
    }

    /// PReLU with learned shifts.
    pub(super) fn rprelu(&mut self, name: &str, x: Var) -> Made {
        Ok(RPRelu::add(&mut self.builder, name, x)?)
    }

    /// Sum of two values.
    pub(super) fn sum(&mut self, name: &str, a: Var, b: Var) -> Made {
        Ok(Add::add(&mut self.builder, name, a, b)?)
    }

    /// Channels one after the other.
    pub(super) fn concat(&mut self, name: &str, parts: &[Var]) -> Made {
        Ok(Concat::add(&mut self.builder, name, parts)?)
    }

    /// Channels `start..end`.
    pub(super) fn slice(&mut self, name: &str, x: Var, start: usize, end: usize) -> Made {
        Ok(Slice::add(&mut self.builder, name, x, start, end)?)
    }

    /// Mean of a 2x2 window at every second pixel.
    pub(super) fn avg_pool(&mut self, name: &str, x: Var) -> Made {
        let geometry = self.same(x, 2, 2);
        Ok(AvgPool2d::add(&mut self.builder, name, x, geometry)?)
    }

    /// Maximum with "same" padding.
    pub(super) fn max_pool(&mut self, name: &str, x: Var, kernel: usize, stride: usize) -> Made {
        let geometry = self.same(x, kernel, stride);
        Ok(MaxPool2d::add(&mut self.builder, name, x, geometry)?)
    }

    /// Maximum without padding; nothing where the window does not fit.
    pub(super) fn max_pool_valid(&mut self, name: &str, x: Var, kernel: usize, stride: usize) -> Made {
        let Shape { h, w, .. } = self.shape(x);
        if h.min(w) < kernel {
            return Ok(x);
        }
        let geometry = Geometry::valid([kernel; 2], [stride; 2], [1, 1]);
        Ok(MaxPool2d::add(&mut self.builder, name, x, geometry)?)
    }

    /// AlexNet's overlapping pooling, 3x3 with stride 2; small inputs are padded for it.
    pub(super) fn alexnet_pool(&mut self, name: &str, x: Var) -> Made {
        if self.small() { self.max_pool(name, x, 3, 2) } else { self.max_pool_valid(name, x, 3, 2) }
    }

    /// Blur at every second pixel.
    pub(super) fn blur(&mut self, name: &str, x: Var) -> Made {
        let geometry = self.same(x, 3, 2);
        Ok(Blur::add(&mut self.builder, name, x, geometry)?)
    }

    /// A shortcut for half the height and width and `c` channels: mean, real 1x1 convolution, batch norm.
    pub(super) fn shortcut(&mut self, name: &str, x: Var, c: usize) -> Made {
        let x = self.avg_pool(&format!("{name}.pool"), x)?;
        let x = self.real_window(&format!("{name}.conv"), x, c, 1, 1)?;
        self.norm(&format!("{name}.norm"), x)
    }

    /// The layer of Bi-Real Net and of ResNet-E: sign, binary 3x3 convolution and batch norm beside a shortcut.
    pub(super) fn bireal(&mut self, name: &str, x: Var, c: usize, stride: usize) -> Made {
        let y = self.sign_conv(&format!("{name}.conv"), x, c, 3, stride)?;
        let y = self.norm(&format!("{name}.norm"), y)?;
        let shortcut = match stride {
            1 => x,
            _ => self.shortcut(&format!("{name}.shortcut"), x, c)?,
        };
        self.sum(&format!("{name}.add"), y, shortcut)
    }

    /// The transition of a dense network: batch norm, pooling, ReLU, real 1x1 convolution to `c` channels.
    pub(super) fn transition(&mut self, name: &str, x: Var, c: usize) -> Made {
        let y = self.norm(&format!("{name}.norm"), x)?;
        let y = self.max_pool(&format!("{name}.pool"), y, 2, 2)?;
        let y = self.relu(&format!("{name}.relu"), y)?;
        self.real_window(&format!("{name}.conv"), y, c, 1, 1)
    }

    /// `y` times factors per channel, which two real dense layers find from the mean of `read`.
    pub(super) fn squeeze_excite(&mut self, name: &str, y: Var, read: Var, reduced: usize) -> Made {
        let c = self.shape(y).c;
        let b = &mut self.builder;
        let z = GlobalAvgPool::add(b, &format!("{name}.mean"), read)?;
        let z = Dense::add(b, &format!("{name}.dense1"), z, reduced, false)?;
        let z = Relu::add(b, &format!("{name}.relu"), z)?;
        let z = Dense::add(b, &format!("{name}.dense2"), z, c, false)?;
        let z = Sigmoid::add(b, &format!("{name}.sigmoid"), z)?;
        Ok(Gate::add(b, name, y, z)?)
    }

    /// The end: the mean over all positions and the real layer `dense`.
    pub(super) fn mean_dense(&mut self, x: Var, classes: usize) -> Made {
        let x = GlobalAvgPool::add(&mut self.builder, "mean", x)?;
        Ok(Dense::add(&mut self.builder, "dense", x, classes, true)?)
    }

    /// A real dense layer over all numbers of `x`.
    pub(super) fn dense_of_vector(&mut self, name: &str, x: Var, outputs: usize, bias: bool) -> Made {
        let x = Flatten::add(&mut self.builder, &format!("{name}.flatten"), x)?;
        Ok(Dense::add(&mut self.builder, name, x, outputs, bias)?)
    }
}
