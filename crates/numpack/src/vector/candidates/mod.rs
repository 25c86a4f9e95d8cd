//! Candidates: the rows that may be among the best, found by cheap estimates with a certified bound.
//!
//! `docs/search.md` has the proof.

pub(crate) mod bfloat16;
pub(crate) mod bound;
pub(crate) mod compare;
pub(crate) mod estimate;
pub(crate) mod float32;
#[cfg(all(target_arch = "x86_64", feature = "numkong"))]
pub(crate) mod product;
#[cfg(not(all(target_arch = "x86_64", feature = "numkong")))]
#[path = "no_product.rs"]
pub(crate) mod product;
