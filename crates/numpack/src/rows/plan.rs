//! A selection resolved against one state of an array: which live rows, and where they lie in the data file.
//!
//! Nothing is listed but the row numbers that a caller gave. The rows of a slice and of a mask are worked out
//! when they are wanted, a part at a time, and deleted rows are stepped over by words of the deletion bitmap.

use std::ops::Range;
use std::sync::Arc;

use crate::log::catalog::ArrayState;
use crate::rows::deleted::DeletedRows;
use crate::rows::mask;
use crate::rows::run::{Run, push};
use crate::rows::selection::Selection;
use crate::rows::steps::Steps;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// Single rows that are found at once.
const BLOCK: usize = 1024;
/// Rows of a run from which on it is handed on as a run: shorter ones are found faster as single rows.
const SHORT_RUN: u64 = 4;

/// Live rows of an array, in the order that a selection names them.
///
/// Parts of a plan are named by *places*: a place is a row, or a flag of a mask.
#[derive(Clone, Debug)]
pub(crate) struct Plan<'a> {
    picks: Picks<'a>,
    deleted: Arc<DeletedRows>,
    count: u64,
}

/// Logical rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Picks<'a> {
    Steps(Steps),
    Mask(&'a [bool]),
    List(Vec<u64>),
}

/// Physical rows that come one after the other in a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'b> {
    /// Neighbours.
    Run(Run),
    /// Single rows, neighbours or not.
    Rows(&'b [u64]),
}

impl<'a> Plan<'a> {
    /// The rows that a selection names in an array. A scalar is one row.
    ///
    /// # Errors
    /// `IndexOutOfBounds` for the first row number that is out of range; `MaskMismatch` for a mask of another
    /// length; `InvalidArgument` for a step of 0; `OutOfMemory`.
    pub(crate) fn of(selection: Selection<'a>, array: &ArrayState) -> NpkResult<Plan<'a>> {
        Plan::new(selection, array.rows(), Arc::clone(&array.deleted))
    }

    /// As [`Plan::of`], for so many live rows beside the deleted ones.
    ///
    /// # Errors
    /// As for [`Plan::of`].
    pub(crate) fn new(selection: Selection<'a>, rows: u64, deleted: Arc<DeletedRows>) -> NpkResult<Plan<'a>> {
        let (picks, count) = match selection {
            Selection::All => (Picks::Steps(Steps::of_range(0..rows)), rows),
            Selection::Slice { start, stop, step } => {
                let steps = Steps::of_slice(start, stop, step, rows)?;
                (Picks::Steps(steps), steps.count())
            }
            Selection::Mask(mask) if mask.len() as u64 != rows => {
                return Err(NpkError::MaskMismatch { rows, flags: mask.len() as u64 });
            }
            Selection::Mask(mask) => (Picks::Mask(mask), mask::count(mask)),
            Selection::List(indexes) => (Picks::List(logical_rows(indexes, rows)?), indexes.len() as u64),
        };
        Ok(Plan { picks, deleted, count })
    }

    /// Logical rows of an array that are known to be there, none if the range is reversed.
    pub(crate) fn of_range(rows: Range<u64>, array: &ArrayState) -> Plan<'a> {
        let steps = Steps::of_range(rows);
        Plan { picks: Picks::Steps(steps), deleted: Arc::clone(&array.deleted), count: steps.count() }
    }

    /// These logical rows, which are known to be there.
    pub(crate) fn of_rows(rows: Vec<u64>, array: &ArrayState) -> Plan<'a> {
        let count = rows.len() as u64;
        Plan { picks: Picks::List(rows), deleted: Arc::clone(&array.deleted), count }
    }

    /// The logical rows, and which physical rows do not count.
    pub(crate) fn parts(&self) -> (&Picks<'a>, &DeletedRows) {
        (&self.picks, &self.deleted)
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Number of places.
    pub(crate) fn places(&self) -> u64 {
        match &self.picks {
            Picks::Mask(mask) => mask.len() as u64,
            _ => self.count,
        }
    }

    /// Number of rows at some places.
    pub(crate) fn count_at(&self, places: Range<u64>) -> u64 {
        match &self.picks {
            Picks::Mask(mask) => mask::count(part(mask, &places)),
            _ => places.end - places.start,
        }
    }

    /// Whether some row may come more than once.
    pub(crate) fn may_repeat(&self) -> bool {
        matches!(self.picks, Picks::List(_))
    }

    /// The logical rows, when they are neighbours in increasing order as of a slice.
    pub(crate) fn range(&self) -> Option<Range<u64>> {
        match &self.picks {
            Picks::Steps(steps) => steps.range(),
            _ => None,
        }
    }

    /// The physical rows, when they are one run.
    pub(crate) fn run(&self) -> Option<Run> {
        let mut runs = live_runs(&self.deleted, self.range()?);
        runs.next().filter(|run| run.len == self.count)
    }

    /// Whether both name the same logical rows in the same order.
    pub(crate) fn names_as(&self, other: &Plan<'_>) -> bool {
        self.picks == other.picks
    }

    /// The same rows in increasing order, each once.
    pub(crate) fn into_set(mut self) -> Plan<'a> {
        match &mut self.picks {
            Picks::Steps(steps) => *steps = steps.ascending(),
            Picks::Mask(_) => {}
            Picks::List(rows) => {
                rows.sort_unstable();
                rows.dedup();
                self.count = rows.len() as u64;
            }
        }
        self
    }

