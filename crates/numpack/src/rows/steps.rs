//! Rows evenly apart: what a slice means among a number of rows.

use std::ops::Range;

use crate::types::error::{NpkError, NpkResult};

/// `count` rows: `first`, `first + step` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    first: u64,
    /// Not 0; 1 when there are fewer than two rows.
    step: i64,
    count: u64,
}

impl Steps {
    /// The rows of a range, none if it is reversed.
    pub(crate) fn of_range(rows: Range<u64>) -> Steps {
        Steps { first: rows.start, step: 1, count: rows.end.saturating_sub(rows.start) }
    }

    /// The rows of Python's `slice(start, stop, step)` among `rows` rows.
    ///
    /// # Errors
    /// `InvalidArgument` for a step of 0.
    pub(crate) fn of_slice(
        start: Option<i64>,
        stop: Option<i64>,
        step: Option<i64>,
        rows: u64,
    ) -> NpkResult<Steps> {
        let step = i128::from(step.unwrap_or(1));
        if step == 0 {
            return Err(NpkError::InvalidArgument {
                argument: "rows",
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
        let distance = if step > 0 { last - first } else { first - last };
        let count = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
        // Fewer than two rows are at no distance; more are so by less than there are rows.
        let step = if count < 2 { 1 } else { step as i64 };
        Ok(Steps { first: first.max(0) as u64, step, count: count as u64 })
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The row at a place below `count`.
    pub(crate) fn row(&self, place: u64) -> u64 {
        self.first.wrapping_add(place.wrapping_mul(self.step as u64))
    }

    /// The rows as a range, when they are neighbours in increasing order.
    pub(crate) fn range(&self) -> Option<Range<u64>> {
        (self.step == 1).then(|| self.first..self.first + self.count)
    }

    /// From the lowest row to behind the highest.
    pub(crate) fn span(&self) -> Range<u64> {
        match self.count {
            0 => 0..0,
            count if self.step > 0 => self.first..self.row(count - 1) + 1,
            count => self.row(count - 1)..self.first + 1,
        }
    }

    /// The places of the rows that are in a range.
    pub(crate) fn places_among(&self, rows: &Range<u64>) -> Range<u64> {
        let step = self.step.unsigned_abs();
        // Places whose rows come before a row, in the direction of the steps.
        let up_to = |row: u64| row.saturating_sub(self.first).div_ceil(step);
        let down_to = |row: u64| (self.first + 1).saturating_sub(row).div_ceil(step);
        let places = if self.step > 0 {
            up_to(rows.start)..up_to(rows.end)
        } else {
            down_to(rows.end)..down_to(rows.start)
        };
        places.start.min(self.count)..places.end.min(self.count)
    }

    /// The same rows in increasing order.
    pub(crate) fn ascending(self) -> Steps {
        if self.step > 0 {
            return self;
        }
        Steps { first: self.row(self.count - 1), step: -self.step, count: self.count }
    }
}
