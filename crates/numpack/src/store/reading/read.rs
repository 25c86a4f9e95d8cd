//! Reading rows: plan, copy, make sure that the copy is of one commit.
//!
//! The usual path copies between two looks at the array's sequence word and takes no lock; which rows there
//! are is looked at in between as well, so that both are of one commit. A copy that a replace may have crossed
//! is made whole by overlaying the replace's redo bytes (`overlay.rs`), so a reader waits for nobody, not
//! even for a stopped writer.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use crate::log::catalog::ArrayState;
use crate::rows::Selection;
use crate::rows::plan::Plan;
use crate::store::commit::state::StoreState;
use crate::store::reading::copy::{Source, copy};
use crate::store::reading::held::{Held, RowFile};
use crate::types::error::{NpkError, NpkResult};

/// Looks at the sequence word before a reader turns to the log.
const TRIES: u32 = 3;
/// Tries to have several arrays of one commit open, before writers are kept out.
const ATTEMPTS: u32 = 16;

/// Rows of one commit of an array.
pub(crate) struct Found<B> {
    pub(crate) array: Arc<ArrayState>,
    /// Number of rows.
    pub(crate) rows: u64,
    pub(crate) target: B,
}

impl<B> Found<B> {
    /// The shape of the rows; empty for a scalar.
    pub(crate) fn shape(&self) -> Vec<u64> {
        self.array.shape_of(self.rows)
    }
}

/// How an attempt to read went.
enum Quiet {
    /// The rows are those of one commit.
    Done,
    /// The array has other rows now: the plan must be made again.
    Changed,
    /// Rows are being replaced.
    Busy,
}

/// What must not have changed for a plan to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Which of the rows that there were are live: the plan is not about those appended later.
    Logical,
    /// The data file alone: a view keeps the rows it began with.
    Physical,
}

impl StoreState {
    /// The array of this name, with its file open.
    ///
    /// # Errors
    /// `ArrayNotFound`, `Corrupted`, `Io`.
    pub(crate) fn source(&self, name: &str) -> NpkResult<Source> {
        loop {
            let array = self.array(name)?;
            if let Some(file) = self.data_file(&array)? {
                return Ok(Source { array, file: RowFile::Open(file) });
            }
        }
    }

