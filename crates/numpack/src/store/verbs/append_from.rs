//! Append from a file: rows that lie in a foreign file are copied by threads that each read a block, sum it and
//! write it while it is in the core's cache.
//!
//! The foreign file is read and never mapped: whoever makes it shorter meanwhile causes an error, no signal.

use std::fs::File;
use std::path::Path;

use crate::checksum::combine;
use crate::log::op::Op;
use crate::store::buffers::RawArray;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::reading::read::require_rows;
use crate::store::verbs::append::check_total;
use crate::types::error::{NpkError, NpkResult};

/// Rows that lie in a file one behind the other, as little-endian bytes in C order.
#[derive(Clone, Copy, Debug)]
pub struct FileRows<'a> {
    /// Name of the array that they go to, which says what a row is. A byte of a bool array is 0 or 1.
    pub name: &'a str,
    /// How many there are.
    pub rows: u64,
    /// The file.
    pub file: &'a File,
    /// Its path, for messages.
    pub path: &'a Path,
    /// Where in the file they begin.
    pub at: u64,
}

impl Store {
    /// Appends rows that lie in another file, in one commit and in the memory of a block for each thread.
    ///
    /// # Errors
    /// `ArrayNotFound`; `InvalidShape` for a scalar; `InvalidArgument` when the file ends before the last row;
    /// `Locked`, `ReadOnly`, `Io`.
    pub fn append_from(&self, rows: &FileRows<'_>) -> NpkResult<()> {
        self.write(|tx| tx.append_from(rows))
    }
}

impl Transaction<'_, '_> {
    fn append_from(&mut self, rows: &FileRows<'_>) -> NpkResult<()> {
        let array = self.array(rows.name)?;
        require_rows(&array)?;
        let mut shape = array.logical_shape();
        shape[0] = rows.rows;
        check_total(&array, &RawArray { name: rows.name, dtype: array.dtype, shape: &shape, bytes: &[] })?;
        if rows.rows == 0 {
            return Ok(());
        }
        let (file, len) = (self.store.own_data_file(&array)?, rows.rows * array.row_bytes());
        let added = file.append_from(rows.file, rows.at, len, array.bytes())?.map_err(|e| rows.unread(e))?;
        self.written(file.file())?;
        let checksum = array.checksum.map(|sum| combine(sum, added, len));
        self.push(Op::Append { id: array.id, rows: rows.rows, checksum });
        Ok(())
    }
}

impl FileRows<'_> {
    fn unread(&self, error: std::io::Error) -> NpkError {
        if error.kind() != std::io::ErrorKind::UnexpectedEof {
            return NpkError::io(self.path, error);
        }
        NpkError::InvalidArgument {
            argument: "file",
            value: self.path.display().to_string(),
            reason: "it is cut off: it ends before the last row",
        }
    }
}
