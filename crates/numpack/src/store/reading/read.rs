//! Reading rows: plan, copy, make sure that the copy is of one commit.
//!
//! The usual path copies between two looks at the array's sequence word and takes no lock; which rows there
//! are is looked at in between as well, so that both are of one commit. A copy that a replace may have crossed
//! is made whole by laying the replace's redo bytes over it (`overlay.rs`), so a reader waits for nobody, not
//! even for a stopped writer.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::Mapping;
use crate::disk::data_file::DataFile;
use crate::log::catalog::ArrayState;
use crate::parallel::{self, PARALLEL_BYTES};
use crate::rows::plan::{Plan, check_count, live_runs, physical_rows};
use crate::rows::run::Run;
use crate::store::commit::state::StoreState;
use crate::types::error::{NpkError, NpkResult};

/// Looks at the sequence word before a reader turns to the log.
const TRIES: u32 = 3;
/// Tries to have several arrays of one commit open, before writers are kept out.
const ATTEMPTS: u32 = 16;
/// A gather of more bytes than this is spread over threads.
const GATHER_PART: usize = 256 << 10;
/// A copy is read in parts of this size.
const READ_PART: usize = 4 << 20;

/// An array as of one commit, with its open file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) array: Arc<ArrayState>,
    pub(crate) file: Arc<DataFile>,
}

/// How an attempt to read went.
enum Quiet {
    /// The rows are those of one commit.
    Done,
    /// The array has other rows now: the plan must be made anew.
    Changed,
    /// Rows are being replaced.
    Busy,
}

/// What must not have changed for a plan to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Which rows are live, and how many.
    Rows,
    /// Which of the rows that there were are live: the plan is not about those appended later.
    Logical,
    /// The data file alone: a view keeps the rows it began with.
    Physical,
}

