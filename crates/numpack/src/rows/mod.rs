//! Rows: which ones a caller means, which of them are live, and where they lie in a data file.

pub(crate) mod deleted;
mod mask;
pub(crate) mod places;
pub(crate) mod plan;
pub(crate) mod run;
mod selection;
mod steps;

pub use selection::Selection;
