//! Words that every other module uses: errors, dtypes, elements, memory that may not be there.
//!
//! Nothing here knows of files or stores.

pub(crate) mod dtype;
pub(crate) mod element;
pub mod error;
pub(crate) mod file_kind;
pub(crate) mod room;
pub(crate) mod shape;
