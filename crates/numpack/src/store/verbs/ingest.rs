//! Save from a source: bytes come piece by piece into a new file, then one record shows the array.
//!
//! Until the record nobody sees the file, and the next writer sweeps what a crashed call leaves.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::combine;
use crate::disk::{StorageFile, parts};
use crate::log::op::{Op, Put};
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::verbs::save::{check_name, check_names_differ};
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::checked_bytes;

/// An array whose bytes are still to come.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Name of the array.
    pub name: &'a str,
    /// Element type.
    pub dtype: DataType,
    /// Shape; empty for a scalar.
    pub shape: &'a [u64],
    /// Whether it takes the place of an array of this name.
    pub overwrite: bool,
    /// Arrays that go in the same commit, if they are there.
    pub dropped: &'a [&'a str],
}

/// Takes the bytes of an array in order; see [`Store::save_from`].
#[derive(Debug)]
pub struct ArrayWriter {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    len: u64,
    written: u64,
    checksum: u32,
}

impl ArrayWriter {
    /// Bytes that the shape still asks for.
    pub fn missing(&self) -> u64 {
        self.len - self.written
    }

    /// Writes the next little-endian bytes of the array, in C order; any number of them. A byte of a bool
    /// array is 0 or 1.
    ///
    /// # Errors
    /// `InvalidArgument` for more bytes than are missing; `Io`.
    pub fn write(&mut self, bytes: &[u8]) -> NpkResult<()> {
        let len = bytes.len() as u64;
        if len > self.missing() {
            return Err(NpkError::InvalidArgument {
                argument: "bytes",
                value: format!("{len} more after {} of {}", self.written, self.len),
                reason: "the array has no room for them",
            });
        }
        let added =
            parts::write(&*self.file, self.written, bytes).map_err(|e| NpkError::io(&self.path, e))?;
        self.checksum = combine(self.checksum, added, len);
        self.written += len;
        Ok(())
    }
}

impl Store {
    /// Saves an array whose bytes `fill` writes, in one commit and in the memory of one piece.
    ///
    /// Other writers wait until it is done, so `fill` must not write to this store; readers do not. When the
    /// disk was full and room could be made, `fill` is called again with an array that is empty.
    ///
    /// ```
    /// use numpack::prelude::*;
    /// use numpack::Incoming;
    ///
    /// # fn main() -> NpkResult<()> {
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::new(dir.path().join("data.npk"))?;
    /// let array = Incoming {
    ///     name: "squares",
    ///     dtype: DataType::Uint64,
    ///     shape: &[1000],
    ///     overwrite: false,
    ///     dropped: &[],
    /// };
    /// store.save_from(&array, |writer| (0..1000_u64).try_for_each(|i| writer.write(&(i * i).to_le_bytes())))?;
    /// assert_eq!(store.getitem::<u64>("squares", &[-1])?[[0]], 998_001);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ArrayExists` without `overwrite`; `InvalidName`; `InvalidShape` for a shape that no array has, or one
    /// that `fill` did not fill; `InvalidArgument` for a name given twice; `Locked`, `ReadOnly`, `Io`, and
    /// those of `fill`.
    pub fn save_from(
        &self,
        array: &Incoming<'_>,
        fill: impl FnMut(&mut ArrayWriter) -> NpkResult<()>,
    ) -> NpkResult<()> {
        check(array)?;
        let fill = RefCell::new(fill);
        self.write(|tx| tx.save_from(array, &mut *fill.borrow_mut()))
    }
}

impl Transaction<'_, '_> {
    fn save_from(
        &mut self,
        array: &Incoming<'_>,
        fill: &mut impl FnMut(&mut ArrayWriter) -> NpkResult<()>,
    ) -> NpkResult<()> {
        if self.find(array.name).is_some() && !array.overwrite {
            return Err(NpkError::ArrayExists(array.name.to_owned()));
        }
        let mut put = self.new_put(array.name, array.dtype, array.shape);
        put.checksum = Some(self.receive(&put, fill)?);
        self.push(Op::Put(put));
        let gone: Vec<&str> =
            array.dropped.iter().copied().filter(|name| self.find(name).is_some()).collect();
        self.remove_alone(&gone)
    }

    /// Makes the file of an array and has it filled; returns its checksum.
    fn receive(&self, put: &Put, fill: &mut impl FnMut(&mut ArrayWriter) -> NpkResult<()>) -> NpkResult<u32> {
        let name = put.file();
        let len = checked_bytes(put.dtype, &put.shape).unwrap_or(0);
        self.write_file(name, |file| {
            if len > 0 {
                file.allocate(0, len).map_err(|e| self.store.file_error(name, e))?;
            }
            let path = self.store.folder.path().join(name.to_string());
            let mut writer = ArrayWriter { file, path, len, written: 0, checksum: 0 };
            fill(&mut writer)?;
            if writer.missing() > 0 {
                return Err(NpkError::InvalidShape {
                    array: put.name.clone(),
                    reason: "the data does not fill the shape",
                    expected: format!("one of {} bytes of {}", writer.written, put.dtype),
                    found: put.shape.clone(),
                });
            }
            Ok(writer.checksum)
        })
    }
}

fn check(array: &Incoming<'_>) -> NpkResult<()> {
    check_name(array.name)?;
    check_names_differ([array.name].into_iter().chain(array.dropped.iter().copied()))?;
    let invalid = |reason| NpkError::InvalidShape {
        array: array.name.to_owned(),
        reason,
        expected: "one that a store can hold".into(),
        found: array.shape.to_vec(),
    };
    checked_bytes(array.dtype, array.shape).map_err(invalid)?;
    if array.shape.len() > 255 {
        return Err(invalid("an array has at most 255 dimensions"));
    }
    Ok(())
}
