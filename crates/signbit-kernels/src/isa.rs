//! Instruction sets as zero-size tokens. Owning the token is the proof that the CPU has the
//! instructions, so a kernel that takes one needs no further check.

use core::fmt;

/// The definition itself in plain loops over ±1: slow, and what every other path is tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference;

/// `u64` XOR and `count_ones`, for every CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Portable;

/// 256-bit integer instructions of x86-64 (AVX2 and POPCNT).
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// The token, if this CPU has AVX2 and POPCNT. Without the feature `std` the answer is what the
    /// compiler was told about the target.
    pub fn new() -> Option<Self> {
        #[cfg(feature = "std")]
        let available = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("popcnt");
        #[cfg(not(feature = "std"))]
        let available = cfg!(all(target_feature = "avx2", target_feature = "popcnt"));
        available.then_some(Self(()))
    }

    /// The token without a question to the CPU, for programs that cannot ask.
    ///
    /// # Safety
    /// The CPU that uses the token has AVX2 and POPCNT, and the operating system saves the 256-bit registers.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

/// 512-bit integer instructions of x86-64: AVX-512 F, BW and VL, beside all that [`Avx2`] stands for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Avx512Bw(Avx2);

#[cfg(target_arch = "x86_64")]
impl Avx512Bw {
    /// The token, if this CPU has the instructions; without the feature `std` as [`Avx2::new`].
    pub fn new() -> Option<Self> {
        #[cfg(feature = "std")]
        let available = std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl");
        #[cfg(not(feature = "std"))]
        let available = cfg!(all(target_feature = "avx512f", target_feature = "avx512bw", target_feature = "avx512vl"));
        Avx2::new().filter(|_| available).map(Self)
    }

