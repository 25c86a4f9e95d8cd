//! Which instruction sets a search may use, asked of the CPU once.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::types::error::{NpkError, NpkResult};

/// Instruction sets, the plainest first; each includes those before it.
///
/// The answer of a search is the same on every level: levels differ in speed alone. On CPUs other than
/// x86-64 `Serial` is plain code, and every other level is the best that the CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SimdLevel {
    /// What every CPU of the architecture has.
    Serial,
    /// AVX2, FMA, F16C.
    Avx2,
    /// AVX-512 F, BW, DQ, VL, VNNI and VPOPCNTDQ: what servers have had since 2021.
    Avx512,
    /// AMX tiles of bfloat16.
    Amx,
}

impl SimdLevel {
    /// Every level, the plainest first.
    pub const ALL: [SimdLevel; 4] = [SimdLevel::Serial, SimdLevel::Avx2, SimdLevel::Avx512, SimdLevel::Amx];

    /// The highest level that this CPU, the operating system and the build allow.
    pub fn best() -> SimdLevel {
        static BEST: OnceLock<SimdLevel> = OnceLock::new();
        *BEST.get_or_init(detect)
    }

    /// The name, such as `avx512`.
    pub const fn name(self) -> &'static str {
        match self {
            SimdLevel::Serial => "serial",
            SimdLevel::Avx2 => "avx2",
            SimdLevel::Avx512 => "avx512",
            SimdLevel::Amx => "amx",
        }
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SimdLevel {
    type Err = NpkError;

    /// Accepts the names of [`SimdLevel::name`].
    fn from_str(name: &str) -> NpkResult<SimdLevel> {
        let known = SimdLevel::ALL.into_iter().find(|level| level.name() == name);
        known.ok_or_else(|| NpkError::InvalidArgument {
            argument: "level",
            value: format!("{name:?}"),
            reason: "known are serial, avx2, avx512 and amx",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> SimdLevel {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("popcnt");
    let avx512 = cfg!(feature = "avx512")
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx512vpopcntdq");
    match () {
        () if !avx2 => SimdLevel::Serial,
        () if !avx512 => SimdLevel::Avx2,
        () if !crate::vector::candidates::product::has_amx() => SimdLevel::Avx512,
        () => SimdLevel::Amx,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> SimdLevel {
    SimdLevel::Amx
}
