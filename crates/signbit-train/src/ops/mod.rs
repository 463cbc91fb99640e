//! The operators, one file each: forward, backward, packed form, and a test of the gradient by finite differences.

mod activation_scale;
mod add;
mod avg_pool;
mod batch_norm;
mod batch_norm_sign;
mod binary_conv2d;
mod binary_dense;
mod binary_weights;
mod blur;
mod concat;
mod conv2d;
mod dense;
mod depthwise;
mod flatten;
mod gate;
mod global_avg_pool;
#[cfg(test)]
mod gradcheck;
mod im2row;
mod lanes;
mod max_pool;
mod mul_map;
mod prelu;
mod quantize;
mod real;
mod relu;
mod rows;
mod rprelu;
mod rsign;
mod shapes;
mod sigmoid;
mod sign;
mod slice;
mod split;
mod weight_scale;
mod winograd;

pub use activation_scale::ActivationScale;
pub use add::Add;
pub use avg_pool::AvgPool2d;
pub use batch_norm::{BatchNorm, NormOptions};
pub use batch_norm_sign::BatchNormSign;
pub use binary_conv2d::BinaryConv2d;
pub use binary_dense::BinaryDense;
pub use blur::Blur;
pub use concat::Concat;
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use flatten::Flatten;
pub use gate::Gate;
pub use global_avg_pool::GlobalAvgPool;
pub use max_pool::MaxPool2d;
pub use mul_map::MulMap;
pub use prelu::PRelu;
pub use quantize::Quantize;
pub use relu::Relu;
pub use rprelu::RPRelu;
pub use rsign::RSign;
pub use sigmoid::Sigmoid;
pub use sign::Sign;
pub use slice::Slice;
pub use weight_scale::WeightScale;

/// Numbers per task of a pass over all numbers alike.
const CHUNK: usize = 64 * 1024;
