//! Words that every other module uses: errors, dtypes, elements, checksums.
//!
//! Nothing here knows of files or stores.

pub(crate) mod change;
pub(crate) mod checksum;
pub mod dtype;
pub mod element;
pub mod error;
