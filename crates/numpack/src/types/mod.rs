//! Words that every other module uses: errors, dtypes, elements.
//!
//! Nothing here knows of files or stores.

pub(crate) mod dtype;
pub(crate) mod element;
pub mod error;
pub(crate) mod shape;
