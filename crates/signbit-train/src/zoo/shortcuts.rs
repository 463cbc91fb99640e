//! Layers of networks whose activations between blocks are real: a sign stands in front of each binary convolution,
//! and shortcuts go around it. In a twin, a ReLU stands where the sign is.

use signbit_kernels::Padding;
use signbit_model::{Geometry, Shape};

use super::ZooError;
use super::blocks::{Activations, Blocks};
use crate::network::Var;
use crate::ops::{
    ActivationScale, Add, AvgPool2d, BatchNorm, BinaryConv2d, Conv2d, Dense, GlobalAvgPool, MulMap, Relu, Sign,
};

impl Blocks {
    /// Shape of a value.
    pub(super) fn shape(&self, x: Var) -> Shape {
        self.builder.ty(x).shape
    }

    /// Window of `kernel` over `x` with Keras' "same" padding.
    pub(super) fn same(&self, x: Var, kernel: usize, stride: usize) -> Geometry {
        let shape = self.shape(x);
        Geometry::same(shape.h, shape.w, [kernel; 2], [stride; 2], [1, 1])
    }

    /// The real convolution of the network's input.
    pub(super) fn first_conv(
        &mut self,
        name: &str,
        x: Activations,
        c: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Var, ZooError> {
        self.real_window(name, x.x(), c, kernel, stride)
    }

    /// A real convolution with "same" padding.
    pub(super) fn real_window(&mut self, name: &str, x: Var, c: usize, kernel: usize, stride: usize) -> Made {
        let geometry = self.same(x, kernel, stride);
        Ok(Conv2d::add(&mut self.builder, name, x, c, geometry, 1)?)
    }

    /// A sign and a convolution with binary weights; its padding counts as 0.
    pub(super) fn sign_conv(&mut self, name: &str, x: Var, c: usize, kernel: usize, stride: usize) -> Made {
        let geometry = self.same(x, kernel, stride);
        let b = &mut self.builder;
        if self.twin {
            let x = Relu::add(b, &format!("{name}.relu"), x)?;
            return Ok(Conv2d::add(b, name, x, c, geometry, 1)?);
        }
        let bits = Sign::add(b, &format!("{name}.sign"), x, self.quantizer.clone())?;
        let (scale, quantizer) = (self.scale.weight(), self.weight_quantizer.clone());
        let y = BinaryConv2d::add(b, name, bits, c, geometry, 1, Padding::Zero, quantizer, scale)?;
        if !self.scale.map() {
            return Ok(y);
        }
        let k = ActivationScale::add(b, &format!("{name}.k"), x, geometry)?;
        Ok(MulMap::add(b, &format!("{name}.scaled"), y, k)?)
    }

    /// Batch norm with the recipe's momentum.
    pub(super) fn norm(&mut self, name: &str, x: Var) -> Made {
        Ok(BatchNorm::with(&mut self.builder, name, x, self.norm)?)
    }

    /// Mean of a 2x2 window at every second pixel.
    pub(super) fn avg_pool(&mut self, name: &str, x: Var) -> Made {
        let geometry = self.same(x, 2, 2);
        Ok(AvgPool2d::add(&mut self.builder, name, x, geometry)?)
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
        Ok(Add::add(&mut self.builder, &format!("{name}.add"), y, shortcut)?)
    }

    /// The end: the mean over all positions and the real layer `dense`.
    pub(super) fn mean_dense(&mut self, x: Var, classes: usize) -> Made {
        let x = GlobalAvgPool::add(&mut self.builder, "mean", x)?;
        Ok(Dense::add(&mut self.builder, "dense", x, classes, true)?)
    }
}

/// A value that a layer made.
pub(super) type Made = Result<Var, ZooError>;