    /// Copies rows of one commit: those that `choose` picks, into memory that `allocate` returns for their
    /// number. Both are called with the array's state, again when it changes while it is read.
    ///
    /// # Errors
    /// Those of [`StoreState::source`], of [`Plan::of`], of `choose` and of `allocate`.
    pub(crate) fn read<'s, B: Target>(
        &self,
        name: &str,
        mut choose: impl FnMut(&ArrayState) -> NpkResult<Selection<'s>>,
        mut allocate: impl FnMut(&ArrayState, u64) -> NpkResult<B>,
    ) -> NpkResult<Found<B>> {
        loop {
            let source = self.source(name)?;
            source.file.confirm(source.array.bytes())?;
            let plan = Plan::of(choose(&source.array)?, &source.array)?;
            let mut target = allocate(&source.array, plan.count())?;
            match self.read_quietly(&source, &plan, target.bytes())? {
                Quiet::Done => return Ok(Found { array: source.array, rows: plan.count(), target }),
                Quiet::Changed => {}
                Quiet::Busy => {
                    let plans = |array: &ArrayState| Plan::of(choose(array)?, array);
                    if let Some(found) = self.read_growing(source, plan, target, plans, &mut allocate)? {
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// Fills `dst` with the rows of a plan that was made for the array's current state, unless writers are at
    /// work.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    fn read_quietly(
        &self,
        source: &Source,
        plan: &Plan<'_>,
        dst: &mut [MaybeUninit<u8>],
    ) -> NpkResult<Quiet> {
        if dst.is_empty() {
            return Ok(Quiet::Done);
        }
        if !self.control.is_shared() {
            return Ok(Quiet::Busy);
        }
        let id = source.array.id;
        for _ in 0..TRIES {
            let before = self.control.sequence(id);
            // From the look at the word on no row changes, if it is the same at the end; and the rows that
            // the plan is about must be those of a time in between.
            self.refresh()?;
            if !self.is_current(&source.array) {
                return Ok(Quiet::Changed);
            }
            if before % 2 == 1 {
                std::hint::spin_loop();
                continue;
            }
            copy(source, plan, dst)?;
            if self.control.sequence_after_reads(id) == before {
                return Ok(Quiet::Done);
            }
        }
        Ok(Quiet::Busy)
    }

    fn is_current(&self, array: &Arc<ArrayState>) -> bool {
        self.with_catalog(|catalog| catalog.get(&array.name).is_some_and(|now| Arc::ptr_eq(now, array)))
    }

    /// The result of `read` when no replace of the array came in between; `None` after a few tries.
    pub(crate) fn undisturbed<R>(&self, id: u64, mut read: impl FnMut() -> R) -> Option<R> {
        if !self.control.is_shared() {
            return None;
        }
        for _ in 0..TRIES {
            let before = self.control.sequence(id);
            if before % 2 == 1 {
                std::hint::spin_loop();
                continue;
            }
            let result = read();
            if self.control.sequence_after_reads(id) == before {
                return Some(result);
            }
        }
        None
    }
}

impl StoreState {
    /// A source for a view, whose mapping can be read without looking at the log.
    ///
    /// # Errors
    /// Those of [`StoreState::source`].
    pub(crate) fn view_source(&self, name: &str) -> NpkResult<Held> {
        loop {
            if let Some(source) = self.known_view_source(&self.array(name)?)? {
                return Ok(source);
            }
        }
    }

    /// As [`StoreState::view_source`], for the arrays that `wanted` picks by their names, all of one commit. Beside
    /// writers that drop arrays all the time it waits for them once, at most for `timeout`.
    ///
    /// # Errors
    /// `Locked`, `Corrupted`, `Io`.
    pub(crate) fn view_sources(
        &self,
        timeout: Option<Duration>,
        wanted: impl Fn(&str) -> bool,
    ) -> NpkResult<Vec<Held>> {
        for _ in 0..ATTEMPTS {
            if let Some(sources) = self.try_view_sources(&wanted)? {
                return Ok(sources);
            }
        }
        let _guard = self.lock.as_ref().map(|lock| lock.acquire(&*self.folder, timeout)).transpose()?;
        loop {
            if let Some(sources) = self.try_view_sources(&wanted)? {
                return Ok(sources);
            }
        }
    }

    fn try_view_sources(&self, wanted: impl Fn(&str) -> bool) -> NpkResult<Option<Vec<Held>>> {
        self.refresh()?;
        let arrays: Vec<_> = self.with_catalog(|catalog| {
            catalog.arrays().into_iter().filter(|array| wanted(&array.name)).cloned().collect()
        });
        arrays.iter().map(|array| self.known_view_source(array)).collect()
    }

    /// A source for a view of an array; `None` when a later commit has taken its file out of use.
    fn known_view_source(&self, array: &Arc<ArrayState>) -> NpkResult<Option<Held>> {
        let Some(file) = self.data_file(array)? else { return Ok(None) };
        let array = Arc::clone(array);
        if self.writable || (self.control.is_shared() && self.control.sequence(array.id).is_multiple_of(2)) {
            return Held::new(self, array, file).map(Some);
        }
        // Nobody here may finish a crashed writer's replace: overlay it on a private copy.
        let overlaid = self.overlaid_file(&array)?;
        overlaid.map(|file| Held::new(self, array, file)).transpose()
    }

    /// As [`StoreState::read`] for a view, which keeps its rows when the array gets other ones.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_view(
        &self,
        held: &Held,
        plan: &Plan<'_>,
        dst: &mut [MaybeUninit<u8>],
    ) -> NpkResult<()> {
        if dst.is_empty() {
            return Ok(());
        }
        let source = &*held.source(self, dst.len());
        if let Some(copied) = self.undisturbed(source.array.id, || copy(source, plan, dst)) {
            return copied;
        }
        while !self.read_with_overlay(source, plan, dst)? {
            let current = self.with_catalog(|catalog| catalog.by_id(source.array.id).cloned());
            if current.is_none_or(|now| now.file() != source.array.file()) {
                // A file out of use has no replace under way: its writer finished before retiring it.
                return copy(source, plan, dst);
            }
        }
        Ok(())
    }
}

/// A buffer that can be filled with bytes.
pub(crate) trait Target {
    /// The bytes to fill.
    fn bytes(&mut self) -> &mut [MaybeUninit<u8>];
}

/// An error for a scalar, which has no rows.
pub(crate) fn require_rows(array: &ArrayState) -> NpkResult<()> {
    if array.shape.is_empty() {
        return Err(NpkError::InvalidShape {
            array: array.name.to_string(),
            reason: "a scalar has no rows",
            expected: "at least one dimension".into(),
            found: Vec::new(),
        });
    }
    Ok(())
}

/// Chooses these rows of an array that has rows.
pub(crate) fn rows_only<'s>(rows: Selection<'s>) -> impl Fn(&ArrayState) -> NpkResult<Selection<'s>> {
    move |array| require_rows(array).map(|()| rows)
}
