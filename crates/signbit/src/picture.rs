//! From a picture to a list of classes.

use std::borrow::Cow;

pub use signbit_model::preprocessing::luma;
use signbit_model::{Op, Preprocessing, Shape};

use crate::memory::reserve;
use crate::ops::elementwise::softmax;
use crate::plan::Plan;
use crate::{Error, Session};

/// A picture of 8 bits per channel.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// `[height, width, channels]`, 0 to 255.
    pub pixels: &'a [u8],
}

/// What a model thinks of a picture: one class and how well it fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The class's place in the output.
    pub index: usize,
    /// Its name; its index in digits where the model has no names.
    pub name: String,
    /// The network's output.
    pub score: f32,
    /// The score where the network ends with a softmax, else the softmax of the scores.
    pub probability: f32,
}

impl Session {
    /// Classifies one picture: brings it to the model's number of channels, applies the model's
    /// preprocessing, runs, and sorts the classes, the best first (of equal ones, the lowest index).
    ///
    /// Colour becomes grey by [`luma`], grey becomes colour by repetition.
    ///
    /// # Errors
    /// [`Error::NoPreprocessing`] where the model does not take pictures; [`Error::PictureSize`],
    /// [`Error::PictureChannels`] and [`Error::PictureLength`] for a picture that it does not take;
    /// [`Error::Memory`].
    pub fn classify(&mut self, picture: &Picture<'_>) -> Result<Vec<Prediction>, Error> {
        let preprocessing = self.preprocessing()?;
        let pixels = with_channels(picture, preprocessing)?;
        let mut input = Vec::new();
        reserve(&mut input, "input", 1, preprocessing.shape().elements())?;
        preprocessing.apply(&pixels, &mut input)?;
        let classes = self.run(&input, 1)?.len();
        predictions(&self.plan, &self.output[..classes])
    }

    /// [`Session::classify`] of a picture of any kind and size: where the model says how, it is brought to the
    /// model's size; transparency is dropped ([`signbit_model::picture::pixels`]).
    ///
    /// # Errors
    /// As [`Session::classify`].
    #[cfg(feature = "image")]
    pub fn classify_image(&mut self, image: &image::DynamicImage) -> Result<Vec<Prediction>, Error> {
        let preprocessing = self.preprocessing()?;
        let shape = preprocessing.shape();
        let pixels = signbit_model::picture::pixels(image, shape, preprocessing.resize).ok_or_else(|| {
            let found = Shape::new(image.height() as usize, image.width() as usize, shape.c);
            Error::PictureSize { expected: shape, found }
        })?;
        self.classify(&Picture { width: shape.w, height: shape.h, channels: shape.c, pixels: &pixels })
    }

    fn preprocessing(&self) -> Result<&Preprocessing, Error> {
        self.plan.preprocessing.as_ref().ok_or(Error::NoPreprocessing)
    }
}

/// The picture's pixels with the model's number of channels, after the checks of its size.
fn with_channels<'a>(picture: &Picture<'a>, preprocessing: &Preprocessing) -> Result<Cow<'a, [u8]>, Error> {
    let Picture { width, height, channels, pixels } = *picture;
    if channels != 1 && channels != 3 {
        return Err(Error::PictureChannels { found: channels });
    }
    let size = Shape { h: height, w: width, c: channels };
    let (expected, wanted) = (preprocessing.shape(), preprocessing.channels);
    if (height, width) != (expected.h, expected.w) {
        return Err(Error::PictureSize { expected, found: size });
    }
    if pixels.len() != size.elements() {
        return Err(Error::PictureLength { size, found: pixels.len() });
    }
    if channels == wanted {
        return Ok(Cow::Borrowed(pixels));
    }
    let (mut converted, bytes) = (Vec::new(), expected.elements());
    converted.try_reserve_exact(bytes).map_err(|_| Error::Memory { layer: "input".to_owned(), bytes })?;
    if channels == 3 {
        converted.extend(pixels.chunks_exact(3).map(|p| luma([p[0], p[1], p[2]])));
    } else {
        converted.extend(pixels.iter().flat_map(|&p| [p; 3]));
    }
    Ok(Cow::Owned(converted))
}

/// The classes with their scores, sorted.
fn predictions(plan: &Plan, scores: &[f32]) -> Result<Vec<Prediction>, Error> {
    let mut probabilities = Vec::new();
    reserve(&mut probabilities, "output", 1, scores.len())?;
    if ends_with_softmax(plan) {
        probabilities.copy_from_slice(scores);
    } else {
        softmax(scores, scores.len(), &mut probabilities);
    }
    let class = |(index, (&score, probability)): (usize, (&f32, f32))| {
        let name = plan.classes.get(index).cloned().unwrap_or_else(|| index.to_string());
        Prediction { index, name, score, probability }
    };
    let mut list = Vec::new();
    let bytes = scores.len().saturating_mul(size_of::<Prediction>());
    list.try_reserve_exact(scores.len()).map_err(|_| Error::Memory { layer: "output".to_owned(), bytes })?;
    list.extend(scores.iter().zip(probabilities).enumerate().map(class));
    // NaN fits worst.
    let key = |p: &Prediction| {
        if p.score.is_nan() { f32::NEG_INFINITY } else { p.score }
    };
    list.sort_unstable_by(|a, b| key(b).total_cmp(&key(a)).then(a.index.cmp(&b.index)));
    Ok(list)
}

