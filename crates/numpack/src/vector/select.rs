//! Which rows a search looks at: the live ones that a filter lets through, a tile at a time.
//!
//! Nothing is listed ahead but the row numbers that a caller gives: a mask is read where a tile needs it, and
//! deleted rows are stepped over by words of the deletion bitmap.

use std::ops::Range;

use crate::rows::deleted::DeletedRows;
use crate::types::error::{NpkError, NpkResult};

/// Rows that a search may return.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Filter<'a> {
    /// One flag for every row.
    Mask(&'a [bool]),
    /// Row numbers, in any order, any number of times; negative ones count from the end.
    Rows(&'a [i64]),
    /// A slice as Python means it: `None` for an end left out, negative numbers count from the end. A
    /// negative step names the same rows as its reverse.
    Slice {
        /// First row.
        start: Option<i64>,
        /// Row behind the last one.
        stop: Option<i64>,
        /// Distance of two rows; `None` is 1.
        step: Option<i64>,
    },
}

/// The rows of one search, by logical number.
#[derive(Clone, Debug)]
pub(crate) struct Selection<'a> {
    picks: Picks<'a>,
    deleted: &'a DeletedRows,
    count: u64,
}

#[derive(Clone, Debug)]
enum Picks<'a> {
    /// `count` rows from `start`, `step` apart.
    Steps {
        start: u64,
        step: u64,
    },
    /// Increasing, each once.
    Rows(Vec<u64>),
    Mask(&'a [bool]),
}

/// Some rows of a selection: their logical and their physical numbers.
#[derive(Debug, Default)]
pub(crate) struct Tile {
    pub(crate) logical: Vec<u64>,
    pub(crate) physical: Vec<u64>,
}

impl<'a> Selection<'a> {
    /// The rows of `rows` logical ones that the filter lets through.
    ///
    /// # Errors
    /// `InvalidShape` for a mask of another length, `IndexOutOfBounds` for a row that is not there,
    /// `InvalidArgument` for a step of 0.
    pub(crate) fn new(
        filter: Option<Filter<'a>>,
        rows: u64,
        deleted: &'a DeletedRows,
    ) -> NpkResult<Selection<'a>> {
        let (picks, count) = match filter {
            None => (Picks::Steps { start: 0, step: 1 }, rows),
            Some(Filter::Mask(mask)) => {
                check_mask(mask, rows)?;
                (Picks::Mask(mask), mask.iter().filter(|&&kept| kept).count() as u64)
            }
            Some(Filter::Rows(wanted)) => {
                let mut list =
                    wanted.iter().map(|&row| logical(row, rows)).collect::<NpkResult<Vec<u64>>>()?;
                list.sort_unstable();
                list.dedup();
                let count = list.len() as u64;
                (Picks::Rows(list), count)
            }
            Some(Filter::Slice { start, stop, step }) => steps(start, stop, step, rows)?,
        };
        Ok(Selection { picks, deleted, count })
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Tiles for `size` places each; a place is a row, or a flag of a mask.
    pub(crate) fn tiles(&self, size: usize) -> u64 {
        let places = match &self.picks {
            Picks::Mask(mask) => mask.len() as u64,
            _ => self.count,
        };
        places.div_ceil(size as u64)
    }

    /// Fills a tile.
    pub(crate) fn fill(&self, index: u64, size: usize, tile: &mut Tile) {
        tile.logical.clear();
        let start = index * size as u64;
        let end = start + size as u64;
        match &self.picks {
            Picks::Steps { start: first, step } => {
                tile.logical.extend((start..end.min(self.count)).map(|place| first + place * step));
            }
            Picks::Rows(rows) => tile.logical.extend_from_slice(part(rows, start, end)),
            Picks::Mask(mask) => {
                let kept = part(mask, start, end).iter().enumerate().filter(|&(_, &kept)| kept);
                tile.logical.extend(kept.map(|(place, _)| start + place as u64));
            }
        }
        self.place(tile);
    }

    /// Whether a logical row is among them.
    pub(crate) fn contains(&self, row: u64) -> bool {
        match &self.picks {
            Picks::Steps { start, step } => {
                row >= *start && (row - start).is_multiple_of(*step) && (row - start) / step < self.count
            }
            Picks::Rows(rows) => rows.binary_search(&row).is_ok(),
            Picks::Mask(mask) => mask.get(row as usize).copied().unwrap_or(false),
        }
    }

    /// Finds the physical rows of a tile.
    fn place(&self, tile: &mut Tile) {
        tile.physical.clear();
        if self.deleted.is_empty() {
            tile.physical.extend_from_slice(&tile.logical);
            return;
        }
        let (Some(&first), Some(&last)) = (tile.logical.first(), tile.logical.last()) else { return };
        if last - first + 1 == tile.logical.len() as u64 {
            let span =
                Range { start: self.deleted.select_live(first), end: self.deleted.select_live(last) + 1 };
            tile.physical.extend(self.deleted.live_runs(span).flat_map(|(start, end)| start..end));
        } else {
            tile.physical.extend_from_slice(&tile.logical);
            self.deleted.select_live_many(&mut tile.physical);
        }
    }
}

