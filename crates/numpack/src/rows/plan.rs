//! Row numbers: from what callers give to physical rows, runs and byte ranges.

use crate::log::catalog::ArrayState;
use crate::rows::run::Run;
use crate::types::error::{NpkError, NpkResult};

/// An error when the array has another number of rows than row numbers are about.
///
/// # Errors
/// `RowsChanged`.
pub(crate) fn check_count(array: &ArrayState, of: Option<u64>) -> NpkResult<()> {
    match of {
        Some(expected) if expected != array.rows() => {
            Err(NpkError::RowsChanged { array: array.name.to_string(), expected, found: array.rows() })
        }
        _ => Ok(()),
    }
}

/// Physical rows of `indexes` in the order given: negative ones count from the end, deleted rows do not count.
///
/// # Errors
/// `IndexOutOfBounds` for the first index outside `-rows..rows`.
pub(crate) fn physical_rows(array: &ArrayState, indexes: &[i64]) -> NpkResult<Vec<u64>> {
    let rows = array.rows();
    let mut physical: Vec<u64> = indexes.iter().map(|&index| logical_row(index, rows)).collect();
    if let Some(wrong) = physical.iter().position(|&row| row >= rows) {
        return Err(NpkError::IndexOutOfBounds { index: indexes[wrong], rows });
    }
    if !array.deleted.is_empty() {
        array.deleted.select_live_many(&mut physical);
    }
    Ok(physical)
}

/// The row that an index means; one that is out of range gives a number no smaller than `rows`.
fn logical_row(index: i64, rows: u64) -> u64 {
    if index < 0 { rows.checked_sub(index.unsigned_abs()).unwrap_or(u64::MAX) } else { index as u64 }
}

/// The rows as runs of neighbours, in the order given.
pub(crate) fn runs_of(rows: &[u64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(rows.len().min(16));
    for &row in rows {
        match runs.last_mut() {
            Some(run) if run.start + run.len == row => run.len += 1,
            _ => runs.push(Run { start: row, len: 1 }),
        }
    }
    runs
}

/// Whether some row is in the runs more than once.
pub(crate) fn is_repeating(runs: &[Run]) -> bool {
    if runs.is_sorted_by(|a, b| a.start + a.len <= b.start) {
        return false;
    }
    if runs.iter().all(|run| run.len == 1) {
        return is_row_repeating(runs);
    }
    let mut sorted = runs.to_vec();
    sorted.sort_unstable_by_key(|run| run.start);
    !sorted.is_sorted_by(|a, b| a.start + a.len <= b.start)
}

/// As [`is_repeating`] for single rows, in a third of the time that sorting takes.
fn is_row_repeating(rows: &[Run]) -> bool {
    const FREE: u64 = u64::MAX;
    let bits = (2 * rows.len()).next_power_of_two().ilog2();
    let mut seen = vec![FREE; 1 << bits];
    rows.iter().any(|&Run { start, .. }| {
        // The golden ratio spreads rows that are evenly apart.
        let mut slot = (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize;
        while seen[slot] != FREE && seen[slot] != start {
            slot = (slot + 1) & (seen.len() - 1);
        }
        std::mem::replace(&mut seen[slot], start) == start
    })
}

/// Physical runs of the live rows `start..end` (logical), in order.
pub(crate) fn live_runs(array: &ArrayState, start: u64, end: u64) -> Vec<Run> {
    if start >= end {
        return Vec::new();
    }
    if array.deleted.is_empty() {
        return vec![Run { start, len: end - start }];
    }
    let from = array.deleted.select_live(start);
    let to = array.deleted.select_live(end - 1) + 1;
    array.deleted.live_runs(from..to).map(|(start, end)| Run { start, len: end - start }).collect()
}

/// Which physical rows go into a buffer, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan<'a> {
    /// Runs in increasing order.
    Runs(&'a [Run]),
    /// Single rows in any order.
    Rows(&'a [u64]),
}

impl Plan<'_> {
    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        match self {
            Plan::Runs(runs) => runs.iter().map(|run| run.len).sum(),
            Plan::Rows(rows) => rows.len() as u64,
        }
    }
}
