//! Layers of the zoo that are binary in a binary network and real in its twin.

use std::sync::Arc;

use signbit_kernels::Padding;
use signbit_model::Geometry;

use super::ZooError;
use crate::network::{NetworkBuilder, Var};
use crate::ops::{
    ActivationScale, BatchNorm, BatchNormSign, BinaryConv2d, BinaryDense, Conv2d, Dense, Flatten, GlobalAvgPool,
    MaxPool2d, MulMap, NormOptions, Relu, Sign, SpatialScale,
};
use crate::quantizer::{Kind, Quantizer};
use crate::recipe::{Recipe, ScaleFactor};

/// Activations between two layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activations {
    /// What the next layer reads: bits, or real numbers in a twin and before the first sign.
    x: Var,
    /// The real numbers whose signs `x` is, where the map K needs them.
    real: Option<Var>,
}

impl Activations {
    /// The values themselves.
    pub(super) fn x(self) -> Var {
        self.x
    }
}

/// Adds blocks to a network in the way that a recipe asks for.
pub(super) struct Blocks {
    pub(super) builder: NetworkBuilder,
    pub(super) twin: bool,
    /// Real weights over binary activations.
    pub(super) real_weights: bool,
    pub(super) scale: ScaleFactor,
    pub(super) quantizer: Arc<dyn Quantizer>,
    pub(super) weight_quantizer: Arc<dyn Quantizer>,
    pub(super) norm: NormOptions,
}

impl Blocks {
    /// Blocks for `builder`'s network.
    pub(super) fn new(recipe: &Recipe, builder: NetworkBuilder) -> Result<(Self, Activations), ZooError> {
        let x = Activations { x: builder.input(), real: None };
        let (quantizer, weight_quantizer) = (recipe.quantizer()?, recipe.weight_quantizer()?);
        let norm = NormOptions { momentum: recipe.norm_momentum, ..NormOptions::default() };
        let Recipe { twin, real_weights, scale, .. } = *recipe;
        Ok((Self { builder, twin, real_weights, scale, quantizer, weight_quantizer, norm }, x))
    }

    /// 3x3 "same" geometry over the height and width of `x`.
    pub(super) fn same3(&self, x: Activations) -> Geometry {
        let shape = self.builder.ty(x.x).shape;
        Geometry::same(shape.h, shape.w, [3, 3], [1, 1], [1, 1])
    }

    /// A real convolution.
    pub(super) fn real_conv(&mut self, name: &str, x: Activations, c: usize) -> Result<Var, ZooError> {
        let geometry = self.same3(x);
        Ok(Conv2d::add(&mut self.builder, name, x.x, c, geometry, 1)?)
    }

    /// A 3x3 convolution with binary weights, unless the recipe wants real ones.
    pub(super) fn conv(&mut self, name: &str, x: Activations, c: usize) -> Result<Var, ZooError> {
        if self.twin {
            return self.real_conv(name, x, c);
        }
        let (geometry, scale) = (self.same3(x), self.scale.weight());
        if self.real_weights {
            let y = self.real_conv(name, x, c)?;
            return self.scaled(name, x, y, geometry);
        }
        let b = &mut self.builder;
        let y = BinaryConv2d::add(b, name, x.x, c, geometry, 1, Padding::Zero, self.weight_quantizer.clone(), scale)?;
        self.scaled(name, x, y, geometry)
    }

    /// A dense layer with binary weights, unless the recipe wants real ones.
    pub(super) fn dense(&mut self, name: &str, x: Activations, outputs: usize) -> Result<Var, ZooError> {
        if self.twin {
            return Ok(Dense::add(&mut self.builder, name, x.x, outputs, false)?);
        }
        let scale = self.scale.weight();
        let y = match self.real_weights {
            true => Dense::add(&mut self.builder, name, x.x, outputs, false)?,
            false => BinaryDense::add(&mut self.builder, name, x.x, outputs, self.weight_quantizer.clone(), scale)?,
        };
        self.scaled(name, x, y, Geometry::valid([1, 1], [1, 1], [1, 1]))
    }

    /// The map K of the layer's input on its output, or factors of its rows and columns, where the recipe asks for them.
    fn scaled(&mut self, name: &str, x: Activations, y: Var, geometry: Geometry) -> Result<Var, ZooError> {
        let Some(real) = x.real else { return self.spatial(name, y) };
        let k = ActivationScale::add(&mut self.builder, &format!("{name}.k"), real, geometry)?;
        Ok(MulMap::add(&mut self.builder, &format!("{name}.scaled"), y, k)?)
    }

    /// Factors of the rows and columns of a binary layer's output, where the recipe asks for them and there are several.
    pub(super) fn spatial(&mut self, name: &str, y: Var) -> Result<Var, ZooError> {
        match self.scale == ScaleFactor::LearnedMap && !self.builder.ty(y).shape.is_vector() {
            true => Ok(SpatialScale::add(&mut self.builder, &format!("{name}.spatial"), y)?),
            false => Ok(y),
        }
    }

    /// The last layer: real, with bias.
    pub(super) fn last(&mut self, name: &str, x: Activations, outputs: usize) -> Result<Var, ZooError> {
        Ok(Dense::add(&mut self.builder, name, x.x, outputs, true)?)
    }

    /// 2x2 max pooling.
    pub(super) fn pool(&mut self, name: &str, x: Var) -> Result<Var, ZooError> {
        Ok(MaxPool2d::add(&mut self.builder, name, x, Geometry::valid([2, 2], [2, 2], [1, 1]))?)
    }

    /// Batch norm and sign; batch norm and ReLU in a twin.
    pub(super) fn activate(&mut self, name: &str, x: Var) -> Result<Activations, ZooError> {
        if self.twin {
            return self.real_activate(name, x);
        }
        let (b, shifted) = (&mut self.builder, self.quantizer.kind() == Kind::ShiftedSign);
        if !self.scale.map() && !shifted {
            let x = BatchNormSign::with(b, name, x, self.quantizer.clone(), self.norm)?;
            return Ok(Activations { x, real: None });
        }
        let y = BatchNorm::with(b, name, x, self.norm)?;
        let x = Sign::add(b, &format!("{name}.sign"), y, self.quantizer.clone())?;
        Ok(Activations { x, real: self.scale.map().then_some(y) })
    }

    /// Batch norm and ReLU: real numbers for a real layer.
    pub(super) fn real_activate(&mut self, name: &str, x: Var) -> Result<Activations, ZooError> {
        let y = BatchNorm::with(&mut self.builder, name, x, self.norm)?;
        let x = Relu::add(&mut self.builder, &format!("{name}.relu"), y)?;
        Ok(Activations { x, real: None })
    }

    /// The mean of real activations over all positions.
    pub(super) fn mean(&mut self, name: &str, x: Activations) -> Result<Activations, ZooError> {
        let x = GlobalAvgPool::add(&mut self.builder, name, x.x)?;
        Ok(Activations { x, real: None })
    }

    /// Flattens all of the activations.
    pub(super) fn flatten(&mut self, name: &str, x: Activations) -> Result<Activations, ZooError> {
        let flat = Flatten::add(&mut self.builder, name, x.x)?;
        let real = x.real.map(|real| Flatten::add(&mut self.builder, &format!("{name}.real"), real)).transpose()?;
        Ok(Activations { x: flat, real })
    }
}
