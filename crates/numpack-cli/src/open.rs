//! How the commands open a store.

use std::path::Path;

use numpack::{Mode, NpkResult, OpenOptions, Store};

/// Opens a store for reading.
///
/// # Errors
/// Those of [`OpenOptions::open`].
pub(crate) fn open(path: &Path) -> NpkResult<Store> {
    OpenOptions::new().mode(Mode::Read).open(path)
}

/// Opens a store that is there for writing.
///
/// # Errors
/// Those of [`OpenOptions::open`].
pub(crate) fn writable(path: &Path) -> NpkResult<Store> {
    OpenOptions::new().mode(Mode::ReadWrite).open(path)
}
