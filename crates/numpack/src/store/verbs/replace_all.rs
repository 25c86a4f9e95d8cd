//! Replace everything: whole new files under new ids, then one record that puts them in place of every array.
//!
//! Until the record nobody sees them, and what a call that died leaves is swept by the next writer.

use std::cell::RefCell;
use std::sync::Arc;

use crate::disk::{Access, FileName, StorageFile};
use crate::log::op::{Op, Put};
use crate::options::Durability;
use crate::rows::run::Run;
use crate::store::commit::state::{StoreState, WriteGuard};
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
        self.write(|core, writing| core.replace_all(writing, arrays, &mut **fill.borrow_mut()))
    }
}

impl StoreState {
    fn replace_all(
        &self,
        writing: &WriteGuard<'_>,
        arrays: &[NewArray],
        fill: &mut Fill<'_>,
    ) -> NpkResult<()> {
        arrays.iter().try_for_each(check)?;
        check_names_differ(arrays.iter().map(|array| array.name.as_str()))?;
        let written = self.write_files(writing, arrays, fill);
        let committed = written.and_then(|puts| {
            if writing.durability == Durability::Power {
                self.folder.sync().map_err(|e| self.poison(e))?;
            }
            let deletes = puts.iter().zip(arrays).filter(|(_, array)| !array.deleted.is_empty());
            let deletes: Vec<Op> =
                deletes.map(|(put, array)| Op::Delete { id: put.id, runs: array.deleted.clone() }).collect();
            let ops: Vec<Op> =
                [Op::Reset].into_iter().chain(puts.into_iter().map(Op::Put)).chain(deletes).collect();
            self.commit(writing, &ops, &[])
        });
        if committed.is_err() {
            self.forget_failed();
        }
        committed?;
        self.after_commit(writing);
        Ok(())
    }

    fn write_files(
        &self,
        writing: &WriteGuard<'_>,
        arrays: &[NewArray],
        fill: &mut Fill<'_>,
    ) -> NpkResult<Vec<Put>> {
        let generation = writing.next_seq();
        let mut next_id = self.with_catalog(crate::log::catalog::Catalog::next_id);
        let mut puts = Vec::with_capacity(arrays.len());
        for (part, group) in arrays.chunks(OPEN_FILES).enumerate() {
            let files = (next_id..).zip(group).map(|(id, array)| self.new_file(id, generation, array));
            let files = files.collect::<NpkResult<Vec<_>>>()?;
            let sums = fill(part * OPEN_FILES, &files)?;
            for ((array, file), sum) in group.iter().zip(files).zip(sums) {
                if writing.durability == Durability::Power {
                    file.sync().map_err(|e| self.poison(e))?;
                }
                puts.push(Put {
                    id: next_id,
                    generation,
                    dtype: array.dtype,
                    shape: array.shape.clone(),
                    checksum: Some(sum),
                    reuses_spare: false,
                    name: array.name.clone(),
                });
                next_id += 1;
            }
        }
        Ok(puts)
    }

    fn new_file(&self, id: u64, generation: u64, array: &NewArray) -> NpkResult<Arc<dyn StorageFile>> {
        let name = FileName::Data { array: id, generation };
        let io = |e| NpkError::io(self.folder.path().join(name.to_string()), e);
        let file = self.folder.open(name, Access::Create).map_err(io)?;
        match checked_bytes(array.dtype, &array.shape) {
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
