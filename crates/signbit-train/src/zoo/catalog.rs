//! What the zoo holds: each network's builder, where it is described, and what was published of it.

use signbit_model::Shape;

use super::blocks::{Activations, Blocks};
use super::{ZooError, binarynet, bireal, densenet, meliusnet, mlp, quicknet, reactnet, real_to_binary};
use super::{small_cnn, xnornet, xnornet_small};
use crate::network::Var;
use crate::recipe::{NetworkKind, Recipe};

/// Adds the layers of a network.
pub(super) type Build = fn(&mut Blocks, Activations, &Recipe, usize) -> Result<Var, ZooError>;

/// A network of the zoo.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Which.
    pub kind: NetworkKind,
    /// Its name in a recipe.
    pub name: &'static str,
    /// Shape of its pictures as published, or as is usual for it.
    pub input: Shape,
    /// Classes as published, or as is usual for it.
    pub classes: usize,
    /// Where it is described.
    pub source: &'static str,
    /// What was published of it in this shape.
    pub published: Option<Published>,
    pub(super) build: Build,
}

/// What was published of a network. Accuracies are others': signbit has not trained these networks on ImageNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Accuracy in percent of the first answer.
    pub top1: f32,
    /// Where the accuracy stands.
    pub by: &'static str,
    /// What Larq Zoo publishes of its form.
    pub larq: Option<Larq>,
}

/// The size of a network as Larq Zoo publishes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Larq {
    /// Numbers in all.
    pub parameters: u64,
    /// Whether these are [`Count::every`](super::Count::every), as in Larq Zoo's older tables, instead of
    /// [`Count::total`](super::Count::total).
    pub every_number: bool,
    /// Memory, see [`Count::mebibytes`](super::Count::mebibytes).
    pub mebibytes: f64,
}

/// Pictures of ImageNet.
const IMAGENET: (Shape, usize) = (Shape::new(224, 224, 3), 1000);
/// Pictures of CIFAR-10.
const CIFAR10: (Shape, usize) = (Shape::new(32, 32, 3), 10);
/// Pictures of MNIST.
const MNIST: (Shape, usize) = (Shape::new(28, 28, 1), 10);

const LARQ: &str = "Larq Zoo";

const fn larq(top1: f32, parameters: u64, mebibytes: f64) -> Option<Published> {
    Some(Published { top1, by: LARQ, larq: Some(Larq { parameters, every_number: false, mebibytes }) })
}

/// Of a table that counts every number.
const fn larq_every(top1: f32, parameters: u64, mebibytes: f64) -> Option<Published> {
    Some(Published { top1, by: LARQ, larq: Some(Larq { parameters, every_number: true, mebibytes }) })
}

const fn paper(top1: f32) -> Option<Published> {
    Some(Published { top1, by: "the paper", larq: None })
}

const fn entry(
    kind: NetworkKind,
    name: &'static str,
    (input, classes): (Shape, usize),
    build: Build,
    published: Option<Published>,
    source: &'static str,
) -> Entry {
    Entry { kind, name, input, classes, source, published, build }
}

/// The networks, the small ones first.
pub const ENTRIES: &[Entry] = {
    use NetworkKind::*;
    &[
        entry(Mlp, "mlp", MNIST, mlp::build, None, "Courbariaux et al. 2016, arXiv 1602.02830, with fewer units"),
        entry(SmallCnn, "small-cnn", MNIST, small_cnn::build, None, "signbit"),
        entry(
            BinaryNet,
            "binarynet",
            CIFAR10,
            binarynet::build,
            paper(89.85),
            "Courbariaux et al. 2016, arXiv 1602.02830",
        ),
        entry(XnorNetSmall, "xnornet-small", CIFAR10, xnornet_small::build, None, "signbit, after arXiv 1603.05279"),
        entry(
            BirealResnet20,
            "bireal-resnet20",
            CIFAR10,
            bireal::resnet20,
            None,
            "signbit, after arXiv 1808.00278 and 1512.03385",
        ),
        entry(
            XnorNet,
            "xnornet",
            IMAGENET,
            xnornet::build,
            larq(44.96, 62_387_104, 22.77),
            "Rastegari et al. 2016, arXiv 1603.05279",
        ),
        entry(
            BirealNet18,
            "birealnet-18",
            IMAGENET,
            bireal::bireal18,
            larq_every(57.47, 11_699_112, 4.00),
            "Liu et al. 2018, arXiv 1808.00278",
        ),
        entry(
            BirealNet34,
            "birealnet-34",
            IMAGENET,
            bireal::bireal34,
            paper(62.2),
            "Liu et al. 2018, arXiv 1808.00278",
        ),
        entry(
            BinaryResnetE18,
            "binary-resnet-e18",
            IMAGENET,
            bireal::resnet_e18,
            larq(58.32, 11_689_640, 4.00),
            "Bethge et al. 2019, arXiv 1906.08637",
        ),
        entry(
            BinaryDensenet28,
            "binary-densenet-28",
            IMAGENET,
            densenet::densenet28,
            larq(60.91, 5_131_496, 4.04),
            "Bethge et al. 2019, arXiv 1906.08637",
        ),
        entry(
            BinaryDensenet37,
            "binary-densenet-37",
            IMAGENET,
            densenet::densenet37,
            larq(62.89, 8_702_248, 5.13),
            "Bethge et al. 2019, arXiv 1906.08637",
        ),
        entry(
            BinaryDensenet45,
            "binary-densenet-45",
            IMAGENET,
            densenet::densenet45,
            larq(64.59, 13_889_512, 7.35),
            "Bethge et al. 2019, arXiv 1906.08637",
        ),
        entry(
            MeliusNet22,
            "meliusnet-22",
            IMAGENET,
            meliusnet::build,
            larq(62.4, 6_944_584, 3.88),
            "Bethge et al. 2020, arXiv 2001.05936",
        ),
        entry(
            RealToBinary,
            "real-to-binary",
            IMAGENET,
            real_to_binary::build,
            larq_every(65.01, 11_995_624, 5.13),
            "Martinez et al. 2020, arXiv 2003.11535",
        ),
        entry(
            QuickNetSmall,
            "quicknet-small",
            IMAGENET,
            quicknet::small,
            larq(59.4, 12_655_688, 4.00),
            "Bannink et al. 2020, arXiv 2011.09398",
        ),
        entry(
            QuickNet,
            "quicknet",
            IMAGENET,
            quicknet::medium,
            larq(63.3, 13_234_088, 4.17),
            "Bannink et al. 2020, arXiv 2011.09398",
        ),
        entry(
            QuickNetLarge,
            "quicknet-large",
            IMAGENET,
            quicknet::large,
            larq(66.9, 23_342_248, 5.40),
            "Bannink et al. 2020, arXiv 2011.09398",
        ),
        entry(ReactNetA, "reactnet-a", IMAGENET, reactnet::build, paper(69.4), "Liu et al. 2020, arXiv 2003.03488"),
    ]
};

/// The entry of this name.
pub fn entry_of(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// The entry of a kind. There is one for each: a test compares the names.
pub(super) fn entry_of_kind(kind: NetworkKind) -> &'static Entry {
    ENTRIES.iter().find(|entry| entry.kind == kind).unwrap_or(&ENTRIES[0])
}