    /// The token without a question to the CPU, for programs that cannot ask.
    ///
    /// # Safety
    /// As [`Avx2::new_unchecked`]; the CPU that uses the token has AVX-512 F, BW and VL too, and the operating system saves
    /// the 512-bit and the mask registers.
    pub unsafe fn new_unchecked() -> Self {
        Self(Avx2(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl From<Avx512Bw> for Avx2 {
    fn from(token: Avx512Bw) -> Self {
        token.0
    }
}

/// The population count of AVX-512 (VPOPCNTDQ), beside all that [`Avx512Bw`] stands for.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Avx512Vpopcnt(Avx512Bw);

#[cfg(target_arch = "x86_64")]
impl Avx512Vpopcnt {
    /// The token, if this CPU has the instructions; without the feature `std` as [`Avx2::new`].
    pub fn new() -> Option<Self> {
        #[cfg(feature = "std")]
        let available = std::is_x86_feature_detected!("avx512vpopcntdq");
        #[cfg(not(feature = "std"))]
        let available = cfg!(target_feature = "avx512vpopcntdq");
        Avx512Bw::new().filter(|_| available).map(Self)
    }

    /// The token without a question to the CPU, for programs that cannot ask.
    ///
    /// # Safety
    /// As [`Avx512Bw::new_unchecked`]; the CPU that uses the token has AVX-512 VPOPCNTDQ too.
    pub unsafe fn new_unchecked() -> Self {
        Self(Avx512Bw(Avx2(())))
    }
}

#[cfg(target_arch = "x86_64")]
impl From<Avx512Vpopcnt> for Avx512Bw {
    fn from(token: Avx512Vpopcnt) -> Self {
        token.0
    }
}

#[cfg(target_arch = "x86_64")]
impl From<Avx512Vpopcnt> for Avx2 {
    fn from(token: Avx512Vpopcnt) -> Self {
        token.0.0
    }
}

/// 128-bit vectors of 64-bit ARM (NEON, little-endian).
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Neon(());

#[cfg(target_arch = "aarch64")]
impl Neon {
    /// The token, if this CPU has NEON. Without the feature `std` the answer is what the compiler was told about the
    /// target, which for most is yes. Big-endian systems get none: the kernels are not tested there.
    pub fn new() -> Option<Self> {
        #[cfg(feature = "std")]
        let available = std::arch::is_aarch64_feature_detected!("neon");
        #[cfg(not(feature = "std"))]
        let available = cfg!(target_feature = "neon");
        (available && cfg!(target_endian = "little")).then_some(Self(()))
    }

    /// The token without a question to the CPU, for programs that cannot ask.
    ///
    /// # Safety
    /// The CPU that uses the token has NEON, and the operating system saves the vector registers. On a big-endian
    /// system results are unspecified.
    pub unsafe fn new_unchecked() -> Self {
        Self(())
    }
}

/// The 128-bit vectors of WebAssembly. There is nothing to detect: an engine without them refuses the whole module, so
/// the token exists where the module was compiled with `-C target-feature=+simd128`.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WasmSimd128;

/// An instruction set that this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// See [`Reference`].
    Reference(Reference),
    /// See [`Portable`].
    Portable(Portable),
    /// See [`Avx2`].
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// See [`Avx512Bw`].
    #[cfg(target_arch = "x86_64")]
    Avx512Bw(Avx512Bw),
    /// See [`Avx512Vpopcnt`].
    #[cfg(target_arch = "x86_64")]
    Avx512Vpopcnt(Avx512Vpopcnt),
    /// See [`Neon`].
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// See [`WasmSimd128`].
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    WasmSimd128(WasmSimd128),
}

/// Every name that [`Isa::by_name`] knows on some target.
const NAMES: [&str; 7] = ["reference", "portable", "avx2", "avx512bw", "avx512-vpopcnt", "neon", "wasm-simd128"];

impl Isa {
    /// The fastest instruction set of this CPU.
    pub fn best() -> Self {
        Self::all().last().unwrap_or(Self::Portable(Portable))
    }

    /// Every instruction set of this CPU, the slowest first. For tests and benchmarks.
    pub fn all() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vectors = [
            Avx2::new().map(Self::Avx2),
            Avx512Bw::new().map(Self::Avx512Bw),
            Avx512Vpopcnt::new().map(Self::Avx512Vpopcnt),
        ];
        #[cfg(target_arch = "aarch64")]
        let vectors = [Neon::new().map(Self::Neon)];
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        let vectors = [Some(Self::WasmSimd128(WasmSimd128))];
        #[cfg(not(any(
            target_arch = "x86_64",
            target_arch = "aarch64",
            all(target_arch = "wasm32", target_feature = "simd128")
        )))]
        let vectors: [Option<Self>; 0] = [];
        [Self::Reference(Reference), Self::Portable(Portable)].into_iter().chain(vectors.into_iter().flatten())
    }

    /// The instruction set of this name: `reference`, `portable`, `avx2`, `avx512bw`, `avx512-vpopcnt`, `neon` or `wasm-simd128`.
    ///
    /// # Errors
    /// [`IsaError::Unknown`] for any other name, [`IsaError::Unavailable`] where this CPU lacks it.
    pub fn by_name(name: &str) -> Result<Self, IsaError> {
        match NAMES.iter().find(|known| **known == name) {
            None => Err(IsaError::Unknown),
            Some(known) => Self::all().find(|isa| isa.name() == name).ok_or(IsaError::Unavailable(known)),
        }
    }

    /// The instruction set that the environment variable `SIGNBIT_ISA` names, or [`Isa::best`] where it
    /// is not set or empty.
    ///
    /// # Errors
    /// As [`Isa::by_name`].
    #[cfg(feature = "std")]
    pub fn from_env() -> Result<Self, IsaError> {
        match std::env::var_os("SIGNBIT_ISA") {
            Some(name) if !name.is_empty() => Self::by_name(name.to_str().ok_or(IsaError::Unknown)?),
            _ => Ok(Self::best()),
        }
    }

    /// The name that [`Isa::by_name`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reference(_) => "reference",
            Self::Portable(_) => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bw(_) => "avx512bw",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vpopcnt(_) => "avx512-vpopcnt",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::WasmSimd128(_) => "wasm-simd128",
        }
    }
}

/// Why a name gave no [`Isa`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaError {
    /// No instruction set has this name.
    Unknown,
    /// The instruction set exists, but not on this CPU.
    Unavailable(&'static str),
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown instruction set")?,
            Self::Unavailable(name) => write!(f, "instruction set {name} is not available on this CPU")?,
        }
        f.write_str("; available here:")?;
        for isa in Isa::all() {
            write!(f, " {}", isa.name())?;
        }
        Ok(())
    }
}

impl core::error::Error for IsaError {}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn every_available_isa_is_found_by_its_name() {
        for isa in Isa::all() {
            assert_eq!(Isa::by_name(isa.name()), Ok(isa));
        }
        assert!(Isa::all().any(|isa| isa == Isa::best()));
    }

    #[test]
    fn unknown_name_lists_what_is_available() {
        let error = Isa::by_name("sse9").unwrap_err();
        assert_eq!(error, IsaError::Unknown);
        assert!(error.to_string().contains("reference portable"), "{error}");
    }

    #[test]
    fn unavailable_names_the_instruction_set() {
        let error = IsaError::Unavailable("avx2");
        assert!(error.to_string().starts_with("instruction set avx2 is not available"), "{error}");
        if !Isa::all().any(|isa| isa.name() == "avx2") {
            assert_eq!(Isa::by_name("avx2"), Err(error));
        }
    }
}
