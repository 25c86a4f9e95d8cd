//! Dropping rows (logically), arrays, or everything: one record, no data written.

use crate::log::op::Op;
use crate::rows::Selection;
use crate::rows::plan::Plan;
use crate::rows::run::Run;
use crate::store::commit::transaction::Transaction;
use crate::store::metadata::columns_of;
use crate::store::reading::read::require_rows;
use crate::store::verbs::save::check_names_differ;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::DELETABLE_ROWS;

impl Transaction<'_, '_> {
    /// Deletes rows of arrays logically; later rows move up. A row may be named twice.
    ///
    /// # Errors
    /// `ArrayNotFound`, those of [`Plan::of`], `InvalidShape` for a scalar.
    pub(crate) fn drop_rows(&mut self, drops: &[(&str, Selection<'_>)]) -> NpkResult<()> {
        check_names_differ(drops.iter().map(|&(name, _)| name))?;
        for &(name, selection) in drops {
            let array = self.array(name)?;
            require_rows(&array)?;
            let plan = Plan::of(selection, &array)?.into_set();
            let runs = if array.row_bytes() > 0 {
                plan.to_runs()?
            } else {
                // Rows without bytes are all alike, and a slice may name more of them than can be listed.
                Vec::from_iter((plan.count() > 0).then(|| Run { start: 0, len: plan.count() }))
            };
            if let Some(last) = runs.last() {
                check_deletable(last.start + last.len - 1)?;
                self.push(Op::Delete { id: array.id, runs });
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
