//! A signbit recipe as the architecture: the network that it names, with weights trained in PyTorch.
//!
//! Layers have the names of the recipe's network (`conv1`, `norm1` ... `dense6`), tensors PyTorch's:
//!
//! | layer | PyTorch | here |
//! |---|---|---|
//! | real convolution, dense | `weight` `[O, I, kh, kw]`, `[O, I]`; `bias` of the last dense layer | `weight`, `bias` |
//! | binary convolution, dense | `weight`, latent | `latent` |
//! | batch norm | `weight`, `bias`, `running_mean`, `running_var` | `gamma`, `beta`, `mean`, `var` |
//!
//! The first dense layer reads a picture that PyTorch flattened channel by channel; its columns are brought into order.

use std::collections::BTreeMap;

use signbit_model::{Preprocessing, Resize, ResizeFilter, Shape};
use signbit_train::network::Network;
use signbit_train::params::{ParamInfo, Role};
use signbit_train::recipe::{NetworkKind, Recipe};
use signbit_train::zoo;

use super::{Real, StateDict};
use crate::architecture::{Order, ohwi};
use crate::{ConvertError, Imported, Warning};

/// The name that a tensor of the network has in PyTorch.
fn torch_name(name: &str) -> String {
    let Some((layer, last)) = name.rsplit_once('.') else { return name.into() };
    let last = match last {
        "latent" | "gamma" => "weight",
        "beta" => "bias",
        "mean" => "running_mean",
        "var" => "running_var",
        other => other,
    };
    format!("{layer}.{last}")
}

/// Fills the recipe's network, and packs it.
pub(super) fn read(
    weights: &StateDict<'_>,
    size: usize,
    recipe: &Recipe,
    input: Option<Shape>,
) -> Result<Imported, ConvertError> {
    let input = input.map_or_else(|| deduced(weights, recipe), Ok)?;
    let wrong = |what: String| ConvertError::Architecture(format!("the recipe's network: {what}"));
    let last = match recipe.network {
        NetworkKind::Mlp => "dense4",
        NetworkKind::SmallCnn => "dense6",
        NetworkKind::BinaryNet => "dense9",
        NetworkKind::XnorNetSmall => "dense7",
        _ => "dense",
    };
    let bias = format!("{last}.bias");
    let classes = match weights.shape(&bias) {
        Some(&[classes]) => classes,
        Some(found) => {
            return Err(ConvertError::WeightShape { name: bias, expected: "[classes]".into(), found: found.to_vec() });
        }
        // XNOR-Net's last layer has none.
        None => match weights.shape(&format!("{last}.weight")) {
            Some(&[classes, _]) if recipe.network == NetworkKind::XnorNet => classes,
            _ => return Err(weights.missing(&bias)),
        },
    };
    // A number takes two bytes or more; the network is built only where the file can hold it.
    let parameters = zoo::parameters(recipe, input, classes).map_err(|e| wrong(e.to_string()))?;
    if parameters.saturating_mul(2) > size as u128 {
        return Err(wrong(format!("it has {parameters} parameters, the file is too small for them")));
    }
    let mut network = zoo::build(recipe, input, classes).map_err(|e| wrong(e.to_string()))?;
    let warnings = fill(&mut network, weights, recipe, input)?;
    let mut model = network.pack().map_err(|e| wrong(e.to_string()))?;
    model.preprocessing = preprocessing(input);
    model.validate()?;
    let mut operators = BTreeMap::new();
    for info in network.params().infos().iter().filter(|info| info.role != Role::Other) {
        let kind = if info.shape.len() == 4 { "convolution" } else { "dense" };
        *operators.entry(kind.to_owned()).or_insert(0) += 1;
    }
    Ok(Imported { model, warnings, operators })
}

