//! Vector search whose answers are exact: the rows and scores that plain `float64` loops give.
//!
//! [`VectorEngine`] searches vectors in memory, [`ParallelIO::search`](crate::ParallelIO::search) stored
//! arrays. [`Metric`] has the formulas. One query is one pass over the data; many queries go through
//! products of rounded vectors with a certified bound, and only rows that may be among the best are scored
//! in `float64`. `docs/search.md` has the proof.
//!
//! # What is defined where others differ
//! * Equal scores are ordered by the lower row, NaN comes behind every number, `-0.0` equals `0.0`.
//! * `k` of 0 and empty sets of rows give empty results; `k` larger than the rows gives all rows.
//! * Cosine with a vector of length 0 is 0. Sums that leave `float64` are infinite or NaN as its arithmetic
//!   says; integers beyond 2^53 are rounded to `float64` first.

#[cfg(all(target_arch = "x86_64", target_os = "linux", feature = "avx512"))]
mod amx;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux", feature = "avx512"))]
mod amx_trap;
mod bits;
mod bytes;
mod certify;
mod compare;
mod data;
mod element;
mod engine;
mod estimate;
mod exact;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
mod float16;
mod float_mode;
mod level;
mod matrix;
mod metric;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
mod popcount;
mod product;
mod rounded;
mod scan;
mod select;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
mod sixteen;
#[cfg(test)]
mod tiles;
mod topk;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
mod vnni;

pub(crate) use data::Table;
pub use data::Vectors;
pub use engine::{Capabilities, Hits, SearchOptions, VectorEngine};
pub(crate) use float_mode::in_default_mode;
pub use level::SimdLevel;
pub use metric::Metric;
pub(crate) use scan::Scan;
pub use select::Filter;
pub(crate) use select::Selection;
pub(crate) use topk::{Hit, TopK};
