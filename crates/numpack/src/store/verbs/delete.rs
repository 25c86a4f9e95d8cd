//! Dropping rows (logically), arrays, or everything: one record, no data written.

use crate::log::op::Op;
use crate::rows::plan::{check_count, physical_rows, runs_of};
use crate::store::buffers::RawDrop;
use crate::store::commit::state::{StoreState, WriteGuard};
use crate::store::metadata::columns_of;
use crate::store::reading::read::require_rows;
use crate::store::verbs::save::check_names_differ;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::DELETABLE_ROWS;

impl StoreState {
    /// Deletes rows of arrays logically, in one commit; later indexes move down. An index may be given twice.
    ///
    /// # Errors
    /// `ArrayNotFound`, `IndexOutOfBounds`, `InvalidShape` for a scalar, and those of a commit.
    pub(crate) fn drop_rows(&self, writing: &WriteGuard<'_>, drops: &[RawDrop<'_>]) -> NpkResult<()> {
        check_names_differ(drops.iter().map(|drop| drop.name))?;
        let mut ops = Vec::with_capacity(drops.len());
        for drop in drops {
            let array = self.known_array(drop.name)?;
            require_rows(&array)?;
            check_count(&array, drop.of)?;
            let mut rows = physical_rows(&array, drop.indexes)?;
            rows.sort_unstable();
            rows.dedup();
            if let Some(&highest) = rows.last() {
                check_deletable(highest)?;
                ops.push(Op::Delete { id: array.id, runs: runs_of(&rows) });
            }
        }
        if ops.is_empty() {
            return Ok(());
        }
        self.commit(writing, &ops, &[])?;
        self.after_commit(writing);
        Ok(())
    }

    /// Removes whole arrays in one commit, and with them the names of their columns.
    ///
    /// # Errors
    /// `ArrayNotFound`, and those of a commit.
    pub(crate) fn remove_arrays(&self, writing: &WriteGuard<'_>, names: &[&str]) -> NpkResult<()> {
        check_names_differ(names.iter().copied())?;
        let mut ops = self.removes(names)?;
        let columns = names.iter().map(|name| columns_of(name)).filter(|name| !names.contains(&&**name));
        ops.extend(columns.filter_map(|name| Some(Op::Remove { id: self.known_array(&name).ok()?.id })));
        if ops.is_empty() {
            return Ok(());
        }
        self.commit(writing, &ops, &[])?;
        self.after_commit(writing);
        Ok(())
    }

    /// The operations that remove these arrays.
    ///
    /// # Errors
    /// `ArrayNotFound`.
    pub(crate) fn removes(&self, names: &[&str]) -> NpkResult<Vec<Op>> {
        names.iter().map(|name| Ok(Op::Remove { id: self.known_array(name)?.id })).collect()
    }

    /// Removes every array in one commit.
    ///
    /// # Errors
    /// Those of a commit.
    pub(crate) fn reset(&self, writing: &WriteGuard<'_>) -> NpkResult<()> {
        self.commit(writing, &[Op::Reset], &[])?;
        self.after_commit(writing);
        Ok(())
    }
}

fn check_deletable(row: u64) -> NpkResult<()> {
    if row < DELETABLE_ROWS {
        return Ok(());
    }
    Err(NpkError::InvalidArgument {
        argument: "indexes",
        value: row.to_string(),
        reason: "rows from 2^40 on cannot be deleted",
    })
}
