//! A model's tensors, as the exporters need them.

use signbit_model::{Geometry, Model, ModelError, Node, NodeError, Shape, Tensor};

use crate::ConvertError;

/// A tensor by its name.
pub(super) fn tensor<'a>(model: &'a Model, node: &Node, name: &str) -> Result<&'a Tensor, ConvertError> {
    model.tensors.get(name).ok_or_else(|| {
        let source = NodeError::MissingTensor { tensor: name.to_owned() };
        ModelError::Node { node: node.name.clone(), source }.into()
    })
}

/// Real numbers; bits as +1.0 and -1.0, integers rounded.
pub(super) fn reals(tensor: &Tensor) -> Vec<f32> {
    match tensor {
        Tensor::F32 { data, .. } => data.clone(),
        Tensor::I32 { data, .. } => data.iter().map(|&v| v as f32).collect(),
        Tensor::Bits { .. } => signs(tensor).into_iter().map(f32::from).collect(),
    }
}

/// Bits as +1 and -1; empty for another tensor.
pub(super) fn signs(tensor: &Tensor) -> Vec<i8> {
    tensor.to_signs().unwrap_or_default()
}

/// From `[O, kh, kw, C]` to `[O, C, kh, kw]`.
pub(super) fn ohwi_to_oihw<T: Copy>(data: &[T], shape: &[usize]) -> Vec<T> {
    let &[_, kh, kw, c] = shape else { return data.to_vec() };
    let filters = data.chunks_exact((kh * kw * c).max(1));
    filters.flat_map(|filter| (0..c).flat_map(move |i| filter.iter().skip(i).step_by(c).copied())).collect()
}

/// From `[O, kh, kw, C / groups]` to `[C, O / groups, kh, kw]`.
pub(super) fn ohwi_to_iohw<T: Copy>(data: &[T], shape: &[usize], groups: usize) -> Vec<T> {
    let &[o, kh, kw, c] = shape else { return data.to_vec() };
    let (taps, o_group) = (kh * kw, o / groups.max(1));
    let mut moved = Vec::with_capacity(data.len());
    for (group, i) in (0..groups).flat_map(|group| (0..c).map(move |i| (group, i))) {
        for o in group * o_group..(group + 1) * o_group {
            moved.extend((0..taps).filter_map(|tap| data.get((o * taps + tap) * c + i)));
        }
    }
    moved
}

/// From `[O, kh, kw, 1]` to `[1, kh, kw, O]`.
pub(super) fn depthwise_to_hwo<T: Copy>(data: &[T], shape: &[usize]) -> Vec<T> {
    let taps = shape.iter().skip(1).product::<usize>().max(1);
    (0..taps).flat_map(|tap| data.iter().skip(tap).step_by(taps).copied()).collect()
}

/// How many taps of each window lie inside of the input, rows and columns ascending.
pub(super) fn taps_inside(geometry: &Geometry, input: Shape, output: Shape) -> Vec<f32> {
    let [kh, kw] = geometry.kernel;
    let rows = |y| (0..kh).filter(|&ky| geometry.row(y, ky, input.h).is_some()).count();
    let columns: Vec<usize> =
        (0..output.w).map(|x| (0..kw).filter(|&kx| geometry.column(x, kx, input.w).is_some()).count()).collect();
    (0..output.h).map(rows).flat_map(|rows| columns.iter().map(move |columns| (rows * columns) as f32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_to_the_front() {
        let data: Vec<usize> = (0..12).collect();
        assert_eq!(ohwi_to_oihw(&data, &[2, 1, 3, 2]), [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        assert_eq!(ohwi_to_iohw(&data, &[3, 1, 2, 2], 1), [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
        // Two groups of one input channel and two outputs.
        assert_eq!(ohwi_to_iohw(&data[..8], &[4, 1, 2, 1], 2), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(depthwise_to_hwo(&data, &[3, 2, 2, 1]), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    }

    #[test]
    fn taps_inside_of_a_corner() {
        let geometry = Geometry::padded([3, 3], [1, 1], 1);
        let (input, output) = (Shape::new(2, 3, 1), Shape::new(2, 3, 1));
        assert_eq!(taps_inside(&geometry, input, output), [4.0, 6.0, 4.0, 4.0, 6.0, 4.0]);
    }
}