fn ends_with_softmax(plan: &Plan) -> bool {
    let mut value = plan.graph.output.index();
    while let Some(node) = value.checked_sub(1).map(|i| &plan.graph.nodes[i]) {
        match node.op {
            Op::Softmax => return true,
            Op::Flatten => value = node.inputs[0].index(),
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use signbit_model::{Model, ModelBuilder, Resize, ResizeFilter, Tensor, ValueId};

    use super::*;
    use crate::Options;

    fn preprocessing(channels: usize) -> Preprocessing {
        let resize = Some(Resize { filter: ResizeFilter::Nearest, crop: false });
        let (scale, shift) = (vec![0.5; channels], vec![-1.0; channels]);
        Preprocessing { channels, height: 1, width: 2, resize, scale, shift }
    }

    fn model(channels: usize, body: impl FnOnce(&mut ModelBuilder) -> ValueId) -> Model {
        let mut b = ModelBuilder::new(Shape::new(1, 2, channels));
        b.preprocessing(preprocessing(channels));
        let output = body(&mut b);
        b.finish(output).unwrap()
    }

    fn flat(channels: usize) -> Model {
        model(channels, |b| b.node("flat", Op::Flatten, &[b.input()]))
    }

    fn scores(model: &Model, picture: &Picture<'_>) -> Vec<f32> {
        let mut session = Session::new(model, Options::default()).unwrap();
        let mut list = session.classify(picture).unwrap();
        list.sort_by_key(|p| p.index);
        list.iter().map(|p| p.score).collect()
    }

    #[test]
    fn colour_and_grey() {
        let grey = Picture { width: 2, height: 1, channels: 1, pixels: &[4, 6] };
        let colour = Picture { width: 2, height: 1, channels: 3, pixels: &[255, 0, 0, 0, 0, 255] };
        assert_eq!(scores(&flat(1), &grey), [1.0, 2.0]);
        assert_eq!(scores(&flat(3), &grey), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
        assert_eq!(scores(&flat(1), &colour), [37.0, 13.5]);
        assert_eq!(scores(&flat(3), &colour), [126.5, -1.0, -1.0, -1.0, -1.0, 126.5]);
    }

    #[test]
    fn the_best_class_comes_first() {
        let mut data = flat(1);
        data.classes = vec!["dark".into(), "bright".into()];
        let mut session = Session::new(&data, Options::default()).unwrap();
        let picture = Picture { width: 2, height: 1, channels: 1, pixels: &[2, 4] };
        let list = session.classify(&picture).unwrap();
        assert_eq!(
            list.iter().map(|p| (p.index, p.name.as_str(), p.score)).collect::<Vec<_>>(),
            [(1, "bright", 1.0), (0, "dark", 0.0)]
        );
        assert!((list[0].probability - 0.731_058_6).abs() < 1e-6, "{list:?}");
        assert!((list[0].probability + list[1].probability - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_softmax_at_the_end_is_not_repeated() {
        let data = model(1, |b| {
            let x = b.node("flat", Op::Flatten, &[b.input()]);
            let x = b.node("softmax", Op::Softmax, &[x]);
            b.node("again flat", Op::Flatten, &[x])
        });
        let mut session = Session::new(&data, Options::default()).unwrap();
        let list = session.classify(&Picture { width: 2, height: 1, channels: 1, pixels: &[2, 4] }).unwrap();
        assert!(list.iter().all(|p| p.probability == p.score && p.name == p.index.to_string()), "{list:?}");
    }

    #[test]
    fn not_a_number_comes_last() {
        let data = model(1, |b| {
            b.tensor("m", Tensor::f32([2], vec![f32::NAN, 1.0]).unwrap());
            let x = b.node("flat", Op::Flatten, &[b.input()]);
            b.node("mul", Op::MulAdd { mul: "m".into(), add: "m".into() }, &[x])
        });
        let mut session = Session::new(&data, Options::default()).unwrap();
        let list = session.classify(&Picture { width: 2, height: 1, channels: 1, pixels: &[9, 0] }).unwrap();
        assert_eq!(list.iter().map(|p| p.index).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn wrong_pictures() {
        let mut session = Session::new(&flat(3), Options::default()).unwrap();
        let mut try_it = |width, height, channels, len| {
            session.classify(&Picture { width, height, channels, pixels: &vec![0; len] }).unwrap_err()
        };
        assert!(matches!(try_it(2, 1, 4, 8), Error::PictureChannels { found: 4 }));
        assert!(matches!(try_it(1, 2, 3, 6), Error::PictureSize { .. }));
        assert!(matches!(try_it(2, 1, 3, 5), Error::PictureLength { found: 5, .. }));
    }

    #[test]
    fn no_preprocessing() {
        let mut data = flat(1);
        data.preprocessing = None;
        let mut session = Session::new(&data, Options::default()).unwrap();
        let picture = Picture { width: 2, height: 1, channels: 1, pixels: &[2, 4] };
        assert!(matches!(session.classify(&picture), Err(Error::NoPreprocessing)));
    }

    #[cfg(feature = "image")]
    #[test]
    fn images_are_resized_where_the_model_says_so() {
        let image = image::DynamicImage::ImageLuma8(image::ImageBuffer::from_vec(4, 1, vec![4, 4, 6, 6]).unwrap());
        let mut data = flat(1);
        let mut session = Session::new(&data, Options::default()).unwrap();
        assert_eq!(session.classify_image(&image).unwrap()[0].score, 2.0);
        if let Some(preprocessing) = &mut data.preprocessing {
            preprocessing.resize = None;
        }
        let mut session = Session::new(&data, Options::default()).unwrap();
        assert!(matches!(session.classify_image(&image), Err(Error::PictureSize { .. })));
        let rgba = image::DynamicImage::new_rgba8(2, 1);
        assert_eq!(session.classify_image(&rgba).unwrap()[0].score, -1.0);
    }
}
