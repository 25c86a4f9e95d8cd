//! Large rows of one value each: a read that mixes two commits shows.

use numpack::ndarray::{Array2, ArrayD};

/// Elements of a large row: 4 KiB, all of one value.
pub(crate) const WIDE: usize = 512;

/// So many rows of `value`.
pub(crate) fn rows_of(value: u64, rows: usize) -> ArrayD<u64> {
    Array2::from_elem((rows, WIDE), value).into_dyn()
}

/// The one value of all elements.
pub(crate) fn one_value(array: &ArrayD<u64>) -> u64 {
    let first = *array.iter().next().unwrap();
    let torn = array.iter().position(|&value| value != first);
    assert_eq!(torn, None, "an element differs from {first}: torn read");
    first
}
