//! Rows: which ones a caller means, which of them are live, and where they lie in a data file.

pub(crate) mod deleted;
pub(crate) mod plan;
pub(crate) mod run;
