//! What a name of the file stands for, and how a value's axes lie in NHWC memory.
//!
//! ONNX thinks in NCHW and moves axes about; the graph has NHWC only. So a value keeps, for each of its *logical*
//! axes, the *storage* axes it is made of, the slowest first: a feature map is `[N] [C] [H] [W]`, flattened it is
//! `[N] [C H W]`, transposed to channels last `[N] [H] [W] [C]`. Moving axes then costs nothing; an operator with
//! constants, such as a dense layer, has them permuted from the logical order to the one of memory.

use signbit_model::ValueId;

use super::constant::{Constant, MAX_RANK, Shared, strides};

/// An axis of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Sample.
    N,
    /// Row.
    H,
    /// Column.
    W,
    /// Channel.
    C,
}

/// The axes within a sample, in the order of memory.
pub(super) const HWC: [Axis; 3] = [Axis::H, Axis::W, Axis::C];

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A constant.
    Constant(Shared),
    /// A value of the network.
    Real(Real),
    /// Which elements of a value pass a comparison.
    Test(Test),
}

/// A comparison of a value with a constant, for a sign that is written with `Where` or `Cast`.
#[derive(Debug, Clone)]
pub(super) struct Test {
    pub(super) x: Real,
    pub(super) than: Shared,
    /// True for `x >= than` and `x < than`, whose sign is that of `x - than`; false for `x <= than` and `x > than`,
    /// whose sign is that of `than - x`.
    pub(super) ascending: bool,
    /// True for the strict comparisons: they hold where that sign is -1.
    pub(super) strict: bool,
}

/// A value of the network: of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Real {
    pub(super) id: ValueId,
    /// Sizes of N, H, W, C.
    dims: [usize; 4],
    /// Of each logical axis the storage axes, slowest first. N is in it once; another one of size 1 is left out.
    axes: Vec<Vec<Axis>>,
    /// In the graph it is a vector already: H, W and C are one axis there, in this order.
    flat: bool,
}

/// How constants meet a value: one number per channel of the graph's value.
#[derive(Debug)]
pub(super) enum Spread {
    /// One step of the constant per channel.
    Channels(Vec<f32>),
    /// The value must be flattened first.
    Flat(Vec<f32>),
}

impl Real {
    /// A feature map `[N, C, H, W]`; `dims` are the sizes of N, H, W, C.
    pub(super) fn map(id: ValueId, dims: [usize; 4]) -> Self {
        Self::new(id, dims, &[&[Axis::N], &[Axis::C], &[Axis::H], &[Axis::W]])
    }

    /// A vector `[N, C]`.
    pub(super) fn vector(id: ValueId, n: usize, c: usize) -> Self {
        Self::new(id, [n, 1, 1, c], &[&[Axis::N], &[Axis::C]])
    }

    pub(super) fn new(id: ValueId, dims: [usize; 4], axes: &[&[Axis]]) -> Self {
        Self { id, dims, axes: axes.iter().map(|a| a.to_vec()).collect(), flat: false }.normal()
    }

    fn normal(mut self) -> Self {
        let dims = self.dims;
        for axis in &mut self.axes {
            axis.retain(|&a| a == Axis::N || dims[a as usize] != 1);
        }
        self
    }

    /// The same axes over another value of the graph.
    pub(super) fn with(&self, id: ValueId) -> Self {
        Self { id, ..self.clone() }
    }

    /// The same axes over a flattened value of the graph.
    pub(super) fn flattened(&self, id: ValueId) -> Self {
        Self { id, flat: true, ..self.clone() }
    }

    /// Another value with other sizes, whose logical axes stay where they are.
    pub(super) fn resized(&self, id: ValueId, dims: [usize; 4], axes: Vec<Vec<Axis>>) -> Self {
        Self { id, dims, axes, flat: false }.normal()
    }

    pub(super) fn dims(&self) -> [usize; 4] {
        self.dims
    }

    pub(super) fn axes(&self) -> &[Vec<Axis>] {
        &self.axes
    }

    pub(super) fn rank(&self) -> usize {
        self.axes.len()
    }

    /// How a constant of one number per row, column or position of a map steps along its rows and columns; nothing where it
    /// is another.
    pub(super) fn map_steps(&self, constant: &Constant) -> Option<[usize; 2]> {
        let axes = self.axes.get(self.rank().checked_sub(constant.dims().len())?..)?;
        let mut steps = [0, 0];
        for ((axis, &dim), step) in axes.iter().zip(constant.dims()).zip(strides(constant.dims())) {
            match axis[..] {
                _ if dim == 1 => {}
                [Axis::H] if dim == self.size(Axis::H) => steps[0] = step,
                [Axis::W] if dim == self.size(Axis::W) => steps[1] = step,
                _ => return None,
            }
        }
        (steps != [0, 0] && !self.flat).then_some(steps)
    }

