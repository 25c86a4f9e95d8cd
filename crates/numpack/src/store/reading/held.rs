//! Data files that are read from for a long time, without a descriptor each.
//!
//! A program may hold any number of views, and few descriptors. What a view needs is the mapping, which keeps the
//! file's lock: no writer uses the file again, and its bytes stay, also when it has lost its name. The descriptor
//! is that of the store's cache, as long as it lies there, and one of a new open later.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::sync::{Arc, Weak};

use crate::disk::Mapping;
use crate::disk::data_file::DataFile;
use crate::log::catalog::ArrayState;
use crate::store::commit::state::StoreState;
use crate::store::reading::copy::{LONG_RUN, Source};
use crate::types::error::NpkResult;

/// A data file to copy rows from.
#[derive(Clone, Debug)]
pub(crate) enum RowFile {
    /// Long runs are read by system call.
    Open(Arc<DataFile>),
    /// All comes from the mapping.
    Mapped(Arc<Mapping>),
}

impl RowFile {
    /// Checks that the file has so many bytes, as [`DataFile::confirm`] does. What is mapped was looked at.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn confirm(&self, len: u64) -> NpkResult<()> {
        match self {
            RowFile::Open(file) => file.confirm(len),
            RowFile::Mapped(_) => Ok(()),
        }
    }

    /// The mapping of at least the first `len` bytes.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn mapping(&self, len: u64) -> NpkResult<Arc<Mapping>> {
        match self {
            RowFile::Open(file) => file.mapping(len),
            RowFile::Mapped(mapping) => Ok(Arc::clone(mapping)),
        }
    }

    /// Reads bytes of the file.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_at(&self, buf: &mut [MaybeUninit<u8>], offset: u64) -> NpkResult<()> {
        match self {
            RowFile::Open(file) => file.read_at(buf, offset),
            RowFile::Mapped(mapping) => {
                mapping.read(offset, buf);
                Ok(())
            }
        }
    }
}

/// An array as of one commit, whose bytes stay as they are, but for replaced rows, as long as this lives.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) array: Arc<ArrayState>,
    /// For short runs of rows, and for all of a file that cannot be opened again.
    pub(crate) mapped: Source,
    cached: Weak<DataFile>,
    /// Where a mapping does not keep the file's lock.
    _open: Option<Arc<DataFile>>,
}

impl Held {
    /// Holds an array whose file is open under its lock.
    ///
    /// # Errors
    /// `Corrupted` when the file is shorter than was committed; `Io`.
    pub(crate) fn new(core: &StoreState, array: Arc<ArrayState>, file: Arc<DataFile>) -> NpkResult<Held> {
        let (mapping, cached) = (file.mapping(array.bytes())?, Arc::downgrade(&file));
        let mapped = Source { array: Arc::clone(&array), file: RowFile::Mapped(mapping) };
        let follows = core.folder.capabilities().locks_follow_mappings;
        Ok(Held { array, mapped, cached, _open: (!follows).then_some(file) })
    }

    /// The open file; `None` when it has lost its name or cannot be opened: the mapping has the rows all the same.
    pub(crate) fn open(&self, core: &StoreState) -> Option<Arc<DataFile>> {
        self.cached.upgrade().or_else(|| core.data_file(&self.array).ok().flatten())
    }

    /// The array, to copy so many bytes of rows from: with an open file where there may be long runs.
    pub(crate) fn source(&self, core: &StoreState, bytes: usize) -> Cow<'_, Source> {
        if bytes < LONG_RUN {
            return Cow::Borrowed(&self.mapped);
        }
        Cow::Owned(Source { array: Arc::clone(&self.array), file: self.rows(core) })
    }

    /// The file, open if it can be.
    pub(crate) fn rows(&self, core: &StoreState) -> RowFile {
        self.open(core).map_or_else(|| self.mapped.file.clone(), RowFile::Open)
    }
}
