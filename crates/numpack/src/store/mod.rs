//! The store: one file for each verb, over the `Core` they share.

mod append;
mod clone;
mod core;
mod delete;
mod handle;
mod metadata;
mod open;
mod overlay;
mod raw;
mod read;
mod recover;
mod replace;
mod save;
mod search;
mod sync;
mod verify;

pub use handle::ParallelIO;
pub use metadata::ArrayMetadata;
pub use raw::{RawArray, RawRows};
pub(crate) use read::Source;
pub use verify::{Finding, Report};

/// Longest array name in bytes.
pub(crate) const MAX_NAME: usize = 1024;

/// What views and streams need of the store's inside.
pub(crate) mod internal {
    pub(crate) use super::core::Core;
    pub(crate) use super::handle::{check_dtype_of, into_array};
    pub(crate) use super::raw::Elements;
    pub(crate) use super::read::{Target, require_rows};
}