    /// Appends the logical rows at some places.
    pub(crate) fn list(&self, places: Range<u64>, logical: &mut Vec<u64>) {
        match &self.picks {
            Picks::Steps(steps) => logical.extend(places.map(|place| steps.row(place))),
            Picks::Mask(mask) => {
                logical.extend(mask::numbers(part(mask, &places)).map(|place| places.start + place));
            }
            Picks::List(rows) => logical.extend_from_slice(part(rows, &places)),
        }
    }

    /// All logical rows.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn numbers(&self) -> NpkResult<Vec<u64>> {
        let mut rows = Vec::new();
        reserve(&mut rows, usize::try_from(self.count).unwrap_or(usize::MAX))?;
        self.list(0..self.places(), &mut rows);
        Ok(rows)
    }

    /// Appends the physical rows of logical rows of a plan that was made a set.
    pub(crate) fn locate(&self, logical: &[u64], physical: &mut Vec<u64>) {
        let (Some(&first), Some(&last)) = (logical.first(), logical.last()) else { return };
        if !self.deleted.is_empty() && last - first + 1 == logical.len() as u64 {
            let runs = live_runs(&self.deleted, first..last + 1);
            physical.extend(runs.flat_map(|run| run.start..run.start + run.len));
        } else {
            let from = physical.len();
            physical.extend_from_slice(logical);
            self.deleted.select_live_many(&mut physical[from..]);
        }
    }

    /// Calls `visit` with the physical rows at some places, in order.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn each_piece(
        &self,
        places: Range<u64>,
        mut visit: impl FnMut(Piece<'_>) -> NpkResult<()>,
    ) -> NpkResult<()> {
        match &self.picks {
            Picks::Steps(steps) => match steps.range() {
                Some(rows) => self.live(rows.start + places.start..rows.start + places.end, &mut visit),
                None => self.blocks(places.map(|place| steps.row(place)), &mut visit),
            },
            Picks::Mask(mask) => {
                let (flags, start) = (part(mask, &places), places.start);
                if mask::count(flags) < SHORT_RUN * mask::count_runs(flags) {
                    return self.blocks(mask::numbers(flags).map(|place| start + place), &mut visit);
                }
                mask::each_run(flags, |run| self.live(start + run.start..start + run.end, &mut visit))
            }
            Picks::List(rows) if self.deleted.is_empty() => visit(Piece::Rows(part(rows, &places))),
            Picks::List(rows) => self.blocks(part(rows, &places).iter().copied(), &mut visit),
        }
    }

    /// The physical rows as runs of neighbours, in order: the form in which the log has them.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn to_runs(&self) -> NpkResult<Vec<Run>> {
        let mut runs = Vec::new();
        self.each_piece(0..self.places(), |piece| match piece {
            Piece::Run(run) => push(&mut runs, run),
            Piece::Rows(rows) => rows.iter().try_for_each(|&start| push(&mut runs, Run { start, len: 1 })),
        })?;
        Ok(runs)
    }

    /// Hands on a range of logical rows.
    fn live(&self, rows: Range<u64>, visit: &mut impl FnMut(Piece<'_>) -> NpkResult<()>) -> NpkResult<()> {
        live_runs(&self.deleted, rows).try_for_each(|run| visit(Piece::Run(run)))
    }

    /// Hands on logical rows, a block at a time.
    fn blocks(
        &self,
        mut rows: impl Iterator<Item = u64>,
        visit: &mut impl FnMut(Piece<'_>) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let mut block = Vec::new();
        loop {
            block.clear();
            block.extend(rows.by_ref().take(BLOCK));
            if block.is_empty() {
                return Ok(());
            }
            self.deleted.select_live_many(&mut block);
            visit(Piece::Rows(&block))?;
        }
    }
}

impl Selection<'_> {
    /// The numbers of the rows that this names among the rows `0..rows`, in its order: for programs that apply a
    /// selection to data of their own.
    ///
    /// # Errors
    /// `IndexOutOfBounds`; `MaskMismatch` for a mask of another length; `InvalidArgument` for a step of 0;
    /// `OutOfMemory`.
    pub fn numbers(self, rows: u64) -> NpkResult<Vec<u64>> {
        Plan::new(self, rows, Arc::default())?.numbers()
    }
}