/// How bytes come from a data file.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// System calls: bad media and outside truncation are errors.
    File(&'a DataFile),
    /// Loads from a mapping: many small pieces.
    Mapped(&'a Mapping),
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
                return Ok(Source { array, file });
            }
        }
    }

    /// Copies the logical rows `start..end` of one commit; calls `allocate` with the array to get the target.
    ///
    /// # Errors
    /// Those of [`StoreState::source`] and of `allocate`.
    pub(crate) fn read_range<B: Target>(
        &self,
        name: &str,
        mut plan: impl FnMut(&ArrayState) -> NpkResult<(Range<u64>, B)>,
    ) -> NpkResult<(Arc<ArrayState>, B)> {
        loop {
            let source = self.source(name)?;
            source.file.confirm(source.array.bytes())?;
            let (rows, mut target) = plan(&source.array)?;
            let runs = live_runs(&source.array, rows.start, rows.end);
            match self.read_quietly(&source, Plan::Runs(&runs), target.bytes())? {
                Quiet::Done => return Ok((source.array, target)),
                Quiet::Changed => {}
                Quiet::Busy => {
                    if let Some(found) = self.read_growing(source, rows, target, &mut plan)? {
                        return Ok(found);
                    }
                }
            }
        }
    }

    /// Copies single logical rows of one commit in the order given.
    ///
    /// # Errors
    /// `IndexOutOfBounds`, `InvalidShape` for a scalar, `RowsChanged` when the array has not `of` rows, and
    /// those of [`StoreState::source`] and `allocate`.
    pub(crate) fn read_rows<B: Target>(
        &self,
        name: &str,
        indexes: &[i64],
        of: Option<u64>,
        mut allocate: impl FnMut(&ArrayState, u64) -> NpkResult<B>,
    ) -> NpkResult<(Arc<ArrayState>, B)> {
        loop {
            let source = self.source(name)?;
            require_rows(&source.array)?;
            check_count(&source.array, of)?;
            source.file.confirm(source.array.bytes())?;
            let rows = physical_rows(&source.array, indexes)?;
            let mut target = allocate(&source.array, rows.len() as u64)?;
            let plan = Plan::Rows(&rows);
            let whole = match self.read_quietly(&source, plan, target.bytes())? {
                Quiet::Done => true,
                Quiet::Changed => false,
                Quiet::Busy => {
                    // What counts from the end is about the number of rows too.
                    let of_all = of.is_some() || indexes.iter().any(|&row| row < 0);
                    let scope = if of_all { Scope::Rows } else { Scope::Logical };
                    self.read_with_overlay(&source, plan, target.bytes(), scope)?
                }
            };
            if whole {
                return Ok((source.array, target));
            }
        }
    }

    /// Fills `dst` with the rows of a plan that was made for the array's current state, unless writers are at
    /// work.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    fn read_quietly(&self, source: &Source, plan: Plan<'_>, dst: &mut [MaybeUninit<u8>]) -> NpkResult<Quiet> {
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
    pub(crate) fn view_source(&self, name: &str) -> NpkResult<Source> {
        loop {
            if let Some(source) = self.known_view_source(&self.array(name)?)? {
                return Ok(source);
            }
        }
    }

    /// As [`StoreState::view_source`], for the arrays that `wanted` picks by their names, all of one commit.
    ///
    /// # Errors
    /// `Locked`, `Corrupted`, `Io`.
    pub(crate) fn view_sources(&self, wanted: impl Fn(&str) -> bool) -> NpkResult<Vec<Source>> {
        for _ in 0..ATTEMPTS {
            if let Some(sources) = self.try_view_sources(&wanted)? {
                return Ok(sources);
            }
        }
        // Writers that drop arrays all the time wait once.
        let _guard = self.lock.as_ref().map(|lock| lock.acquire(&*self.folder, None)).transpose()?;
        loop {
            if let Some(sources) = self.try_view_sources(&wanted)? {
                return Ok(sources);
            }
        }
    }

    fn try_view_sources(&self, wanted: impl Fn(&str) -> bool) -> NpkResult<Option<Vec<Source>>> {
        self.refresh()?;
        let arrays: Vec<_> = self.with_catalog(|catalog| {
            catalog.arrays().into_iter().filter(|array| wanted(&array.name)).cloned().collect()
        });
        arrays.iter().map(|array| self.known_view_source(array)).collect()
    }

    /// A source for a view of an array; `None` when a later commit has taken its file out of use.
    fn known_view_source(&self, array: &Arc<ArrayState>) -> NpkResult<Option<Source>> {
        let Some(file) = self.data_file(array)? else { return Ok(None) };
        let array = Arc::clone(array);
        if self.writable || (self.control.is_shared() && self.control.sequence(array.id).is_multiple_of(2)) {
            return Ok(Some(Source { array, file }));
        }
        // Nobody here may finish a dead writer's replace: lay it over a private copy.
        Ok(self.overlaid_file(&array)?.map(|file| Source { array, file }))
    }

    /// As [`StoreState::read`] for a view, which keeps its rows when the array gets other ones.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_view(
        &self,
        source: &Source,
        plan: Plan<'_>,
        dst: &mut [MaybeUninit<u8>],
    ) -> NpkResult<()> {
        if dst.is_empty() {
            return Ok(());
        }
        if let Some(copied) = self.undisturbed(source.array.id, || copy(source, plan, dst)) {
            return copied;
        }
        while !self.read_with_overlay(source, plan, dst, Scope::Physical)? {
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

/// Copies the rows of a plan, torn or not.
///
/// # Errors
/// `Corrupted`, `Io`.
pub(crate) fn copy(source: &Source, plan: Plan<'_>, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
    let row_bytes = source.array.row_bytes() as usize;
    if dst.is_empty() || row_bytes == 0 {
        return Ok(());
    }
    match plan {
        Plan::Rows(rows) => gather(&*source.file.mapping(source.array.bytes())?, rows, row_bytes, dst),
        // Long runs by system call; many short ones would cost a call each.
        Plan::Runs(runs) if dst.len() / runs.len().max(1) >= 1 << 16 => {
            copy_runs(Way::File(&source.file), runs, row_bytes as u64, dst)
        }
        Plan::Runs(runs) => {
            let mapping = source.file.mapping(source.array.bytes())?;
            copy_runs(Way::Mapped(&mapping), runs, row_bytes as u64, dst)
        }
    }
}

fn gather(mapping: &Mapping, rows: &[u64], row_bytes: usize, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
    if dst.len() < PARALLEL_BYTES {
        mapping.gather(row_bytes, rows, dst);
        return Ok(());
    }
    let part = (GATHER_PART / row_bytes).max(1);
    let parts = rows.chunks(part).zip(dst.chunks_mut(part * row_bytes)).collect();
    parallel::map(parts, |(rows, dst)| mapping.gather(row_bytes, rows, dst));
    Ok(())
}

fn copy_runs(way: Way<'_>, runs: &[Run], row_bytes: u64, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
    let parallel = dst.len() >= PARALLEL_BYTES;
    let mut pieces = Vec::new();
    let mut rest = dst;
    for run in runs {
        let (mut target, after) = rest.split_at_mut((run.len * row_bytes) as usize);
        rest = after;
        let mut at = run.start * row_bytes;
        while target.len() > READ_PART {
            let (piece, more) = target.split_at_mut(READ_PART);
            pieces.push((at, piece));
            at += READ_PART as u64;
            target = more;
        }
        pieces.push((at, target));
    }
    if !parallel {
        return pieces.into_iter().try_for_each(|(at, target)| way.read(at, target));
    }
    // Few enough groups that grouping costs nothing, enough that no thread waits long for another.
    let size = pieces.len().div_ceil(64).max(1);
    let mut groups = Vec::new();
    while !pieces.is_empty() {
        let after = pieces.split_off(size.min(pieces.len()));
        groups.push(std::mem::replace(&mut pieces, after));
    }
    parallel::map(groups, |group| group.into_iter().try_for_each(|(at, target)| way.read(at, target)))
        .into_iter()
        .collect()
}

impl Way<'_> {
    fn read(&self, at: u64, target: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
        match self {
            Way::File(file) => file.read_at(target, at),
            Way::Mapped(mapping) => {
                mapping.read(at, target);
                Ok(())
            }
        }
    }
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