fn part<T>(all: &[T], start: u64, end: u64) -> &[T] {
    let len = all.len() as u64;
    &all[start.min(len) as usize..end.min(len) as usize]
}

fn check_mask(mask: &[bool], rows: u64) -> NpkResult<()> {
    if mask.len() as u64 == rows {
        return Ok(());
    }
    Err(NpkError::InvalidShape {
        array: "filter".into(),
        reason: "a mask has one flag for every row",
        expected: format!("({rows},)"),
        found: vec![mask.len() as u64],
    })
}

fn logical(row: i64, rows: u64) -> NpkResult<u64> {
    let found = if row < 0 { rows.checked_sub(row.unsigned_abs()) } else { Some(row as u64) };
    found.filter(|&found| found < rows).ok_or(NpkError::IndexOutOfBounds { index: row, rows })
}

/// The rows of a slice, in increasing order.
fn steps(
    start: Option<i64>,
    stop: Option<i64>,
    step: Option<i64>,
    rows: u64,
) -> NpkResult<(Picks<'static>, u64)> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(NpkError::InvalidArgument {
            argument: "filter",
            value: "a slice of step 0".into(),
            reason: "rows are at least one apart",
        });
    }
    let rows = i128::from(rows);
    let (low, high) = if step > 0 { (0, rows) } else { (-1, rows - 1) };
    let bound = |end: Option<i64>, missing: i128| match end.map(i128::from) {
        None => missing,
        Some(end) if end < 0 => (end + rows).max(low),
        Some(end) => end.min(high),
    };
    let (first, last) = if step > 0 { (low, high) } else { (high, low) };
    let (first, last) = (bound(start, first), bound(stop, last));
    let step = i128::from(step);
    let distance = if step > 0 { last - first } else { first - last };
    let count = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
    let lowest = if step > 0 { first } else { first + (count - 1).max(0) * step };
    let picks = Picks::Steps { start: lowest.max(0) as u64, step: step.unsigned_abs() as u64 };
    Ok((picks, count as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_of(selection: &Selection<'_>, size: usize) -> Vec<(u64, u64)> {
        let (mut tile, mut all) = (Tile::default(), Vec::new());
        for index in 0..selection.tiles(size) {
            selection.fill(index, size, &mut tile);
            all.extend(tile.logical.iter().copied().zip(tile.physical.iter().copied()));
        }
        all
    }

    /// The rows of a slice, by stepping through it.
    fn plain_slice(start: Option<i64>, stop: Option<i64>, step: i64, rows: i64) -> Vec<u64> {
        let inside = |end: i64, low, high| if end < 0 { (end + rows).max(low) } else { end.min(high) };
        let mut found = Vec::new();
        let (low, high) = if step > 0 { (0, rows) } else { (-1, rows - 1) };
        let mut row = start.map_or(if step > 0 { low } else { high }, |end| inside(end, low, high));
        let end = stop.map_or(if step > 0 { high } else { low }, |end| inside(end, low, high));
        while (step > 0 && row < end) || (step < 0 && row > end) {
            found.push(row as u64);
            row += step;
        }
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn every_filter_gives_its_rows(
            total in 0..300_u64,
            gaps in proptest::collection::vec((0..300_u64, 0..40_u64), 0..6),
            size in 1..70_usize,
            ends in (proptest::option::of(-320..320_i64), proptest::option::of(-320..320_i64)),
            step in prop_oneof![-7..0_i64, 1..8_i64],
            seed in any::<u64>(),
        ) {
            let mut deleted = DeletedRows::default();
            for (start, len) in gaps {
                deleted.insert_run(start.min(total), (start + len).min(total));
            }
            let live: Vec<u64> = (0..total).filter(|&row| !deleted.contains(row)).collect();
            let rows = live.len() as u64;
            let mask: Vec<bool> = (0..rows).map(|row| (seed >> (row % 64)) & 1 == 1).collect();
            let list: Vec<i64> = (0..rows as i64).rev().filter(|row| mask[*row as usize])
                .map(|row| if row % 3 == 0 { row - rows as i64 } else { row }).collect();
            let slice = plain_slice(ends.0, ends.1, step, rows as i64);
            let masked: Vec<u64> = (0..rows).filter(|&row| mask[row as usize]).collect();
            let cases = [
                (None, (0..rows).collect::<Vec<u64>>()),
                (Some(Filter::Mask(&mask)), masked.clone()),
                (Some(Filter::Rows(&list)), masked),
                (Some(Filter::Slice { start: ends.0, stop: ends.1, step: Some(step) }), slice),
            ];
            for (filter, wanted) in cases {
                let selection = Selection::new(filter, rows, &deleted).unwrap();
                let pairs: Vec<(u64, u64)> = wanted.iter().map(|&row| (row, live[row as usize])).collect();
                prop_assert_eq!(selection.count(), wanted.len() as u64);
                prop_assert_eq!(rows_of(&selection, size), pairs);
                for row in 0..rows + 2 {
                    prop_assert_eq!(selection.contains(row), wanted.contains(&row));
                }
            }
        }
    }
}