/// Physical runs of a range of logical rows, in order.
pub(crate) fn live_runs(deleted: &DeletedRows, rows: Range<u64>) -> impl Iterator<Item = Run> + '_ {
    let physical = if deleted.is_empty() || rows.is_empty() {
        rows
    } else {
        deleted.select_live(rows.start)..deleted.select_live(rows.end - 1) + 1
    };
    deleted.live_runs(physical).map(|(start, end)| Run { start, len: end - start })
}

/// The logical rows that indexes mean: negative ones count from the end.
///
/// # Errors
/// `IndexOutOfBounds` for the first index outside `-rows..rows`; `OutOfMemory`.
fn logical_rows(indexes: &[i64], rows: u64) -> NpkResult<Vec<u64>> {
    let mut logical = Vec::new();
    reserve(&mut logical, indexes.len())?;
    logical.extend(indexes.iter().map(|&index| logical_row(index, rows)));
    match logical.iter().position(|&row| row >= rows) {
        Some(wrong) => Err(NpkError::IndexOutOfBounds { index: indexes[wrong], rows }),
        None => Ok(logical),
    }
}

/// The row that an index means; one that is out of range gives a number no smaller than `rows`.
fn logical_row(index: i64, rows: u64) -> u64 {
    if index < 0 { rows.checked_sub(index.unsigned_abs()).unwrap_or(u64::MAX) } else { index as u64 }
}

