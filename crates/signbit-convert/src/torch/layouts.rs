//! What the files of the published networks share: pieces of an architecture, from names and shapes alone.

use signbit_model::{Geometry, Preprocessing, Resize, ResizeFilter, Shape};

use super::StateDict;
use crate::architecture::{Architecture, Kind, Layer, Quantizer, build};
use crate::{ConvertError, Imported, Warning};

/// Height and width of ImageNet's pictures, for which these networks were published. Every other size gives the same
/// weights, so that a file does not tell.
const SIDE: usize = 224;
/// Mean and deviation of ImageNet's red, green and blue, as these networks' training takes them out.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// An architecture that grows layer by layer. Each name is a layer's id and the prefix of its weights.
pub(super) struct Growing {
    layers: Vec<Layer>,
}

/// How a convolution is used.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    pub(super) weights: Quantizer,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Growing {
    pub(super) fn new() -> Self {
        Self { layers: Vec::new() }
    }

    /// Adds a layer and returns its id.
    pub(super) fn add(&mut self, id: &str, kind: Kind, from: &[&str]) -> String {
        let from = from.iter().map(|&id| id.to_owned()).collect();
        self.layers.push(Layer { id: id.into(), from, kind });
        id.into()
    }

    pub(super) fn conv(&mut self, name: &str, conv: Conv, from: &str) -> String {
        let Conv { weights, kernel, stride, padding } = conv;
        let kind = Kind::Conv2d {
            name: name.into(),
            weights,
            kernel: Some([kernel; 2]),
            stride: [stride; 2],
            padding: [padding; 4],
            pad_value: 0.0,
            dilation: [1, 1],
            groups: 1,
        };
        self.add(name, kind, &[from])
    }

    pub(super) fn batch_norm(&mut self, name: &str, from: &str) -> String {
        self.add(name, Kind::BatchNorm { name: name.into(), eps: 1e-5 }, &[from])
    }

    /// A binary convolution with its batch norm, of the signs `from`.
    pub(super) fn binary(&mut self, name: &str, norm: &str, kernel: usize, stride: usize, from: &str) -> String {
        let conv = Conv { weights: Quantizer::ScaledSign, kernel, stride, padding: kernel / 2 };
        let y = self.conv(name, conv, from);
        self.batch_norm(norm, &y)
    }

    /// ReActNet's RSign of the weight `{name}.bias`.
    pub(super) fn rsign(&mut self, name: &str, from: &str) -> String {
        self.add(name, Kind::RSign { name: name.into() }, &[from])
    }

    /// ReActNet's RPReLU of `{bias_in}.bias`, `{prelu}.weight` and `{bias_out}.bias`.
    pub(super) fn rprelu(&mut self, [bias_in, prelu, bias_out]: [String; 3], from: &str) -> String {
        let kind = Kind::RPRelu {
            bias_in: format!("{bias_in}.bias"),
            slope: format!("{prelu}.weight"),
            bias_out: format!("{bias_out}.bias"),
        };
        self.add(&prelu, kind, &[from])
    }

    pub(super) fn avg_pool(&mut self, id: &str, stride: usize, from: &str) -> String {
        let geometry = Geometry::valid([2, 2], [stride; 2], [1, 1]);
        self.add(id, Kind::AvgPool2d { geometry, count_include_pad: true }, &[from])
    }

    /// The mean over all positions and the dense layer `fc`; then the network, with the first convolution's weight
    /// telling the channels of the input.
    pub(super) fn finish(
        mut self,
        weights: &StateDict<'_>,
        first: &str,
        binary: &str,
    ) -> Result<Imported, ConvertError> {
        self.add("avgpool", Kind::GlobalAvgPool, &[]);
        self.add("fc", Kind::Dense { name: "fc".into(), weights: Quantizer::Real }, &[]);
        let c = match weights.shape(first) {
            Some(&[_, c, _, _]) => c,
            _ => return Err(weights.missing(first)),
        };
        let input = Shape::new(SIDE, SIDE, c);
        let architecture = Architecture { input, sign_of_zero_is_one: false, layers: self.layers };
        let mut imported = build(&architecture, weights)?;
        let latent = format!("{binary}.weight");
        if weights.has(&latent) {
            let what = "taken as latent weights; a first training with real weights has the same names, and needs an \
                        architecture file";
            imported.warnings.push(Warning::Other { node: latent, what: what.into() });
        }
        if c == 3 {
            imported.model.preprocessing = Some(imagenet());
        }
        imported.model.validate()?;
        Ok(imported)
    }
}

/// `(pixel / 255 - mean) / deviation`.
fn imagenet() -> Preprocessing {
    Preprocessing {
        channels: 3,
        height: SIDE,
        width: SIDE,
        resize: Some(Resize { filter: ResizeFilter::Bilinear, crop: true }),
        scale: DEVIATION.map(|d| 1.0 / (255.0 * d)).to_vec(),
        shift: MEAN.iter().zip(DEVIATION).map(|(m, d)| -m / d).collect(),
    }
}
