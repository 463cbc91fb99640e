//! Transposed convolutions: packed and compared to the bit with the reference interpreter.

mod common;

use std::sync::Arc;

use common::{compare, disturb};
use signbit_kernels::Isa;
use signbit_model::{Shape, TransposedGeometry};
use signbit_train::network::NetworkBuilder;
use signbit_train::ops::{
    BatchNorm, BatchNormSign, BinaryConv2dTranspose, Conv2dTranspose, Dense, Flatten, WeightScale,
};
use signbit_train::quantizer::SteSign;

/// Real, binary over real numbers, binary over bits before a threshold and before a batch norm, real over bits.
#[test]
fn they_pack_to_the_same_bits_and_outputs() -> Result<(), Box<dyn std::error::Error>> {
    let valid = TransposedGeometry::valid([3, 3], [2, 2], [1, 1]);
    let geometry = TransposedGeometry { pads: [1, 1, 1, 0], output_padding: [1, 0], ..valid };
    for (scale, groups) in [(WeightScale::None, 1), (WeightScale::Alpha, 2), (WeightScale::Learned, 1)] {
        let shape = Shape::new(3, 2, 3);
        let mut b = NetworkBuilder::new(shape, 3);
        let sign = || Arc::new(SteSign);
        let x = b.input();
        let x = Conv2dTranspose::add(&mut b, "real", x, 6, geometry, 1)?;
        let x = BinaryConv2dTranspose::add(&mut b, "over_real", x, 6, valid, groups, sign(), scale)?;
        let x = BatchNormSign::add(&mut b, "norm1", x, sign())?;
        let x = BinaryConv2dTranspose::add(&mut b, "over_bits", x, 6, geometry, groups, sign(), scale)?;
        let x = BatchNormSign::add(&mut b, "norm2", x, sign())?;
        let unit = TransposedGeometry::valid([1, 2], [1, 1], [1, 2]);
        let y = BinaryConv2dTranspose::add(&mut b, "last_bits", x, 4, unit, groups, sign(), scale)?;
        let y = BatchNorm::add(&mut b, "norm3", y)?;
        let y = Conv2dTranspose::add(&mut b, "last", y, 2, valid, groups)?;
        let y = BatchNormSign::add(&mut b, "norm4", y, sign())?;
        let y = Conv2dTranspose::add(&mut b, "of_bits", y, 2, unit, 1)?;
        let y = Flatten::add(&mut b, "flatten", y)?;
        Dense::add(&mut b, "dense", y, 3, true)?;
        let mut network = b.finish()?;
        disturb(&mut network);
        for isa in Isa::all() {
            network.set_isa(isa);
            let model = network.pack()?;
            let report = compare(&mut network, model, 12);
            assert!(report.identical() && report.bits > 0, "{scale:?} on {}: {report:?}", isa.name());
        }
    }
    Ok(())
}