fn part<'b, T>(all: &'b [T], places: &Range<u64>) -> &'b [T] {
    &all[places.start as usize..places.end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Python's `range(*slice(start, stop, step).indices(rows))`, by stepping through it.
    fn plain_slice(start: Option<i64>, stop: Option<i64>, step: i64, rows: i64) -> Vec<i64> {
        let inside = |end: i64, low, high| if end < 0 { (end + rows).max(low) } else { end.min(high) };
        let (low, high) = if step > 0 { (0, rows) } else { (-1, rows - 1) };
        let mut row = start.map_or(if step > 0 { low } else { high }, |end| inside(end, low, high));
        let end = stop.map_or(if step > 0 { high } else { low }, |end| inside(end, low, high));
        let mut found = Vec::new();
        while (step > 0 && row < end) || (step < 0 && row > end) {
            found.push(row);
            row += step;
        }
        found
    }

    /// The oracle: a plan names these live rows, given as the list of physical ones.
    fn assert_names(plan: &Plan<'_>, wanted: &[u64], live: &[u64], size: u64) {
        assert_eq!(plan.count(), wanted.len() as u64);
        assert_eq!(plan.numbers().unwrap(), wanted);
        let physical: Vec<u64> = wanted.iter().map(|&row| live[row as usize]).collect();
        let (mut found, mut pieces) = (Vec::new(), 0);
        let mut start = 0;
        while start < plan.places() {
            let places = start..plan.places().min(start + size);
            let before = found.len();
            plan.each_piece(places.clone(), |piece| {
                pieces += 1;
                match piece {
                    Piece::Run(run) => found.extend(run.start..run.start + run.len),
                    Piece::Rows(rows) => found.extend_from_slice(rows),
                }
                Ok(())
            })
            .unwrap();
            assert_eq!((found.len() - before) as u64, plan.count_at(places.clone()));
            start = places.end;
        }
        assert_eq!(found, physical);
        let runs = plan.to_runs().unwrap();
        assert!(runs.windows(2).all(|pair| pair[0].start + pair[0].len != pair[1].start), "{runs:?}");
        assert_eq!(runs.iter().flat_map(|run| run.start..run.start + run.len).collect::<Vec<_>>(), physical);
        if let Some(run) = plan.run() {
            assert_eq!(runs, [run]);
        }
        if let Some(range) = plan.range() {
            assert_eq!(range.collect::<Vec<_>>(), wanted);
        }
    }

    /// As [`assert_names`], for the same rows as a set, and what a search asks of it.
    fn assert_set(plan: Plan<'_>, wanted: &[u64], live: &[u64], size: u64) {
        let (mut set, plan) = (wanted.to_vec(), plan.into_set());
        set.sort_unstable();
        set.dedup();
        assert_names(&plan, &set, live, size);
        let (mut logical, mut physical) = (Vec::new(), Vec::new());
        for start in (0..plan.places()).step_by(size as usize) {
            let mut part = Vec::new();
            plan.list(start..plan.places().min(start + size), &mut part);
            plan.locate(&part, &mut physical);
            logical.extend(part);
        }
        assert_eq!(logical, set);
        assert_eq!(physical, set.iter().map(|&row| live[row as usize]).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_selection_names_the_rows_of_the_oracle(
            total in prop_oneof![2 => 0..3_u64, 12 => 0..300_u64, 1 => 2500..2600_u64],
            gaps in proptest::collection::vec((0..300_u64, prop_oneof![1..3_u64, 0..60_u64]), 0..8),
            ends in (proptest::option::of(-320..320_i64), proptest::option::of(-320..320_i64)),
            step in prop_oneof![3 => Just(1_i64), 1 => Just(-1), 2 => -7..0_i64, 2 => 1..8_i64],
            (density, flip, size) in (1..9_u64, any::<u64>(), 1..90_u64),
            picks in proptest::collection::vec(any::<u64>(), 0..40),
        ) {
            let mut deleted = DeletedRows::default();
            for (start, len) in gaps {
                deleted.insert_run(start.min(total), (start + len).min(total));
            }
            let live: Vec<u64> = (0..total).filter(|&row| !deleted.contains(row)).collect();
            let (rows, deleted) = (live.len() as u64, Arc::new(deleted));
            let mask: Vec<bool> = (0..rows).map(|row| flip >> (row / density % 64) & 1 == 1).collect();
            let list: Vec<i64> =
                picks.iter().filter_map(|pick| pick.checked_rem(2 * rows)).map(|row| row as i64 - rows as i64).collect();
            let slice = plain_slice(ends.0, ends.1, step, rows as i64);
            let cases: [(Selection<'_>, Vec<u64>); 4] = [
                (Selection::All, (0..rows).collect()),
                (Selection::Mask(&mask), (0..rows).filter(|&row| mask[row as usize]).collect()),
                (Selection::List(&list), list.iter().map(|row| row.rem_euclid(rows.max(1) as i64) as u64).collect()),
                (
                    Selection::Slice { start: ends.0, stop: ends.1, step: Some(step) },
                    slice.iter().map(|&row| row as u64).collect(),
                ),
            ];
            for (selection, wanted) in cases {
                let plan = Plan::new(selection, rows, Arc::clone(&deleted)).unwrap();
                assert_names(&plan, &wanted, &live, size);
                assert_set(plan, &wanted, &live, size);
                prop_assert_eq!(selection.numbers(rows).unwrap(), wanted);
            }
        }
    }

    #[test]
    fn the_extremes_of_slices_are_pythons() {
        let least = i64::MIN;
        let rows = |start, stop, step| Selection::Slice { start, stop, step }.numbers(5).unwrap();
        assert_eq!(rows(Some(least), Some(i64::MAX), None), [0, 1, 2, 3, 4]);
        assert_eq!(rows(Some(i64::MAX), Some(least), Some(-1)), [4, 3, 2, 1, 0]);
        assert_eq!(rows(None, None, Some(least)), [4]);
        assert_eq!(rows(None, None, Some(i64::MAX)), [0]);
        assert_eq!(rows(Some(3), Some(-3), None), [0_u64; 0]);
        assert_eq!(rows(Some(-1), None, Some(least)), [4]);
    }

    #[test]
    fn what_names_no_rows_is_refused() {
        let refused = |selection: Selection<'_>| selection.numbers(3).unwrap_err().to_string();
        assert_eq!(refused(Selection::List(&[0, 3, -4])), "index 3 is out of bounds for 3 rows");
        assert_eq!(refused(Selection::List(&[-4])), "index -4 is out of bounds for 3 rows");
        assert_eq!(
            refused(Selection::List(&[i64::MIN])),
            format!("index {} is out of bounds for 3 rows", i64::MIN)
        );
        let mask = refused(Selection::Mask(&[true; 4]));
        assert_eq!(mask, "boolean index did not match: the array has 3 rows, the mask 4");
        let step = refused(Selection::Slice { start: None, stop: None, step: Some(0) });
        assert_eq!(step, "invalid rows: a slice of step 0: rows are at least one apart");
        assert!(matches!(Selection::All.numbers(u64::MAX >> 4), Err(NpkError::OutOfMemory { .. })));
    }

    #[test]
    fn many_rows_of_a_slice_are_no_list() {
        let plan = Plan::new(Selection::All, 1 << 47, Arc::default()).unwrap();
        assert_eq!(plan.to_runs().unwrap(), [Run { start: 0, len: 1 << 47 }]);
        assert_eq!(plan.run(), Some(Run { start: 0, len: 1 << 47 }));
    }
}
