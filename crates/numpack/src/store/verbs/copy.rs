//! Clone and compact: the live rows of an array, streamed into a new file in constant memory.
//!
//! The new file is cut into windows, each of which a thread fills alone: it finds the rows that belong there
//! and copies them from the mapped source to a small buffer, which is summed and written. What a program
//! stores through a writable view meanwhile is in the copy or is not; the checksum is of the copy.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::checksum::crc32c;
use crate::disk::parts::{self, BLOCK, PART};
use crate::disk::{FileName, Mapping, StorageFile};
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::parallel;
use crate::store::commit::transaction::Transaction;
use crate::store::verbs::save::check_name;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::{lacking, reserve};

/// Bytes of a page: a window begins with one, so that no two threads write to the same.
const PAGE: u64 = 4096;

impl Transaction<'_, '_> {
    /// Copies the live rows of `source` to the new array `target`.
    ///
    /// # Errors
    /// `ArrayNotFound`, `ArrayExists`, `InvalidName`, `Corrupted`, `Io`, `Poisoned`.
    pub(crate) fn clone_array(&mut self, source: &str, target: &str) -> NpkResult<()> {
        check_name(target)?;
        let array = self.array(source)?;
        if self.find(target).is_some() {
            return Err(NpkError::ArrayExists(target.to_owned()));
        }
        let mut put = self.new_put(target, array.dtype, &array.logical_shape());
        put.checksum = self.copy_live_rows(&array, put.file())?;
        self.push(Op::Put(put));
        Ok(())
    }

    /// Rewrites an array without its deleted rows; nothing to do when it has none.
    ///
    /// # Errors
    /// `ArrayNotFound`, `Corrupted`, `Io`, `Poisoned`.
    pub(crate) fn compact(&mut self, name: &str) -> NpkResult<()> {
        let array = self.array(name)?;
        if array.deleted.is_empty() {
            return Ok(());
        }
        let (id, rows) = (array.id, array.rows());
        let generation = self.new_generation(id);
        let checksum = self.copy_live_rows(&array, FileName::Data { array: id, generation })?;
        self.push(Op::Compact { id, generation, rows, checksum });
        Ok(())
    }

    fn copy_live_rows(&self, array: &Arc<ArrayState>, name: FileName) -> NpkResult<Option<u32>> {
        let source = self.store.own_data_file(array)?;
        let io = |e| self.store.file_error(name, e);
        self.write_file(name, |target| {
            if array.deleted.is_empty() && target.share_blocks_of(array.file()).map_err(io)? {
                return Ok(array.checksum);
            }
            let mapping = source.mapping(array.bytes())?;
            copy_windows(array, &mapping, &*target).map(Some).map_err(io)
        })
    }
}

/// Writes the live rows of the mapped array to the empty file `target`; returns their checksum.
fn copy_windows(array: &ArrayState, source: &Mapping, target: &dyn StorageFile) -> io::Result<u32> {
    let (rows, row_bytes) = (array.rows(), array.row_bytes());
    if rows * row_bytes > BLOCK as u64 {
        target.allocate(0, rows * row_bytes)?;
    }
    let size = window_rows(row_bytes);
    let windows = (0..rows).step_by(size as usize).map(|start| start..rows.min(start + size)).collect();
    let copy = |window: Range<u64>| {
        let len = (window.end - window.start) * row_bytes;
        Ok((copy_window(array, source, target, window)?, len))
    };
    let sums: io::Result<Vec<_>> = parallel::map(windows, copy).into_iter().collect();
    Ok(parts::join(&sums?))
}

/// Rows of a window: about a part's bytes and, unless the rows are too large, whole pages.
fn window_rows(row_bytes: u64) -> u64 {
    let rows = (PART as u64).checked_div(row_bytes).unwrap_or(u64::MAX).max(1);
    let pages = PAGE >> row_bytes.trailing_zeros().min(PAGE.trailing_zeros());
    if rows > pages { rows / pages * pages } else { rows }
}

/// Writes the live rows `window` (logical) to their place in the new file; returns their checksum.
fn copy_window(
    array: &ArrayState,
    source: &Mapping,
    target: &dyn StorageFile,
    window: Range<u64>,
) -> io::Result<u32> {
    let row_bytes = array.row_bytes();
    let len = (window.end - window.start) * row_bytes;
    let physical = array.deleted.select_live(window.start)..array.deleted.select_live(window.end - 1) + 1;
    let mut buffer = Vec::new();
    reserve(&mut buffer, len.min(BLOCK as u64) as usize).map_err(lacking)?;
    let mut sink = Sink { target, buffer, at: window.start * row_bytes, crc: 0 };
    for (start, end) in array.deleted.live_runs(physical) {
        sink.take(source, start * row_bytes, end * row_bytes)?;
    }
    sink.flush()?;
    Ok(sink.crc)
}

/// Collects rows and writes them in large pieces.
struct Sink<'a> {
    target: &'a dyn StorageFile,
    buffer: Vec<u8>,
    at: u64,
    crc: u32,
}

impl Sink<'_> {
    /// Takes the bytes `at..end` of the source.
    fn take(&mut self, source: &Mapping, mut at: u64, end: u64) -> io::Result<()> {
        while at < end {
            let room = self.buffer.spare_capacity_mut();
            let part = ((end - at) as usize).min(room.len());
            source.read(at, &mut room[..part]);
            self.filled(part);
            at += part as u64;
            if self.buffer.len() == self.buffer.capacity() {
                self.flush()?;
            }
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "the mapping has just written the bytes")]
    fn filled(&mut self, part: usize) {
        // SAFETY: the caller filled `part` bytes of the spare capacity, which held at least as many.
        unsafe { self.buffer.set_len(self.buffer.len() + part) };
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.crc = crc32c(self.crc, &self.buffer);
        self.target.write_at(&[&self.buffer], self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_pages_of_whole_rows_unless_rows_are_large() {
        for row_bytes in [1, 3, 40, 1000, 1023, 4096, 12_288, 1 << 20] {
            let rows = window_rows(row_bytes);
            assert!(rows * row_bytes <= PART as u64, "{rows} rows of {row_bytes} bytes");
            assert!((rows * row_bytes).is_multiple_of(PAGE), "{rows} rows of {row_bytes} bytes");
        }
        assert_eq!(window_rows(1025), PART as u64 / 1025);
        assert_eq!(window_rows(PART as u64 + 1), 1);
        assert!(window_rows(0) > 0);
    }
}
