//! Replace: the new bytes into the log, then in place through a kept mapping.

use std::collections::HashMap;

use crate::disk::Mapping;
use crate::log::catalog::ArrayState;
use crate::rows::plan::Plan;
use crate::rows::run::{Run, is_repeating};
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
            let plan = plan(&array, replace)?;
            if replace.rows.bytes.is_empty() {
                continue;
            }
            let runs = plan.to_runs()?;
            let repeats = plan.may_repeat() && is_repeating(&runs)?;
            let checksum = self.store.prepare_replace(&array, &runs, repeats, replace.rows.bytes)?;
            self.push_replace(&array, runs, replace.rows.bytes, checksum);
        }
        Ok(())
    }
}

impl StoreState {
    /// Opens and maps before the commit, as what can fail must fail here; returns the checksum that the file
    /// will have. `repeats`: some row is in the runs more than once.
    fn prepare_replace(
        &self,
        array: &ArrayState,
        runs: &[Run],
        repeats: bool,
        bytes: &[u8],
    ) -> NpkResult<Option<u32>> {
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
        let Some(sum) = array.checksum else { return Ok(None) };
        let changed = if repeats {
            change_of_last(&mapping, array, runs, bytes)?
        } else {
            change(&mapping, array, runs, bytes)
        };
        Ok(Some(sum ^ changed))
    }
}

/// By what a replace changes the checksum of a file.
fn change(mapping: &Mapping, array: &ArrayState, runs: &[Run], bytes: &[u8]) -> u32 {
    let size = array.row_bytes();
    let mut rest = bytes;
    runs.iter().fold(0, |sum, run| {
        let (rows, after) = rest.split_at((run.len * size) as usize);
        rest = after;
        sum ^ mapping.change(run.start * size, rows, array.bytes())
    })
}

/// As [`change`], where rows come several times: the bytes that come last are those that stay.
fn change_of_last(mapping: &Mapping, array: &ArrayState, runs: &[Run], bytes: &[u8]) -> NpkResult<u32> {
    let size = array.row_bytes() as usize;
    let rows = runs.iter().flat_map(|run| run.start..run.start + run.len);
    let mut last: HashMap<u64, &[u8]> = HashMap::new();
    let out = |_| NpkError::OutOfMemory { bytes: bytes.len() as u64 };
    last.try_reserve(bytes.len() / size).map_err(out)?;
    last.extend(rows.zip(bytes.chunks_exact(size)));
    let of = |(row, bytes)| mapping.change(row * size as u64, bytes, array.bytes());
    Ok(last.into_iter().map(of).fold(0, |sum, change| sum ^ change))
}

fn plan<'a>(array: &ArrayState, replace: &RawRows<'a>) -> NpkResult<Plan<'a>> {
    check_rows(array, &replace.rows)?;
    let plan = Plan::of(replace.selection, array)?;
    if replace.rows.shape[0] != plan.count() {
        return Err(NpkError::InvalidShape {
            array: array.name.to_string(),
            reason: "there must be one row for every index",
            expected: format!("{} rows", plan.count()),
            found: replace.rows.shape.to_vec(),
        });
    }
    Ok(plan)
}
