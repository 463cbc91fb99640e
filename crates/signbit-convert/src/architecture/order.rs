//! The order of a vector's elements. A picture that PyTorch flattens gives a vector of channels, rows, columns; here it
//! gives rows, columns, channels. What has one number per element, or one column, is brought from the one order to the
//! other.

use signbit_model::Shape;

/// Most parts of one order.
const MAX_PARTS: usize = 1024;

/// From what a vector was flattened: pictures, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order(Vec<Shape>);

impl Order {
    /// The order of a flattened picture.
    pub(crate) fn flattened(picture: Shape) -> Self {
        Self(vec![picture])
    }

    /// The order of a value that was not flattened here.
    pub(super) fn plain(channels: usize) -> Self {
        Self(vec![Shape::vector(channels)])
    }

    /// The order of one vector behind the other; `None` where it has too many parts.
    pub(super) fn concat<'o>(orders: impl Iterator<Item = &'o Self>) -> Option<Self> {
        let mut parts: Vec<Shape> = Vec::new();
        for &shape in orders.flat_map(|order| &order.0) {
            let joined = parts.pop_if(|last| plain(*last) && plain(shape)).map_or(0, Shape::elements);
            if parts.len() == MAX_PARTS {
                return None;
            }
            parts.push(if joined == 0 { shape } else { Shape::vector(joined.saturating_add(shape.elements())) });
        }
        Some(Self(parts))
    }

    /// Whether it is the order of the source.
    pub(super) fn is_plain(&self) -> bool {
        self.0.iter().all(|&shape| plain(shape))
    }

    /// How many elements there are.
    pub(super) fn len(&self) -> usize {
        self.0.iter().fold(0, |sum, shape| sum.saturating_add(shape.elements()))
    }

    /// One row, or more, of numbers in the source's order, in the order that they have here. A row has
    /// [`Order::len`] numbers.
    pub(crate) fn apply(&self, numbers: Vec<f32>) -> Vec<f32> {
        if self.is_plain() {
            return numbers;
        }
        let mut ordered = Vec::with_capacity(numbers.len());
        for row in numbers.chunks_exact(self.len().max(1)) {
            let mut rest = row;
            for shape in &self.0 {
                let Some((picture, behind)) = rest.split_at_checked(shape.elements()) else { return ordered };
                let pixels = shape.h * shape.w;
                let pixel = |at: usize| picture.iter().skip(at).step_by(pixels);
                ordered.extend((0..pixels).flat_map(pixel));
                rest = behind;
            }
        }
        ordered
    }
}

/// Whether a picture has the same order either way.
fn plain(picture: Shape) -> bool {
    picture.is_vector() || picture.c == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_come_last() {
        // Two channels of 1x3, then two plain numbers.
        let order = Order::concat([Order::flattened(Shape::new(1, 3, 2)), Order::plain(2)].iter()).unwrap();
        assert_eq!((order.len(), order.is_plain()), (8, false));
        let rows = [[0, 1, 2, 10, 11, 12, 7, 8], [5, 4, 3, 2, 1, 0, 9, 9]].concat();
        let found = order.apply(rows.into_iter().map(|n| n as f32).collect());
        let expected = [0, 10, 1, 11, 2, 12, 7, 8, 5, 2, 4, 1, 3, 0, 9, 9].map(|n| n as f32);
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_are_joined_or_bounded() {
        let (vector, picture) = (Order::plain(3), Order::flattened(Shape::new(2, 2, 2)));
        assert_eq!(Order::concat([&vector; 5000].into_iter()), Some(Order::plain(15_000)));
        assert_eq!(Order::concat([&picture; MAX_PARTS].into_iter()).unwrap().len(), 8 * MAX_PARTS);
        assert_eq!(Order::concat([&picture; MAX_PARTS + 1].into_iter()), None);
    }

    #[test]
    fn one_pixel_or_one_channel_is_plain() {
        assert!(Order::flattened(Shape::new(4, 4, 1)).is_plain());
        assert!(Order::flattened(Shape::vector(9)).is_plain());
    }
}
