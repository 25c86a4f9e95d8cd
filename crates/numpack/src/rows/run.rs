//! A run of neighbouring rows, and lists of them.

use crate::types::error::NpkResult;
use crate::types::room::reserve;

/// A run of physical rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// Appends a run; one that goes on where the last one ends makes it longer.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn push(runs: &mut Vec<Run>, run: Run) -> NpkResult<()> {
    match runs.last_mut() {
        Some(last) if last.start + last.len == run.start => last.len += run.len,
        _ => {
            reserve(runs, 1)?;
            runs.push(run);
        }
    }
    Ok(())
}

/// Whether some row is in the runs more than once.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn is_repeating(runs: &[Run]) -> NpkResult<bool> {
    if runs.is_sorted_by(|a, b| a.start + a.len <= b.start) {
        return Ok(false);
    }
    if runs.iter().all(|run| run.len == 1) {
        return is_row_repeating(runs);
    }
    let mut sorted = Vec::new();
    reserve(&mut sorted, runs.len())?;
    sorted.extend_from_slice(runs);
    sorted.sort_unstable_by_key(|run: &Run| run.start);
    Ok(!sorted.is_sorted_by(|a, b| a.start + a.len <= b.start))
}

/// As [`is_repeating`] for single rows, in a third of the time that sorting takes.
fn is_row_repeating(rows: &[Run]) -> NpkResult<bool> {
    const FREE: u64 = u64::MAX;
    let bits = (2 * rows.len()).next_power_of_two().ilog2();
    let mut seen = Vec::new();
    reserve(&mut seen, 1 << bits)?;
    seen.resize(1 << bits, FREE);
    Ok(rows.iter().any(|&Run { start, .. }| {
        // The golden ratio spreads rows that are evenly apart.
        let mut slot = (start.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize;
        while seen[slot] != FREE && seen[slot] != start {
            slot = (slot + 1) & (seen.len() - 1);
        }
        std::mem::replace(&mut seen[slot], start) == start
    }))
}
