//! How a store is opened.

use std::path::Path;
use std::time::Duration;

use crate::store::Store;
use crate::types::error::NpkResult;

/// What an open store may do, and what must exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `r`: read an existing store.
    Read,
    /// `r+`: read and write an existing store.
    ReadWrite,
    /// `a`: read and write; made when missing.
    #[default]
    Append,
    /// `w`: read and write; made when missing, emptied otherwise.
    Truncate,
    /// `x`: make a store; an error when there is one.
    CreateNew,
}

/// What a power cut may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// A call that returned survives the death of any process; a power cut may take what came after the last
    /// sync. No call waits for the disk.
    #[default]
    Process,
    /// A call that returned survives a power cut.
    Power,
}

/// Options for opening a store.
///
/// ```
/// use numpack::prelude::*;
/// # fn main() -> NpkResult<()> {
/// # let dir = tempfile::tempdir().map_err(|e| NpkError::Io { path: "temp".into(), source: e })?;
/// let store = OpenOptions::new().durability(Durability::Power).open(dir.path().join("data.npk"))?;
/// assert!(store.list_arrays().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    pub(crate) mode: Mode,
    pub(crate) durability: Durability,
    pub(crate) lock_timeout: Option<Duration>,
}

impl OpenOptions {
    /// Mode `a`, durability `process`, waiting for other writers without end.
    pub fn new() -> Self {
        Self::default()
    }

    /// What may be done and what must exist.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// What a power cut may take.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a write waits for other writers before it fails with `Locked`; `None` waits without end.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Opens the store at `path`.
    ///
    /// # Errors
    /// `NotAStore` when the path is that of a file; `Io` when it is not to be reached, or (mode `x`) when a store is there;
    /// `Corrupted`, `UnsupportedVersion`, `Locked`; `InvalidArgument` for a folder with other files.
    pub fn open(self, path: impl AsRef<Path>) -> NpkResult<Store> {
        Store::open(path.as_ref(), self)
    }
}
