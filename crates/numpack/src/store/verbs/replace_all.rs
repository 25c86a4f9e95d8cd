//! Replace everything: whole new files under new ids, then one record that puts them in place of every array.
//!
//! Until the record nobody sees them, and what a crashed call leaves is swept by the next writer.

use std::cell::RefCell;
use std::sync::Arc;

use crate::disk::{Access, StorageFile};
use crate::log::op::{Op, Put};
use crate::rows::run::Run;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::verbs::save::{check_name, check_names_differ};
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::{DELETABLE_ROWS, checked_bytes};

/// Files that are open at the same time.
const OPEN_FILES: usize = 64;

/// An array to be made from bytes that come piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct NewArray {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    /// Physical shape.
    pub(crate) shape: Vec<u64>,
    pub(crate) deleted: Vec<Run>,
}

/// Fills the files of the arrays from this one on and returns their checksums.
pub(crate) type Fill<'a> = dyn FnMut(usize, &[Arc<dyn StorageFile>]) -> NpkResult<Vec<u32>> + 'a;

impl Store {
    /// Puts these arrays in place of all there are, in one commit. `fill` writes their bytes, in constant
    /// memory if it likes.
    ///
    /// # Errors
    /// `InvalidName`, `InvalidArgument` for a name that stands twice, `InvalidShape`; `Locked`, `ReadOnly`,
    /// `Io`, and those of `fill`.
    pub(crate) fn replace_all(&self, arrays: &[NewArray], fill: &mut Fill<'_>) -> NpkResult<()> {
        let fill = RefCell::new(fill);
        self.write(|tx| tx.replace_all(arrays, &mut **fill.borrow_mut()))
    }
}

impl Transaction<'_, '_> {
    fn replace_all(&mut self, arrays: &[NewArray], fill: &mut Fill<'_>) -> NpkResult<()> {
        arrays.iter().try_for_each(check)?;
        check_names_differ(arrays.iter().map(|array| array.name.as_str()))?;
        self.push(Op::Reset);
        for (part, group) in arrays.chunks(OPEN_FILES).enumerate() {
            let mut puts: Vec<Put> =
                group.iter().map(|array| self.new_put(&array.name, array.dtype, &array.shape)).collect();
            let files = puts.iter().map(|put| self.new_file(put)).collect::<NpkResult<Vec<_>>>()?;
            let sums = fill(part * OPEN_FILES, &files)?;
            for ((put, file), sum) in puts.iter_mut().zip(&files).zip(sums) {
                self.written(&**file)?;
                put.checksum = Some(sum);
            }
            for (put, array) in puts.into_iter().zip(group) {
                let (id, runs) = (put.id, array.deleted.clone());
                self.push(Op::Put(put));
                if !runs.is_empty() {
                    self.push(Op::Delete { id, runs });
                }
            }
        }
        Ok(())
    }

    fn new_file(&self, put: &Put) -> NpkResult<Arc<dyn StorageFile>> {
        let name = put.file();
        let io = |e| self.store.file_error(name, e);
        let file = self.store.folder.open(name, Access::Create).map_err(io)?;
        match checked_bytes(put.dtype, &put.shape) {
            Ok(bytes) if bytes > 0 => file.allocate(0, bytes).map_err(io)?,
            _ => {}
        }
        Ok(file)
    }
}

fn check(array: &NewArray) -> NpkResult<()> {
    check_name(&array.name)?;
    let invalid = |reason| NpkError::InvalidShape {
        array: array.name.clone(),
        reason,
        expected: "one that a store can hold".into(),
        found: array.shape.clone(),
    };
    checked_bytes(array.dtype, &array.shape).map_err(invalid)?;
    if array.shape.len() > 255 {
        return Err(invalid("an array has at most 255 dimensions"));
    }
    let rows = array.shape.first().copied().unwrap_or(0).min(DELETABLE_ROWS);
    let inside = |run: &Run| run.start.checked_add(run.len).is_some_and(|end| end <= rows);
    if !array.deleted.iter().all(inside) {
        return Err(invalid("rows are deleted that are not there"));
    }
    Ok(())
}