    /// Elements per sample.
    pub(super) fn elements(&self) -> usize {
        self.dims.iter().skip(1).fold(1, |product, &d| product.saturating_mul(d))
    }

    pub(super) fn size(&self, axis: Axis) -> usize {
        self.dims[axis as usize]
    }

    /// The graph's value is `1 x 1 x C`, or flattened to that.
    pub(super) fn is_vector(&self) -> bool {
        self.flat || (self.dims[1] == 1 && self.dims[2] == 1)
    }

    /// Flattened from more than one row or column.
    pub(super) fn is_flat(&self) -> bool {
        self.flat && !(self.dims[1] == 1 && self.dims[2] == 1)
    }

    /// The logical shape.
    pub(super) fn shape(&self) -> Vec<usize> {
        let product = |axis: &Vec<Axis>| axis.iter().fold(1_usize, |p, &a| p.saturating_mul(self.size(a)));
        self.axes.iter().map(product).collect()
    }

    /// The storage axis of each logical one, where there are four in the order NCHW, or else NHWC.
    pub(super) fn roles(&self) -> Option<[Axis; 4]> {
        [[Axis::N, Axis::C, Axis::H, Axis::W], [Axis::N, Axis::H, Axis::W, Axis::C]]
            .into_iter()
            .find(|roles| !self.is_flat() && self.has_roles(roles))
    }

    /// True for a feature map in the order NCHW.
    pub(super) fn is_map(&self) -> bool {
        !self.is_flat() && self.has_roles(&[Axis::N, Axis::C, Axis::H, Axis::W])
    }

    fn has_roles(&self, roles: &[Axis]) -> bool {
        let wanted = |&role: &Axis| if role == Axis::N || self.size(role) != 1 { Some(role) } else { None };
        self.axes.len() == roles.len()
            && self.axes.iter().zip(roles).all(|(axis, role)| axis.iter().copied().eq(wanted(role)))
    }

