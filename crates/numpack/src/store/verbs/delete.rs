//! Dropping rows (logically), arrays, or everything: one record, no data written.

use crate::log::op::Op;
use crate::rows::plan::{check_count, physical_rows, runs_of};
use crate::store::buffers::RawDrop;
use crate::store::commit::transaction::Transaction;
use crate::store::metadata::columns_of;
use crate::store::reading::read::require_rows;
use crate::store::verbs::save::check_names_differ;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::DELETABLE_ROWS;

impl Transaction<'_, '_> {
    /// Deletes rows of arrays logically; later indexes move down. An index may be given twice.
    ///
    /// # Errors
    /// `ArrayNotFound`, `IndexOutOfBounds`, `InvalidShape` for a scalar.
    pub(crate) fn drop_rows(&mut self, drops: &[RawDrop<'_>]) -> NpkResult<()> {
        check_names_differ(drops.iter().map(|drop| drop.name))?;
        for drop in drops {
            let array = self.array(drop.name)?;
            require_rows(&array)?;
            check_count(&array, drop.of)?;
            let mut rows = physical_rows(&array, drop.indexes)?;
            rows.sort_unstable();
            rows.dedup();
            if let Some(&highest) = rows.last() {
                check_deletable(highest)?;
                self.push(Op::Delete { id: array.id, runs: runs_of(&rows) });
            }
        }
        Ok(())
    }

    /// Removes whole arrays, and with them the names of their columns.
    ///
    /// # Errors
    /// `ArrayNotFound`.
    pub(crate) fn remove_arrays(&mut self, names: &[&str]) -> NpkResult<()> {
        check_names_differ(names.iter().copied())?;
        self.remove_alone(names)?;
        let columns = names.iter().map(|name| columns_of(name)).filter(|name| !names.contains(&&**name));
        for columns in columns.filter_map(|name| self.find(&name)).collect::<Vec<_>>() {
            self.push(Op::Remove { id: columns.id });
        }
        Ok(())
    }

    /// Removes arrays, and the names of their columns not.
    ///
    /// # Errors
    /// `ArrayNotFound`.
    pub(crate) fn remove_alone(&mut self, names: &[&str]) -> NpkResult<()> {
        for name in names {
            let id = self.array(name)?.id;
            self.push(Op::Remove { id });
        }
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
