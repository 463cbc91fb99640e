//! The operators, one file each: forward, backward, packed form, and a test of the gradient by finite differences.

mod activation_scale;
mod batch_norm;
mod batch_norm_sign;
mod binary_conv2d;
mod binary_dense;
mod binary_weights;
mod conv2d;
mod dense;
mod flatten;
mod global_avg_pool;
#[cfg(test)]
mod gradcheck;
mod im2row;
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
mod sign;
mod weight_scale;

pub use activation_scale::ActivationScale;
pub use batch_norm::BatchNorm;
pub use batch_norm_sign::BatchNormSign;
pub use binary_conv2d::BinaryConv2d;
pub use binary_dense::BinaryDense;
pub use conv2d::Conv2d;
pub use dense::Dense;
pub use flatten::Flatten;
pub use global_avg_pool::GlobalAvgPool;
pub use max_pool::MaxPool2d;
pub use mul_map::MulMap;
pub use prelu::PRelu;
pub use quantize::Quantize;
pub use relu::Relu;
pub use rprelu::RPRelu;
pub use rsign::RSign;
pub use sign::Sign;
pub use weight_scale::WeightScale;
