//! Clone and compact: the live rows of an array, streamed into a new file in constant memory.

use std::sync::Arc;

use super::core::{Core, Writing};
use super::save::check_name;
use crate::catalog::ArrayState;
use crate::core::checksum::crc32c;
use crate::core::error::{NpkError, NpkResult};
use crate::log::op::{Op, Put};
use crate::options::Durability;
use crate::storage::{Access, FileName};

/// Bytes of live rows collected before they are written.
const BUFFER: usize = 1 << 20;

impl Core {
    /// Copies the live rows of `source` to the new array `target`.
    ///
    /// # Errors
    /// `ArrayNotFound`, `ArrayExists`, `InvalidName`, and those of a commit.
    pub(crate) fn clone_array(&self, writing: &Writing<'_>, source: &str, target: &str) -> NpkResult<()> {
        check_name(target)?;
        let array = self.known_array(source)?;
        if self.known_array(target).is_ok() {
            return Err(NpkError::ArrayExists(target.to_owned()));
        }
        let id = self.with_catalog(crate::catalog::Catalog::next_id);
        let generation = writing.next_seq();
        let name = FileName::Data { array: id, generation };
        self.write_then_commit(writing, &array, name, |checksum| {
            let shape = array.logical_shape();
            let (dtype, name) = (array.dtype, target.to_owned());
            Op::Put(Put { id, generation, dtype, shape, checksum, reuses_spare: false, name })
        })
    }

    /// Rewrites an array without its deleted rows; nothing to do when it has none.
    ///
    /// # Errors
    /// `ArrayNotFound`, and those of a commit.
    pub(crate) fn compact(&self, writing: &Writing<'_>, name: &str) -> NpkResult<()> {
        let array = self.known_array(name)?;
        if array.deleted.is_empty() {
            return Ok(());
        }
        let (id, generation, rows) = (array.id, writing.next_seq(), array.rows());
        let file = FileName::Data { array: id, generation };
        self.write_then_commit(writing, &array, file, |checksum| Op::Compact {
            id,
            generation,
            rows,
            checksum,
        })
    }

    fn write_then_commit(
        &self,
        writing: &Writing<'_>,
        array: &Arc<ArrayState>,
        name: FileName,
        op: impl FnOnce(Option<u32>) -> Op,
    ) -> NpkResult<()> {
        let committed = self.copy_live_rows(writing, array, name).and_then(|checksum| {
            if writing.durability == Durability::Power {
                self.folder.sync().map_err(|e| self.poison(e))?;
            }
            self.commit(writing, &[op(checksum)], &[])
        });
        if committed.is_err() {
            self.forget_failed();
        }
        committed?;
        self.after_commit(writing);
        Ok(())
    }

    fn copy_live_rows(
        &self,
        writing: &Writing<'_>,
        array: &Arc<ArrayState>,
        name: FileName,
    ) -> NpkResult<Option<u32>> {
        let path = self.folder.path().join(name.to_string());
        let io = |e| NpkError::io(&path, e);
        let source = self.own_data_file(array)?;
        let target = self.folder.open(name, Access::Create).map_err(io)?;
        let shared = array.deleted.is_empty() && target.share_blocks_of(array.file()).map_err(io)?;
        let checksum = if shared {
            array.checksum
        } else {
            let total = array.rows() * array.row_bytes();
            if total > BUFFER as u64 {
                target.allocate(0, total).map_err(io)?;
            }
            let mapping = source.mapping(array.bytes())?;
            let mut sink = Sink { buffer: Vec::with_capacity(BUFFER), at: 0, crc: 0 };
            let row = array.row_bytes();
            for (start, end) in array.deleted.live_runs(0..array.physical_rows()) {
                let (mut at, end) = (start * row, end * row);
                while at < end {
                    let part = ((end - at) as usize).min(BUFFER - sink.buffer.len());
                    let spare = &mut sink.buffer.spare_capacity_mut()[..part];
                    mapping.read(at, spare);
                    sink.filled(part);
                    if sink.buffer.len() == BUFFER {
                        sink.flush(&*target).map_err(io)?;
                    }
                    at += part as u64;
                }
            }
            sink.flush(&*target).map_err(io)?;
            Some(sink.crc)
        };
        if writing.durability == Durability::Power {
            target.sync().map_err(|e| self.poison(e))?;
        }
        Ok(checksum)
    }
}

/// Collects rows and writes them in large pieces.
struct Sink {
    buffer: Vec<u8>,
    at: u64,
    crc: u32,
}

impl Sink {
    #[expect(unsafe_code, reason = "the mapping has just written the bytes")]
    fn filled(&mut self, part: usize) {
        // SAFETY: the caller filled `part` bytes of the spare capacity, which held at least as many.
        unsafe { self.buffer.set_len(self.buffer.len() + part) };
    }

    fn flush(&mut self, target: &dyn crate::storage::StorageFile) -> std::io::Result<()> {
        self.crc = crc32c(self.crc, &self.buffer);
        if !self.buffer.is_empty() {
            target.write_at(&[&self.buffer], self.at)?;
        }
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
