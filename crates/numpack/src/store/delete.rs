//! Dropping rows (logically), arrays, or everything: one record, no data written.

use super::core::{Core, Writing};
use super::read::require_rows;
use crate::catalog::DELETABLE_ROWS;
use crate::core::error::{NpkError, NpkResult};
use crate::log::op::Op;
use crate::rows::{physical_rows, runs_of};

impl Core {
    /// Deletes rows logically; later indexes move down. An index may be given twice.
    ///
    /// # Errors
    /// `ArrayNotFound`, `IndexOutOfBounds`, `InvalidShape` for a scalar, and those of a commit.
    pub(crate) fn drop_rows(&self, writing: &Writing<'_>, name: &str, indexes: &[i64]) -> NpkResult<()> {
        let array = self.known_array(name)?;
        require_rows(&array)?;
        let mut rows = physical_rows(&array, indexes)?;
        rows.sort_unstable();
        rows.dedup();
        let Some(&highest) = rows.last() else { return Ok(()) };
        if highest >= DELETABLE_ROWS {
            return Err(NpkError::InvalidArgument {
                argument: "indexes",
                value: highest.to_string(),
                reason: "rows from 2^40 on cannot be deleted",
            });
        }
        // A held state would make the commit copy the set of deleted rows.
        let id = array.id;
        drop(array);
        self.commit(writing, &[Op::Delete { id, runs: runs_of(&rows) }], &[])?;
        self.after_commit(writing);
        Ok(())
    }

    /// Removes whole arrays in one commit.
    ///
    /// # Errors
    /// `ArrayNotFound`, and those of a commit.
    pub(crate) fn remove_arrays(&self, writing: &Writing<'_>, names: &[&str]) -> NpkResult<()> {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            let id = self.known_array(name)?.id;
            if ids.contains(&id) {
                return Err(NpkError::InvalidArgument {
                    argument: "names",
                    value: format!("{name:?}"),
                    reason: "the name is given twice",
                });
            }
            ids.push(id);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let ops: Vec<Op> = ids.into_iter().map(|id| Op::Remove { id }).collect();
        self.commit(writing, &ops, &[])?;
        self.after_commit(writing);
        Ok(())
    }

    /// Removes every array in one commit.
    ///
    /// # Errors
    /// Those of a commit.
    pub(crate) fn reset(&self, writing: &Writing<'_>) -> NpkResult<()> {
        self.commit(writing, &[Op::Reset], &[])?;
        self.after_commit(writing);
        Ok(())
    }
}
