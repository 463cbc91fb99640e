//! The last value of a graph, in an order of its own.

use signbit_model::{Op, ValueId};

use super::reader::Reader;
use super::value::{Axis, Real};
use crate::{ConvertError, Warning};

/// Most channels of a flattened output that are put in order one by one.
const MAX_CHANNELS: usize = 1024;

/// The value of the graph that has the output's elements in the output's order; a feature map stays in NHWC.
pub(super) fn realise(reader: &mut Reader<'_>, name: &str, x: &Real) -> Result<ValueId, ConvertError> {
    let refused = |reason: String| ConvertError::unsupported(name, "output", reason);
    let map = x.rank() == 4;
    if x.in_memory_order() {
        // A map of memory stays one; what the file has as a vector is one here.
        return if map || x.is_vector() || x.rank() == 3 {
            Ok(x.id)
        } else {
            reader.draft.node(&format!("{name}.flatten"), Op::Flatten, &[x.id])
        };
    }
    if x.is_map() {
        let what = format!("the output of shape {:?} comes in the order NHWC", x.shape());
        reader.draft.warn(Warning::Other { node: name.to_owned(), what });
        return Ok(x.id);
    }
    // [N, C H W]: channel after channel.
    let order: Vec<Axis> = x.order().collect();
    let channels_first = order == [Axis::N, Axis::C, Axis::H, Axis::W]
        || (x.size(Axis::H) == 1 && order == [Axis::N, Axis::C, Axis::W])
        || (x.size(Axis::W) == 1 && order == [Axis::N, Axis::C, Axis::H]);
    let channels = x.size(Axis::C);
    if !channels_first || x.is_flat() || channels > MAX_CHANNELS {
        return Err(refused(format!("the elements of its shape {:?} lie in another order in memory", x.shape())));
    }
    let mut parts = Vec::with_capacity(channels);
    for c in 0..channels {
        let part = reader.draft.node(&format!("{name}.channel"), Op::Slice { start: c, end: c + 1 }, &[x.id])?;
        parts.push(reader.draft.node(&format!("{name}.channel"), Op::Flatten, &[part])?);
    }
    reader.draft.node(&format!("{name}.channels"), Op::Concat, &parts)
}
