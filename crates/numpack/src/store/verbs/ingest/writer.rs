//! What takes the bytes of an ingest: files of its own, and writers that fill them in order.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Context, NewArray};
use crate::checksum::combine;
use crate::disk::parts::{self, CopyError};
use crate::disk::{FileName, StorageFile};
use crate::types::error::{NpkError, NpkResult};

/// A new file of an ingest. Dropping it removes it, unless it is handed over.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    pub(super) context: Context,
    pub(super) name: FileName,
    pub(super) file: Arc<dyn StorageFile>,
    pub(super) handed_over: bool,
}

/// Takes the bytes of one array in order, see [`Ingest::array`](crate::Ingest::array).
#[derive(Debug)]
pub struct ArrayWriter {
    pub(super) array: NewArray,
    /// Bytes that the shape asks for; `None` when as many rows are taken as come.
    pub(super) len: Option<u64>,
    pub(super) written: u64,
    pub(super) checksum: u32,
    pub(super) file: IncomingFile,
}

impl IncomingFile {
    /// Calls `work` with the file: twice when the disk was full and room could be made.
    ///
    /// # Errors
    /// `Io`, and those of taking the writers' lock.
    pub(crate) fn with_room<R>(&self, work: impl Fn(&dyn StorageFile) -> io::Result<R>) -> NpkResult<R> {
        let core = &self.context.anchor.store;
        self.context.with_room(|| work(&*self.file).map_err(|e| core.file_error(self.name, e)))
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        if !self.handed_over {
            self.context.anchor.remove(self.name);
        }
    }
}

impl ArrayWriter {
    /// Bytes that have been written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes the next little-endian bytes of the array, in C order; any number of them. A byte of a bool
    /// array is 0 or 1.
    ///
    /// # Errors
    /// `InvalidArgument` for more bytes than the shape has room for; `Io`.
    pub fn write(&mut self, bytes: &[u8]) -> NpkResult<()> {
        let len = bytes.len() as u64;
        self.check_room(len)?;
        let added = self.file.with_room(|file| parts::write(file, self.written, bytes))?;
        self.wrote(len, added);
        Ok(())
    }

    /// Writes the next `len` bytes of the array from `source`, where they stand `at` a place, on several threads.
    /// `path` is for messages. The file is read and never mapped: one that gets shorter is an error, not a signal.
    ///
    /// # Errors
    /// As for [`ArrayWriter::write`]; `InvalidArgument` when `source` ends before the last byte.
    pub fn copy(&mut self, source: &File, path: &Path, at: u64, len: u64) -> NpkResult<()> {
        self.check_room(len)?;
        let copied = self.file.with_room(|file| match parts::copy(file, self.written, source, at, len) {
            Ok(added) => Ok(Ok(added)),
            Err(CopyError::Read(error)) => Ok(Err(error)),
            Err(CopyError::Write(error)) => Err(error),
        })?;
        self.wrote(len, copied.map_err(|error| unread(path.to_owned(), error))?);
        Ok(())
    }

    fn wrote(&mut self, len: u64, checksum: u32) {
        self.checksum = combine(self.checksum, checksum, len);
        self.written += len;
    }

    fn check_room(&self, more: u64) -> NpkResult<()> {
        self.file.context.check_process()?;
        match self.len {
            Some(len) if more > len - self.written => Err(NpkError::InvalidArgument {
                argument: "bytes",
                value: format!("{more} more after {} of {len}", self.written),
                reason: "the array has no room for them",
            }),
            _ => Ok(()),
        }
    }
}

fn unread(path: PathBuf, error: io::Error) -> NpkError {
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return NpkError::io(path, error);
    }
    NpkError::InvalidArgument {
        argument: "file",
        value: path.display().to_string(),
        reason: "it is cut off: it ends before the last row",
    }
}
