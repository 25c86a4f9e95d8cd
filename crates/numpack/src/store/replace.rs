//! Replace: the new bytes into the log, then in place through a kept mapping.

use std::sync::Arc;

use super::core::{Core, Writing};
use super::raw::RawRows;
use super::save::{check_names_differ, check_rows};
use crate::catalog::ArrayState;
use crate::core::error::{NpkError, NpkResult};
use crate::log::op::Op;
use crate::rows::{physical_rows, runs_of};

impl Core {
    /// Replaces rows of existing arrays in one commit; of indexes given twice the last one wins.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidDtype`, `InvalidShape`, `IndexOutOfBounds`, and those of a commit.
    pub(crate) fn replace(&self, writing: &Writing<'_>, replaces: &[RawRows<'_>]) -> NpkResult<()> {
        check_names_differ(replaces.iter().map(|replace| replace.rows.name))?;
        let mut ops = Vec::with_capacity(replaces.len());
        let mut redo = Vec::with_capacity(replaces.len());
        let mut redo_offset = 0;
        for replace in replaces {
            let array = self.known_array(replace.rows.name)?;
            let runs = plan(&array, replace)?;
            if runs.is_empty() || replace.rows.bytes.is_empty() {
                continue;
            }
            // Open and map before the commit: what can fail fails here.
            let file = self.own_data_file(&array)?;
            if self.folder.traits().mapped_writes {
                file.write_mapping(array.bytes())?;
            } else {
                file.check_len(array.bytes())?;
            }
            let (id, generation, row_bytes) = (array.id, array.generation, array.row_bytes());
            ops.push(Op::Replace { id, generation, redo_offset, row_bytes, runs });
            redo.push(replace.rows.bytes);
            redo_offset += replace.rows.bytes.len() as u64;
        }
        if ops.is_empty() {
            return Ok(());
        }
        self.commit(writing, &ops, &redo)?;
        self.after_commit(writing);
        Ok(())
    }
}

fn plan(array: &Arc<ArrayState>, replace: &RawRows<'_>) -> NpkResult<Vec<crate::log::op::Run>> {
    check_rows(array, &replace.rows)?;
    let given = replace.rows.shape[0];
    if given != replace.indexes.len() as u64 {
        return Err(NpkError::InvalidShape {
            array: array.name.to_string(),
            reason: "there must be one row for every index",
            expected: format!("{} rows", replace.indexes.len()),
            found: replace.rows.shape.to_vec(),
        });
    }
    Ok(runs_of(&physical_rows(array, replace.indexes)?))
}
