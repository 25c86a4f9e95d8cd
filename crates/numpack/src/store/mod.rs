//! The store: one file for each verb, over the `Core` they share.

mod append;
mod append_from;
mod clone;
mod core;
mod delete;
mod fill;
mod handle;
mod metadata;
mod open;
mod overlay;
mod raw;
mod read;
mod recover;
mod rename;
mod replace;
mod replace_all;
mod save;
mod save_from;
mod search;
mod snapshot;
mod sound;
mod sync;
mod typed;
mod verify;
mod writable;

pub use append_from::FileRows;
pub use handle::ParallelIO;
pub use metadata::{ArrayMetadata, HIDDEN_PREFIX};
pub use raw::{RawArray, RawDrop, RawRows};
pub(crate) use read::Source;
pub use save::check_name;
pub use save_from::{ArrayWriter, Incoming};
pub use verify::{Finding, Report};
pub use writable::WritableView;

/// Longest array name in bytes.
pub(crate) const MAX_NAME: usize = 1024;

/// What views, streams and packages need of the store's inside.
pub(crate) mod internal {
    pub(crate) use super::core::Core;
    pub(crate) use super::fill::Filled;
    pub(crate) use super::open::own_core;
    pub(crate) use super::raw::Elements;
    pub(crate) use super::read::{Target, require_rows};
    pub(crate) use super::replace_all::NewArray;
    pub(crate) use super::snapshot::{Snapshot, SnapshotArray};
    pub(crate) use super::typed::{check_dtype_of, finish, into_array};
}
