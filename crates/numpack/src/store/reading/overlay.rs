//! Reading across a replace: copy, then lay the bytes of every replace that may have been under way over it.
//!
//! The redo bytes of a replace are in the log before the first of its rows changes. Whatever mix of old and
//! new rows a copy holds, the rows of all replaces between the redo start before the copy and the last
//! commit after it, laid over it in order, give the state as of that last commit.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::data_file::DataFile;
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::rows::plan::{Plan, live_runs};
use crate::rows::run::Run;
use crate::store::commit::state::{LogState, RedoStart, StoreState};
use crate::store::reading::read::{Scope, Source, Target, copy};
use crate::types::error::{NpkError, NpkResult};

/// Bytes of replaced rows by physical row; later replaces have won.
pub(crate) type Rows = HashMap<u64, Vec<u8>>;

impl StoreState {
    /// Fills `dst` with the rows of the plan as of one commit, whatever writers do meanwhile; false when the
    /// array has changed what the plan depends on, and the plan must be made anew.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_with_overlay(
        &self,
        source: &Source,
        plan: Plan<'_>,
        dst: &mut [MaybeUninit<u8>],
        scope: Scope,
    ) -> NpkResult<bool> {
        let redo_start = self.log().redo_start.clone();
        copy(source, plan, dst)?;
        let Some((_, rows)) = self.replaced_since(&source.array, redo_start, scope)? else {
            return Ok(false);
        };
        lay_over(&rows, plan, source.array.row_bytes() as usize, dst);
        Ok(true)
    }

    /// The rows of a plan for a range, as of one commit. When the range ends with the array, rows appended
    /// meanwhile belong to it: they are copied as well, until no more have come while the last ones were copied,
    /// so a large array is read although a writer appends and replaces all the time. `None` when the plan must
    /// be made anew.
    ///
    /// # Errors
    /// `Corrupted`, `Io`, and those of `plan`.
    pub(crate) fn read_growing<B: Target>(
        &self,
        mut source: Source,
        mut rows: Range<u64>,
        mut target: B,
        plan: &mut impl FnMut(&ArrayState) -> NpkResult<(Range<u64>, B)>,
    ) -> NpkResult<Option<(Arc<ArrayState>, B)>> {
        let redo_start = self.log().redo_start.clone();
        let runs = live_runs(&source.array, rows.start, rows.end);
        copy(&source, Plan::Runs(&runs), target.bytes())?;
        loop {
            let found = self.replaced_since(&source.array, redo_start.clone(), Scope::Logical)?;
            let Some((now, replaced)) = found else { return Ok(None) };
            let grown = now.physical_rows() != source.array.physical_rows();
            if !grown || rows.end < source.array.rows() {
                let runs = live_runs(&source.array, rows.start, rows.end);
                let size = source.array.row_bytes() as usize;
                lay_over(&replaced, Plan::Runs(&runs), size, target.bytes());
                return Ok(Some((source.array, target)));
            }
            let (longer, mut larger) = plan(&now)?;
            if longer.start != rows.start || longer.end < rows.end {
                return Ok(None);
            }
            source.file.confirm(now.bytes())?;
            source.array = now;
            let known = target.bytes().len();
            larger.bytes()[..known].copy_from_slice(target.bytes());
            let runs = live_runs(&source.array, rows.end, longer.end);
            copy(&source, Plan::Runs(&runs), &mut larger.bytes()[known..])?;
            (rows, target) = (longer, larger);
        }
    }

    /// The array as of now and the rows that were replaced since a redo start; `None` when the array has
    /// changed in a way that a plan for `then` does not survive.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn replaced_since(
        &self,
        then: &ArrayState,
        redo_start: RedoStart,
        scope: Scope,
    ) -> NpkResult<Option<(Arc<ArrayState>, Rows)>> {
        let mut log = self.log();
        self.catch_up(&mut log)?;
        let Some(now) = self.with_catalog(|catalog| catalog.by_id(then.id).cloned()) else {
            return Ok(None);
        };
        let moved = redo_start.log.header != log.tail.log.header;
        if moved || !still_holds(&now, then, scope) {
            return Ok(None);
        }
        let span = LogState { tail: log.tail.clone(), redo_start, moved: false, refused: None };
        drop(log);
        let rows = self.replaced_rows(&span, then)?;
        Ok(Some((now, rows)))
    }

    /// A file whose mapping is a private copy with every pending replace laid over it, for views of a store
    /// that nobody may mend.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn overlaid_file(&self, array: &ArrayState) -> NpkResult<Option<Arc<DataFile>>> {
        let access = crate::disk::Access::Read;
        let Some(file) = DataFile::open(&*self.folder, array.file(), access)? else { return Ok(None) };
        let log = self.log();
        let span = LogState {
            tail: log.tail.clone(),
            redo_start: log.redo_start.clone(),
            moved: false,
            refused: None,
        };
        drop(log);
        let mut rows = self.replaced_rows(&span, array)?;
        // The log may know rows that were appended after the array was looked up.
        rows.retain(|&row, _| row < array.physical_rows());
        file.map_private(array.bytes(), |backing, mapping| {
            rows.iter().try_for_each(|(row, bytes)| {
                backing
                    .store(mapping, row * array.row_bytes(), bytes)
                    .map_err(|e| NpkError::io(file.path(), e))
            })
        })?;
        Ok(Some(Arc::new(file)))
    }

    fn replaced_rows(&self, span: &LogState, array: &ArrayState) -> NpkResult<Rows> {
        let size = array.row_bytes() as usize;
        let mut rows = Rows::new();
        self.for_each_redo(span, 0, |op, bytes| {
            let Op::Replace { id, generation, runs, .. } = op else { return Ok(()) };
            if *id == array.id && *generation == array.generation && size > 0 {
                let numbers = runs.iter().flat_map(|run| run.start..run.start + run.len);
                rows.extend(numbers.zip(bytes.chunks_exact(size).map(<[u8]>::to_vec)));
            }
            Ok(())
        })?;
        Ok(rows)
    }
}

/// Whether a plan made for state `then` holds in state `now`.
fn still_holds(now: &ArrayState, then: &ArrayState, scope: Scope) -> bool {
    now.generation == then.generation
        && match scope {
            Scope::Physical => true,
            Scope::Logical => now.deleted == then.deleted,
            Scope::Rows => now.deleted == then.deleted && now.physical_rows() == then.physical_rows(),
        }
}

fn lay_over(rows: &Rows, plan: Plan<'_>, size: usize, dst: &mut [MaybeUninit<u8>]) {
    let mut put = |place: usize, bytes: &[u8]| {
        for (target, &byte) in dst[place * size..(place + 1) * size].iter_mut().zip(bytes) {
            target.write(byte);
        }
    };
    match plan {
        Plan::Rows(wanted) => {
            for (place, row) in wanted.iter().enumerate() {
                if let Some(bytes) = rows.get(row) {
                    put(place, bytes);
                }
            }
        }
        Plan::Runs(runs) => {
            let before = places(runs);
            for (row, bytes) in rows {
                let at = runs.partition_point(|run| run.start <= *row);
                let Some(at) = at.checked_sub(1) else { continue };
                if *row < runs[at].start + runs[at].len {
                    put((before[at] + row - runs[at].start) as usize, bytes);
                }
            }
        }
    }
}

/// Rows of a plan before each of its runs.
fn places(runs: &[Run]) -> Vec<u64> {
    let before = runs.iter().scan(0, |sum, run| {
        let before = *sum;
        *sum += run.len;
        Some(before)
    });
    before.collect()
}
