//! Which rows a call is about, as its caller says it: a value that knows no array yet.
//!
//! Programs build one from their own syntax. The engine resolves it once, against the commit that the call
//! applies to (`plan.rs`): no slice and no mask is ever about another number of rows than there are.

use std::ops::{Range, RangeFrom, RangeFull, RangeTo};

/// Rows of an array by their logical numbers: deleted rows do not count.
///
/// ```
/// use numpack::prelude::*;
///
/// # fn main() -> NpkResult<()> {
/// # let dir = tempfile::tempdir()?;
/// let store = Store::new(dir.path().join("data.npk"))?;
/// store.save_slice("a", &[0_i32, 1, 2, 3, 4], &[5])?;
/// let rows = |selection| store.getitem::<i32>("a", selection).map(|rows| rows.into_iter().collect::<Vec<_>>());
/// assert_eq!(rows(Selection::from(1..3))?, [1, 2]);
/// assert_eq!(rows(Selection::Slice { start: Some(-1), stop: None, step: Some(-2) })?, [4, 2, 0]);
/// assert_eq!(rows(Selection::Mask(&[true, false, false, false, true]))?, [0, 4]);
/// assert_eq!(rows(Selection::List(&[-1, 0, 0]))?, [4, 0, 0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection<'a> {
    /// Every row.
    #[default]
    All,
    /// A slice as Python means it: an end left out is `None`, negative numbers count from the end, ends beyond
    /// the rows are no error.
    Slice {
        /// First row.
        start: Option<i64>,
        /// Row behind the last one.
        stop: Option<i64>,
        /// Distance from one row to the next, not 0; `None` is 1, a negative one goes backwards.
        step: Option<i64>,
    },
    /// One flag for every row: the rows whose flag is set.
    Mask(&'a [bool]),
    /// Row numbers in any order, any number of times; negative ones count from the end.
    List(&'a [i64]),
}

impl<'a> From<&'a [i64]> for Selection<'a> {
    fn from(rows: &'a [i64]) -> Self {
        Selection::List(rows)
    }
}

impl<'a, const N: usize> From<&'a [i64; N]> for Selection<'a> {
    fn from(rows: &'a [i64; N]) -> Self {
        Selection::List(rows)
    }
}

impl<'a> From<&'a Vec<i64>> for Selection<'a> {
    fn from(rows: &'a Vec<i64>) -> Self {
        Selection::List(rows)
    }
}

impl From<Range<i64>> for Selection<'_> {
    fn from(rows: Range<i64>) -> Self {
        Selection::Slice { start: Some(rows.start), stop: Some(rows.end), step: None }
    }
}

impl From<RangeFrom<i64>> for Selection<'_> {
    fn from(rows: RangeFrom<i64>) -> Self {
        Selection::Slice { start: Some(rows.start), stop: None, step: None }
    }
}

impl From<RangeTo<i64>> for Selection<'_> {
    fn from(rows: RangeTo<i64>) -> Self {
        Selection::Slice { start: None, stop: Some(rows.end), step: None }
    }
}

impl From<RangeFull> for Selection<'_> {
    fn from(_: RangeFull) -> Self {
        Selection::All
    }
}