/// The shape of the input, as far as the weights tell it: squares only, else the recipe's size of pictures.
fn deduced(weights: &StateDict<'_>, recipe: &Recipe) -> Result<Shape, ConvertError> {
    let square = |area: usize| Some(area.isqrt()).filter(|side| side * side == area && area > 0);
    let columns = |name: &str| match weights.shape(name) {
        Some(&[_, columns]) => Ok(columns),
        _ => Err(weights.missing(name)),
    };
    if recipe.network == NetworkKind::Mlp {
        let columns = columns("dense1.weight")?;
        let side = |c: usize| Some(columns / c).filter(|area| area * c == columns).and_then(square);
        let picture = [1, 3].into_iter().find_map(|c| side(c).map(|side| Shape::new(side, side, c)));
        return Ok(picture.unwrap_or(Shape::vector(columns)));
    }
    let c = match weights.shape("conv1.weight") {
        Some(&[_, c, _, _]) => c,
        _ => return Err(weights.missing("conv1.weight")),
    };
    // The first dense layer's columns are the positions behind the poolings times the channels there.
    let [h, w] = recipe.data.size;
    let (dense, channels, poolings) = match recipe.network {
        NetworkKind::SmallCnn => ("dense5.weight", 2, 4),
        NetworkKind::BinaryNet => ("dense7.weight", 4, 8),
        _ => return Ok(Shape::new(h, w, c)),
    };
    let channels = recipe.width.saturating_mul(channels).max(1);
    let side = square(columns(dense)? / channels).and_then(|side| side.checked_mul(poolings));
    Ok(side.map_or(Shape::new(h, w, c), |side| Shape::new(side, side, c)))
}

/// Copies every tensor into its place.
fn fill(
    network: &mut Network,
    weights: &StateDict<'_>,
    recipe: &Recipe,
    input: Shape,
) -> Result<Vec<Warning>, ConvertError> {
    let mut warnings = Vec::new();
    let mut flattened = match recipe.network {
        NetworkKind::Mlp => Some(input.c),
        NetworkKind::SmallCnn => Some(2 * recipe.width),
        NetworkKind::BinaryNet => Some(4 * recipe.width),
        _ => None,
    };
    let params = network.params_mut();
    for info in params.infos().to_vec() {
        let mut data = numbers(weights, &info)?;
        match info.shape[..] {
            [_, kh, kw, inputs] => data = ohwi(&data, inputs, kh * kw),
            [_, columns] => {
                if let Some(c) = flattened.take() {
                    data = Order::flattened(Shape::new(1, columns / c, c)).apply(data);
                }
            }
            _ => {}
        }
        let zeros = data.iter().filter(|&&w| w == 0.0).count();
        if info.role == Role::Latent && zeros > 0 {
            let node = info.layer().to_owned();
            warnings.push(Warning::ZeroWeights { node, zeros, total: data.len() });
        }
        params.values_mut()[info.range].copy_from_slice(&data);
    }
    for info in params.state_infos().to_vec().into_iter().filter(|info| info.role != Role::Fixed) {
        let data = numbers(weights, &info)?;
        params.states_mut()[info.range].copy_from_slice(&data);
    }
    warnings.extend(weights.unused_warning());
    Ok(warnings)
}

/// The numbers for a tensor of the network, still in PyTorch's layout.
fn numbers(weights: &StateDict<'_>, info: &ParamInfo) -> Result<Vec<f32>, ConvertError> {
    let name = torch_name(&info.name);
    let Real { shape, data } = weights.real(&name)?;
    let expected = match info.shape[..] {
        [o, kh, kw, i] => vec![o, i, kh, kw],
        _ => info.shape.clone(),
    };
    if shape != expected {
        return Err(ConvertError::WeightShape { name, expected: format!("{expected:?}"), found: shape });
    }
    Ok(data)
}

/// What the recipe's own training does with pictures.
fn preprocessing(input: Shape) -> Option<Preprocessing> {
    let Shape { h, w, c } = input;
    (!input.is_vector() && (c == 1 || c == 3)).then(|| Preprocessing {
        channels: c,
        height: h,
        width: w,
        resize: Some(Resize { filter: ResizeFilter::Bilinear, crop: false }),
        scale: vec![2.0 / 255.0; c],
        shift: vec![-1.0; c],
    })
}
