//! Save from a source: bytes come piece by piece into a new file, then one record shows the array.
//!
//! Until the record nobody sees the file, and the next writer sweeps what a call that died leaves.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::combine;
use crate::disk::{Access, FileName, StorageFile, parts};
use crate::log::op::{Op, Put};
use crate::options::Durability;
use crate::store::commit::state::{StoreState, WriteGuard};
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
        self.write(|core, writing| core.save_from(writing, array, &mut *fill.borrow_mut()))
    }
}

impl StoreState {
    fn save_from(
        &self,
        writing: &WriteGuard<'_>,
        array: &Incoming<'_>,
        fill: &mut impl FnMut(&mut ArrayWriter) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let known = self.known_array(array.name).ok();
        if known.is_some() && !array.overwrite {
            return Err(NpkError::ArrayExists(array.name.to_owned()));
        }
        let id =
            known.map_or_else(|| self.with_catalog(crate::log::catalog::Catalog::next_id), |known| known.id);
        let put = Put {
            id,
            generation: writing.next_seq(),
            dtype: array.dtype,
            shape: array.shape.to_vec(),
            checksum: None,
            reuses_spare: false,
            name: array.name.to_owned(),
        };
        let committed = self.receive(writing, &put, fill).and_then(|checksum| {
            let gone: Vec<&str> =
                array.dropped.iter().copied().filter(|name| self.known_array(name).is_ok()).collect();
            let put = Op::Put(Put { checksum: Some(checksum), ..put });
            let ops: Vec<Op> = [put].into_iter().chain(self.removes(&gone)?).collect();
            self.commit(writing, &ops, &[])
        });
        if committed.is_err() {
            self.forget_failed();
        }
        committed?;
        self.after_commit(writing);
        Ok(())
    }

    /// Makes the file of an array and has it filled; returns its checksum.
    fn receive(
        &self,
        writing: &WriteGuard<'_>,
        put: &Put,
        fill: &mut impl FnMut(&mut ArrayWriter) -> NpkResult<()>,
    ) -> NpkResult<u32> {
        let name = FileName::Data { array: put.id, generation: put.generation };
        let path = self.folder.path().join(name.to_string());
        let io = |e| NpkError::io(&path, e);
        let len = checked_bytes(put.dtype, &put.shape).unwrap_or(0);
        let file = self.folder.open(name, Access::Create).map_err(io)?;
        if len > 0 {
            file.allocate(0, len).map_err(io)?;
        }
        let mut writer = ArrayWriter { file, path: path.clone(), len, written: 0, checksum: 0 };
        fill(&mut writer)?;
        if writer.missing() > 0 {
            return Err(NpkError::InvalidShape {
                array: put.name.clone(),
                reason: "the data does not fill the shape",
                expected: format!("one of {} bytes of {}", writer.written, put.dtype),
                found: put.shape.clone(),
            });
        }
        if writing.durability == Durability::Power {
            writer.file.sync().map_err(|e| self.poison(e))?;
            self.folder.sync().map_err(|e| self.poison(e))?;
        }
        Ok(writer.checksum)
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
