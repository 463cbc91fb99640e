//! One room per instruction set, each with the same functions. Callers have checked every geometry and
//! every length.
//!
//! `generic` and `portable` hold code that the compiler may vectorise by itself; `avx2`, `avx512` and `neon` compile some
//! of it once more with their instructions allowed.

pub(crate) mod generic;
pub(crate) mod portable;
pub(crate) mod reference;

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) mod simd128;
