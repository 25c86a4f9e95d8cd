//! Candidates: the rows that may be among the best, found by cheap estimates with a certified bound.
//!
//! `docs/search.md` has the proof.

#[cfg(all(target_arch = "x86_64", target_os = "linux", feature = "avx512"))]
pub(crate) mod amx;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux", feature = "avx512"))]
pub(crate) mod amx_trap;
pub(crate) mod bfloat16;
pub(crate) mod blocks;
pub(crate) mod bound;
pub(crate) mod compare;
pub(crate) mod estimate;
pub(crate) mod float32;
pub(crate) mod product;
#[cfg(test)]
pub(crate) mod tiles;
