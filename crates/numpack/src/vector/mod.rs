//! Vector search whose answers are exact: the rows and scores that plain `float64` loops give.
//!
//! [`VectorEngine`] searches vectors in memory, [`Store::search`](crate::Store::search) stored
//! arrays. [`Metric`] has the formulas. One query is one pass over the data; many queries go through
//! products of rounded vectors with a certified bound, and only rows that may be among the best are scored
//! in `float64`. `docs/search.md` has the proof.
//!
//! # What is defined where others differ
//! * Equal scores are ordered by the lower row, NaN comes behind every number, `-0.0` equals `0.0`.
//! * `k` of 0 and empty sets of rows give empty results; `k` larger than the rows gives all rows.
//! * Cosine with a vector of length 0 is 0. Sums that leave `float64` are infinite or NaN as its arithmetic
//!   says; integers beyond 2^53 are rounded to `float64` first.

mod candidates;
mod engine;
mod kernels;
mod metric;
mod scan;
mod tile;
mod topk;
mod vectors;

pub use engine::{Capabilities, Hits, SearchOptions, VectorEngine};
pub use kernels::cpu::SimdLevel;
pub(crate) use kernels::float_mode::in_default_mode;
pub use metric::Metric;
pub(crate) use scan::Scan;
pub(crate) use topk::{Hit, TopK};
pub(crate) use vectors::Table;
pub use vectors::Vectors;
