//! Reading across a replace: copy, then overlay the bytes of every replace that may have been under way.
//!
//! The redo bytes of a replace are in the log before the first of its rows changes. Whatever mix of old and
//! new rows a copy holds, the rows of all replaces between the redo start before the copy and the last
//! commit after it, overlaid on it in order, give the state as of that last commit.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::disk::data_file::DataFile;
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::rows::plan::{Piece, Plan};
use crate::store::commit::state::{LogState, RedoStart, StoreState};
use crate::store::reading::copy::{Source, copy};
use crate::store::reading::read::{Found, Scope, Target};
use crate::types::error::{NpkError, NpkResult};

/// Bytes of replaced rows by physical row; later replaces have won.
pub(crate) type Rows = BTreeMap<u64, Vec<u8>>;

impl StoreState {
    /// Fills `dst` with rows of a view, whatever writers do meanwhile; false when the array's file has been
    /// taken out of use.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_with_overlay(
        &self,
        source: &Source,
        plan: &Plan<'_>,
        dst: &mut [MaybeUninit<u8>],
    ) -> NpkResult<bool> {
        let redo_start = self.log().redo_start.clone();
        copy(source, plan, dst)?;
        let Some((_, rows)) = self.replaced_since(&source.array, redo_start, Scope::Physical)? else {
            return Ok(false);
        };
        overlay_rows(&rows, plan, source.array.row_bytes() as usize, dst)?;
        Ok(true)
    }

    /// The rows of a plan as of one commit. `plans` makes the plan for a later state: when a slice reaches to the
    /// end of the array, rows appended meanwhile belong to it. They are copied as well, until no more have come
    /// while the last ones were copied, so a large array is read although a writer appends and replaces all the
    /// time. `None` when everything must be read anew.
    ///
    /// # Errors
    /// `Corrupted`, `Io`, and those of `plans` and `allocate`.
    pub(crate) fn read_growing<'s, B: Target>(
        &self,
        mut source: Source,
        mut plan: Plan<'s>,
        mut target: B,
        mut plans: impl FnMut(&ArrayState) -> NpkResult<Plan<'s>>,
        allocate: &mut impl FnMut(&ArrayState, u64) -> NpkResult<B>,
    ) -> NpkResult<Option<Found<B>>> {
        let redo_start = self.log().redo_start.clone();
        copy(&source, &plan, target.bytes())?;
        loop {
            let found = self.replaced_since(&source.array, redo_start.clone(), Scope::Logical)?;
            let Some((now, replaced)) = found else { return Ok(None) };
            let longer = plans(&now)?;
            if longer.names_as(&plan) {
                overlay_rows(&replaced, &plan, source.array.row_bytes() as usize, target.bytes())?;
                return Ok(Some(Found { array: source.array, rows: plan.count(), target }));
            }
            let (Some(known), Some(rows)) = (plan.range(), longer.range()) else { return Ok(None) };
            if rows.start != known.start || rows.end < known.end {
                return Ok(None);
            }
            let mut larger = allocate(&now, longer.count())?;
            source.file.confirm(now.bytes())?;
            source.array = now;
            let (before, added) = larger.bytes().split_at_mut(target.bytes().len());
            before.copy_from_slice(target.bytes());
            copy(&source, &Plan::of_range(known.end..rows.end, &source.array), added)?;
            (plan, target) = (longer, larger);
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

    /// A file whose mapping is a private copy with every pending replace overlaid on it, for views of a store
    /// that nobody may mend.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn overlaid_file(&self, array: &ArrayState) -> NpkResult<Option<Arc<DataFile>>> {
        let access = crate::disk::Access::Read;
        let Some(file) = self.files.open(&*self.folder, array.file(), access)? else { return Ok(None) };
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
        }
}

/// Puts replaced rows in the places that a plan has for them.
fn overlay_rows(rows: &Rows, plan: &Plan<'_>, size: usize, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut put = |place: u64, bytes: &[u8]| {
        let at = place as usize * size;
        for (target, &byte) in dst[at..at + size].iter_mut().zip(bytes) {
            target.write(byte);
        }
    };
    let mut place = 0;
    plan.each_piece(0..plan.places(), |piece| {
        match piece {
            Piece::Run(run) => {
                rows.range(run.start..run.start + run.len)
                    .for_each(|(row, bytes)| put(place + row - run.start, bytes));
                place += run.len;
            }
            Piece::Rows(wanted) => {
                for (row, place) in wanted.iter().zip(place..) {
                    if let Some(bytes) = rows.get(row) {
                        put(place, bytes);
                    }
                }
                place += wanted.len() as u64;
            }
        }
        Ok(())
    })
}
