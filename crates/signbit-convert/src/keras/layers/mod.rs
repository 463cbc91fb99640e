//! The layers, one file per family.

mod activation;
mod conv;
mod dense;
mod lambda;
mod merge;
mod norm;
mod operator;
mod pool;
pub(super) mod shape;

use serde_json::Value;

use super::build::{Builder, Flow, Step};
use super::config::Config;
use super::network::is_model;
use super::quantizer;
use crate::ConvertError;

/// Adds the nodes of one call of a layer.
pub(super) fn call(builder: &mut Builder, step: &Step<'_>) -> Result<Flow, ConvertError> {
    match step.config.class {
        "Conv2D" | "Convolution2D" | "QuantConv2D" => conv::conv2d(builder, step),
        "Conv2DTranspose" | "Convolution2DTranspose" | "QuantConv2DTranspose" => conv::transposed(builder, step),
        "DepthwiseConv2D" | "QuantDepthwiseConv2D" => conv::depthwise(builder, step),
        "SeparableConv2D" | "SeparableConvolution2D" | "QuantSeparableConv2D" => conv::separable(builder, step),
        "Dense" | "QuantDense" => dense::dense(builder, step),
        "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2" | "SyncBatchNormalization" => {
            norm::batch_norm(builder, step)
        }
        "Rescaling" => norm::rescaling(builder, step),
        "Normalization" => norm::normalization(builder, step),
        "Activation" => activation::layer(builder, step),
        "ReLU" => activation::relu(builder, step),
        "LeakyReLU" => activation::leaky_relu(builder, step),
        "PReLU" => activation::prelu(builder, step),
        "Softmax" => activation::softmax(builder, step),
        "MaxPooling2D" | "MaxPool2D" => pool::max(builder, step),
        "AveragePooling2D" | "AvgPool2D" => pool::average(builder, step),
        "GlobalAveragePooling2D" | "GlobalAvgPool2D" => pool::global_average(builder, step),
        "GlobalMaxPooling2D" | "GlobalMaxPool2D" => pool::global_max(builder, step),
        "Add" => merge::add(builder, step),
        "Subtract" => merge::subtract(builder, step),
        "Average" => merge::average(builder, step),
        "Multiply" => merge::multiply(builder, step),
        "Concatenate" => merge::concatenate(builder, step),
        "ZeroPadding2D" => shape::zero_padding(builder, step),
        "Flatten" => shape::flatten(builder, step),
        "Reshape" => shape::reshape(builder, step),
        "TFOpLambda" => operator::operator(builder, step),
        "Lambda" => lambda::lambda(step),
        // Of training only.
        "Dropout"
        | "SpatialDropout2D"
        | "GaussianNoise"
        | "GaussianDropout"
        | "AlphaDropout"
        | "ActivityRegularization"
        | "Identity"
        | "NoOp"
        | "RandomFlip"
        | "RandomRotation"
        | "RandomZoom"
        | "RandomTranslation"
        | "RandomContrast"
        | "RandomBrightness" => step.one().cloned(),
        class if quantizer::is_sign(&quantizer::plain(class)) => {
            let x = step.one()?.clone();
            builder.sign(&step.node, &x)
        }
        _ => Err(step.unsupported("there is no such layer here")),
    }
}

/// True where a layer, or one within it, has weights.
pub(super) fn has_weights(config: &Config<'_>) -> bool {
    match config.class {
        "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2" | "SyncBatchNormalization" => true,
        "PReLU" => true,
        // With given statistics it has no weights.
        "Normalization" => config.get("mean").is_none(),
        _ if is_model(config) => {
            let layers = config.get("layers").and_then(Value::as_array).into_iter().flatten();
            layers.filter_map(Config::of).any(|layer| has_weights(&layer))
        }
        class => class.contains("Conv") || class.ends_with("Dense"),
    }
}