    /// The storage axes, in logical order.
    pub(super) fn order(&self) -> impl Iterator<Item = Axis> + '_ {
        self.axes.iter().flatten().copied()
    }

    /// True where the logical order of the elements is that of memory.
    pub(super) fn in_memory_order(&self) -> bool {
        self.order().is_sorted_by_key(|axis| axis as usize)
    }

    /// The axes in another order; `None` where `permutation` is not one.
    pub(super) fn transposed(&self, permutation: &[usize]) -> Option<Self> {
        let mut taken = vec![false; self.rank()];
        let mut axes = Vec::with_capacity(self.rank());
        for &p in permutation {
            let free = taken.get_mut(p).filter(|t| !**t)?;
            *free = true;
            axes.push(self.axes.get(p)?.clone());
        }
        (axes.len() == self.rank()).then(|| Self { axes, ..self.clone() })
    }

    /// The elements in another logical shape; `None` where that divides an axis of memory, or has other elements.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Option<Self> {
        if shape.len() > MAX_RANK {
            return None;
        }
        let mut rest = self.order().peekable();
        let mut axes = Vec::with_capacity(shape.len());
        for &wanted in shape {
            let mut axis = Vec::new();
            let mut size = 1_usize;
            // A sample axis of size 1 belongs to the first axis that there is.
            while let Some(next) = rest.next_if(|&a| size < wanted || (a == Axis::N && self.size(a) == 1)) {
                size = size.checked_mul(self.size(next))?;
                axis.push(next);
            }
            if size != wanted {
                return None;
            }
            axes.push(axis);
        }
        rest.next().is_none().then(|| Self { axes, ..self.clone() })
    }

    /// With axes of size 1 put in, so that they stand at `positions` (ascending) of the result.
    pub(super) fn unsqueezed(&self, positions: &[usize]) -> Option<Self> {
        let mut axes = self.axes.clone();
        for &p in positions {
            if p > axes.len() || axes.len() >= MAX_RANK {
                return None;
            }
            axes.insert(p, Vec::new());
        }
        Some(Self { axes, ..self.clone() })
    }

    /// Without the axes at `positions`; `None` where one of them is not of size 1, or the last one left.
    pub(super) fn squeezed(&self, positions: &[usize]) -> Option<Self> {
        let mut axes: Vec<Vec<Axis>> = Vec::with_capacity(self.rank());
        let mut samples = false;
        for (i, axis) in self.axes.iter().enumerate() {
            match (positions.contains(&i), axis.as_slice()) {
                (false, _) => axes.push(axis.clone()),
                (true, []) => {}
                (true, [Axis::N]) if self.dims[0] == 1 => samples = true,
                (true, _) => return None,
            }
        }
        if samples {
            axes.first_mut()?.insert(0, Axis::N);
        }
        Some(Self { axes, ..self.clone() })
    }

    /// With axes of size 1 in front up to `rank`.
    pub(super) fn aligned(&self, rank: usize) -> Self {
        let missing = rank.saturating_sub(self.rank());
        let mut axes = vec![Vec::new(); missing];
        axes.extend(self.axes.iter().cloned());
        Self { axes, ..self.clone() }
    }

    /// Where the logical order is that of memory, the same as a plain vector.
    pub(super) fn as_plain_vector(&self) -> Option<Self> {
        let [first, last] = self.axes.as_slice() else {
            return None;
        };
        if first != &[Axis::N] || !self.is_vector() || !self.in_memory_order() || last.contains(&Axis::N) {
            return None;
        }
        Some(Self::vector(self.id, self.dims[0], self.elements()))
    }

    /// For each element of a sample in the order of memory, its place in axis `i` of the logical shape, which must hold
    /// all of H, W and C; `None` otherwise.
    pub(super) fn places(&self, i: usize) -> Option<Vec<usize>> {
        let axis = self.axes.get(i)?;
        let whole = HWC.iter().all(|a| self.size(*a) == 1 || axis.contains(a)) && !axis.contains(&Axis::N);
        whole.then(|| {
            let steps = self.steps(axis, 1);
            self.memory().map(|position| dot(position, steps)).collect()
        })
    }

    /// A constant in a broadcast form, spread over the value's channels.
    ///
    /// `Err` gives the reason why not.
    pub(super) fn spread(&self, constant: &Constant) -> Result<Spread, String> {
        let steps = self.broadcast(constant)?;
        let data = constant.to_floats();
        let pick = |i: usize| data.get(i).copied().ok_or_else(|| "a constant is too short".to_owned());
        if self.needs_flat(steps) {
            let all = self.memory().map(|position| pick(dot(position, steps)));
            return all.collect::<Result<_, _>>().map(Spread::Flat);
        }
        let channels = (0..self.dims[3]).map(|c| pick(c * steps[2]));
        channels.collect::<Result<_, _>>().map(Spread::Channels)
    }

    /// How many numbers [`Real::spread`] gives.
    pub(super) fn spread_len(&self, constant: &Constant) -> Result<usize, String> {
        let steps = self.broadcast(constant)?;
        Ok(if self.needs_flat(steps) { self.elements() } else { self.dims[3] })
    }

    fn needs_flat(&self, steps: [usize; 3]) -> bool {
        self.is_flat() || steps[0] != 0 || steps[1] != 0
    }

    /// How far a step along H, W and C of the value goes in a constant that is broadcast to it.
    fn broadcast(&self, constant: &Constant) -> Result<[usize; 3], String> {
        let dims = constant.dims();
        let shape = self.shape();
        let no = || format!("a constant of shape {dims:?} does not go with a value of shape {shape:?}");
        let skipped = self.rank().checked_sub(dims.len()).ok_or_else(no)?;
        let mut steps = [0_usize; 3];
        let strides = strides(dims);
        for (i, (&dim, &stride)) in dims.iter().zip(&strides).enumerate() {
            let (Some(axis), Some(&size)) = (self.axes.get(skipped + i), shape.get(skipped + i)) else {
                return Err(no());
            };
            if dim == 1 {
                continue;
            }
            if dim != size || (axis.contains(&Axis::N) && self.dims[0] != 1) {
                return Err(no());
            }
            for (step, more) in steps.iter_mut().zip(self.steps(axis, stride)) {
                *step += more;
            }
        }
        Ok(steps)
    }

    /// How far a step along H, W and C goes within a logical axis, whose own neighbours are `stride` apart.
    fn steps(&self, axis: &[Axis], stride: usize) -> [usize; 3] {
        let mut steps = [0; 3];
        let mut step = stride;
        for &a in axis.iter().rev() {
            if let Some(place) = HWC.iter().position(|&s| s == a) {
                steps[place] = step;
            }
            step = step.saturating_mul(self.size(a));
        }
        steps
    }

    /// The positions `[h, w, c]` in the order of memory.
    fn memory(&self) -> impl Iterator<Item = [usize; 3]> {
        let [_, h, w, c] = self.dims;
        (0..h).flat_map(move |y| (0..w).flat_map(move |x| (0..c).map(move |k| [y, x, k])))
    }
}

fn dot(position: [usize; 3], steps: [usize; 3]) -> usize {
    position.iter().zip(steps).map(|(p, s)| p * s).sum()
}
