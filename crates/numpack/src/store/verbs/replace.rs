//! Replace: the new bytes into the log, then in place through a kept mapping.

use std::collections::HashMap;
use std::sync::Arc;

use crate::disk::Mapping;
use crate::log::catalog::ArrayState;
use crate::rows::plan::{check_count, is_repeating, physical_rows, runs_of};
use crate::rows::run::Run;
use crate::store::buffers::RawRows;
use crate::store::commit::state::StoreState;
use crate::store::commit::transaction::Transaction;
use crate::store::verbs::save::{check_names_differ, check_rows};
use crate::types::error::{NpkError, NpkResult};

impl<'b> Transaction<'_, 'b> {
    /// Replaces rows of existing arrays; of indexes given twice the last one wins.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidDtype`, `InvalidShape`, `IndexOutOfBounds`, `Corrupted`, `Io`.
    pub(crate) fn replace(&mut self, replaces: &[RawRows<'b>]) -> NpkResult<()> {
        check_names_differ(replaces.iter().map(|replace| replace.rows.name))?;
        for replace in replaces {
            let array = self.array(replace.rows.name)?;
            let runs = plan(&array, replace)?;
            if runs.is_empty() || replace.rows.bytes.is_empty() {
                continue;
            }
            let checksum = self.store.prepare_replace(&array, &runs, replace.rows.bytes)?;
            self.push_replace(&array, runs, replace.rows.bytes, checksum);
        }
        Ok(())
    }
}

impl StoreState {
    /// Opens and maps before the commit, as what can fail must fail here; returns the checksum that the file
    /// will have.
    fn prepare_replace(&self, array: &ArrayState, runs: &[Run], bytes: &[u8]) -> NpkResult<Option<u32>> {
        let (file, traits) = (self.own_data_file(array)?, self.folder.capabilities());
        let mapping = if traits.mapped_writes {
            file.write_mapping(array.bytes())?
        } else {
            file.check_len(array.bytes())?;
            // Where mappings are not coherent, the old bytes may be others than those in the file.
            if !traits.coherent || array.checksum.is_none() {
                return Ok(None);
            }
            file.mapping(array.bytes())?
        };
        Ok(array.checksum.map(|sum| sum ^ change(&mapping, array, runs, bytes)))
    }
}

/// By what a replace changes the checksum of a file.
fn change(mapping: &Mapping, array: &ArrayState, runs: &[Run], bytes: &[u8]) -> u32 {
    let size = array.row_bytes() as usize;
    let of = |row: u64, bytes: &[u8]| mapping.change(row * size as u64, bytes, array.bytes());
    if is_repeating(runs) {
        let rows = runs.iter().flat_map(|run| run.start..run.start + run.len);
        // The bytes that come last are those that stay.
        let last: HashMap<u64, &[u8]> = rows.zip(bytes.chunks_exact(size)).collect();
        return last.into_iter().fold(0, |sum, (row, bytes)| sum ^ of(row, bytes));
    }
    let mut rest = bytes;
    runs.iter().fold(0, |sum, run| {
        let (rows, after) = rest.split_at(run.len as usize * size);
        rest = after;
        sum ^ of(run.start, rows)
    })
}

fn plan(array: &Arc<ArrayState>, replace: &RawRows<'_>) -> NpkResult<Vec<Run>> {
    check_count(array, replace.of)?;
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
