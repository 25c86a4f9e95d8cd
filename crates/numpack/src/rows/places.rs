//! The way back from a plan: where the rows of a data file land among the rows that a plan names.
//!
//! What is made ahead is an index of the rows that a caller listed, or a count for each block of a mask; the rows of
//! a slice are worked out. A run of physical rows then costs as much as the rows of the plan in it.

use std::ops::Range;

use crate::rows::deleted::DeletedRows;
use crate::rows::mask;
use crate::rows::plan::{Picks, Plan, live_runs};
use crate::rows::run::Run;
use crate::types::error::NpkResult;
use crate::types::room::reserve;

/// Flags of a mask that are counted at once.
const BLOCK: usize = 4096;

/// Where physical rows land.
pub(crate) struct Places<'p> {
    picks: &'p Picks<'p>,
    deleted: &'p DeletedRows,
    /// Of a list: its places, by increasing rows. Of a mask: the flags set before each block.
    index: Vec<u64>,
    /// Physical rows outside of which the plan has none.
    bounds: Range<u64>,
}

/// Neighbouring physical rows that land at neighbouring places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Landing {
    pub(crate) row: u64,
    pub(crate) place: u64,
    pub(crate) len: u64,
}

impl<'p> Places<'p> {
    /// The places of a plan.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn of(plan: &'p Plan<'_>) -> NpkResult<Places<'p>> {
        let (picks, deleted) = plan.parts();
        let mut index = Vec::new();
        let logical = match picks {
            Picks::Steps(steps) => steps.span(),
            Picks::Mask(mask) => {
                reserve(&mut index, mask.len() / BLOCK + 1)?;
                let mut before = 0;
                for block in mask.chunks(BLOCK) {
                    index.push(before);
                    before += mask::count(block);
                }
                0..mask.len() as u64
            }
            Picks::List(rows) => {
                reserve(&mut index, rows.len())?;
                index.extend(0..rows.len() as u64);
                if !rows.is_sorted() {
                    index.sort_unstable_by_key(|&place| rows[place as usize]);
                }
                let end = |place: Option<&u64>| place.map(|&place| rows[place as usize]);
                end(index.first()).unwrap_or(0)..end(index.last()).map_or(0, |last| last + 1)
            }
        };
        let bounds = if logical.is_empty() {
            0..0
        } else {
            deleted.select_live(logical.start)..deleted.select_live(logical.end - 1) + 1
        };
        Ok(Places { picks, deleted, index, bounds })
    }

    /// Physical rows outside of which the plan has none.
    pub(crate) fn bounds(&self) -> &Range<u64> {
        &self.bounds
    }

    /// Calls `visit` with what of a physical run the plan names, by increasing rows.
    ///
    /// # Errors
    /// Those of `visit`.
    pub(crate) fn each(&self, run: Run, mut visit: impl FnMut(Landing) -> NpkResult<()>) -> NpkResult<()> {
        let start = run.start.max(self.bounds.start);
        let end = (run.start + run.len).min(self.bounds.end);
        if start >= end {
            return Ok(());
        }
        let logical = self.deleted.live_before(start)..self.deleted.live_before(end);
        let mut one = |logical: u64, place: u64| {
            visit(Landing { row: self.deleted.select_live(logical), place, len: 1 })
        };
        match self.picks {
            Picks::Steps(steps) => {
                let places = steps.places_among(&logical);
                if steps.range().is_none() {
                    let backwards = steps.row(places.start) > steps.row(places.end.max(places.start + 1) - 1);
                    let mut each = |place| one(steps.row(place), place);
                    return if backwards {
                        places.rev().try_for_each(each)
                    } else {
                        places.into_iter().try_for_each(&mut each)
                    };
                }
                let mut place = places.start;
                live_runs(self.deleted, steps.row(places.start)..steps.row(places.end)).try_for_each(|run| {
                    let landing = Landing { row: run.start, place, len: run.len };
                    place += run.len;
                    visit(landing)
                })
            }
            Picks::Mask(mask) => {
                let (start, end) = (logical.start as usize, logical.end as usize);
                let block = start / BLOCK;
                let place = self.index[block] + mask::count(&mask[block * BLOCK..start]);
                let set = mask::numbers(&mask[start..end]).zip(place..);
                set.into_iter().try_for_each(|(flag, place)| one(logical.start + flag, place))
            }
            Picks::List(rows) => {
                let from = self.index.partition_point(|&place| rows[place as usize] < logical.start);
                let places = self.index[from..].iter().map(|&place| (rows[place as usize], place));
                places.take_while(|&(row, _)| row < logical.end).try_for_each(|(row, place)| one(row, place))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::rows::Selection;

    proptest! {
        #[test]
        fn rows_land_where_the_plan_has_them(
            total in 0..9_000_u64,
            gaps in proptest::collection::vec((0..9_000_u64, 1..300_u64), 0..8),
            runs in proptest::collection::vec((0..9_500_u64, 1..6_000_u64), 1..6),
            flip in any::<u64>(),
            picks in proptest::collection::vec(any::<u64>(), 0..30),
            ends in (-9_000..9_000_i64, -9_000..9_000_i64),
            step in prop_oneof![-5..-1_i64, Just(-1), Just(1), 2..700_i64],
        ) {
            let mut deleted = DeletedRows::default();
            for (start, len) in gaps {
                deleted.insert_run(start.min(total), (start + len).min(total));
            }
            let live: Vec<u64> = (0..total).filter(|&row| !deleted.contains(row)).collect();
            let (rows, deleted) = (live.len() as u64, Arc::new(deleted));
            let mask: Vec<bool> = (0..rows).map(|row| flip >> (row % 61) & 1 == 1).collect();
            let list: Vec<i64> = picks.iter().filter_map(|pick| pick.checked_rem(rows)).map(|row| row as i64).collect();
            for selection in [
                Selection::All,
                Selection::Slice { start: Some(ends.0), stop: Some(ends.1), step: Some(step) },
                Selection::Mask(&mask),
                Selection::List(&list),
            ] {
                let plan = Plan::new(selection, rows, Arc::clone(&deleted)).unwrap();
                let wanted: Vec<u64> = plan.numbers().unwrap().into_iter().map(|row| live[row as usize]).collect();
                let places = Places::of(&plan).unwrap();
                for &(start, len) in &runs {
                    let mut found = Vec::new();
                    places.each(Run { start, len }, |Landing { row, place, len }| {
                        found.extend((row..row + len).zip(place..));
                        Ok(())
                    }).unwrap();
                    prop_assert!(found.is_sorted_by_key(|&(row, _)| row));
                    found.sort_unstable_by_key(|&(_, place)| place);
                    let plain: Vec<(u64, u64)> = wanted.iter().copied().zip(0..)
                        .filter(|(row, _)| (start..start + len).contains(row)).collect();
                    prop_assert_eq!(found, plain);
                }
            }
        }
    }
}
