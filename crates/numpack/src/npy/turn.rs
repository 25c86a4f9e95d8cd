//! From Fortran order to C order, and from big-endian to little-endian.

use crate::types::error::NpkResult;
use crate::types::room::reserve;

/// Rows and columns that are turned at once: their lines stay in the first-level cache.
const ROWS: usize = 32;
const COLUMNS: usize = 8;

/// The place in C order of each element of a row, counted in Fortran order. `dims` are those of the row.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn places(dims: &[u64]) -> NpkResult<Vec<usize>> {
    let mut steps = vec![1_usize; dims.len()];
    for at in (1..dims.len()).rev() {
        steps[at - 1] = steps[at] * dims[at] as usize;
    }
    let dims: Vec<usize> = dims.iter().map(|&dim| dim as usize).collect();
    let mut index = vec![0_usize; dims.len()];
    let mut places = Vec::new();
    reserve(&mut places, dims.iter().product())?;
    places.extend((0..dims.iter().product()).map(|_| {
        let place: usize = index.iter().zip(&steps).map(|(index, step)| index * step).sum();
        for (index, dim) in index.iter_mut().zip(&dims) {
            *index += 1;
            if *index < *dim {
                break;
            }
            *index = 0;
        }
        place
    }));
    Ok(places)
}

/// Turns columns of elements of `item` bytes, which begin `stride` bytes apart, into part of rows of `row` bytes:
/// `places` tells the place of each column in a row.
pub(super) fn turn(from: &[u8], stride: usize, to: &mut [u8], row: usize, item: usize, places: &[usize]) {
    match item {
        1 => elements::<1>(from, stride, to, row, places),
        2 => elements::<2>(from, stride, to, row, places),
        4 => elements::<4>(from, stride, to, row, places),
        8 => elements::<8>(from, stride, to, row, places),
        _ => elements::<16>(from, stride, to, row, places),
    }
}

/// A few columns at a time: columns and rows may each lie a multiple of a page apart, and the elements of a long row or
/// column would then share a few lines of the first-level cache.
fn elements<const N: usize>(from: &[u8], stride: usize, to: &mut [u8], row: usize, places: &[usize]) {
    let (from, stride) = (from.as_chunks::<N>().0, stride / N);
    let (strips, last) = places.as_chunks::<COLUMNS>();
    for (part, to) in to.chunks_mut(ROWS * row).enumerate() {
        let (top, rows) = (part * ROWS, to.len() / row);
        let to = to.as_chunks_mut::<N>().0;
        let column = |at: usize| &from[at * stride + top..][..rows];
        for (strip, places) in strips.iter().enumerate() {
            let columns: [_; COLUMNS] = std::array::from_fn(|at| column(strip * COLUMNS + at));
            for (number, row) in to.chunks_exact_mut(row / N).enumerate() {
                columns.iter().zip(places).for_each(|(column, &place)| row[place] = column[number]);
            }
        }
        for (at, &place) in (strips.len() * COLUMNS..).zip(last) {
            to[place..].iter_mut().step_by(row / N).zip(column(at)).for_each(|(to, element)| *to = *element);
        }
    }
}

/// Reverses the bytes of every number of `width` bytes.
pub(super) fn swap(bytes: &mut [u8], width: usize) {
    match width {
        2 => bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|number| number.reverse()),
        4 => bytes.as_chunks_mut::<4>().0.iter_mut().for_each(|number| number.reverse()),
        8 => bytes.as_chunks_mut::<8>().0.iter_mut().for_each(|number| number.reverse()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_the_first_index_fastest() {
        let places = |dims: &[u64]| places(dims).unwrap();
        assert_eq!(places(&[]), [0]);
        assert_eq!(places(&[3]), [0, 1, 2]);
        assert_eq!(places(&[2, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(places(&[2, 0]), [0; 0]);
        let mut all = places(&[3, 4, 5]);
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_matrix_is_turned() {
        for (rows, columns) in [(1, 1), (2, 3), (33, 65), (100, 7)] {
            for (item, gap) in [(1, 0), (2, 5), (4, 0), (8, 3), (16, 1)] {
                let element = |row: usize, column: usize| vec![(row * 31 + column * 7) as u8; item];
                let column = |c: usize| (0..rows + gap).flat_map(move |r| element(r, c));
                let from: Vec<u8> = (0..columns).flat_map(column).collect();
                // The columns come in the opposite order.
                let places: Vec<usize> = (0..columns).rev().collect();
                let turned: Vec<u8> =
                    (0..rows).flat_map(|r| (0..columns).rev().flat_map(move |c| element(r, c))).collect();
                let mut to = vec![0; turned.len()];
                turn(&from, (rows + gap) * item, &mut to, columns * item, item, &places);
                assert!(to == turned, "{rows} x {columns} of {item}");
            }
        }
    }

    #[test]
    fn bytes_are_reversed() {
        let mut bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        swap(&mut bytes, 2);
        assert_eq!(bytes, [2, 1, 4, 3, 6, 5, 8, 7]);
        swap(&mut bytes, 8);
        assert_eq!(bytes, [7, 8, 5, 6, 3, 4, 1, 2]);
        swap(&mut bytes, 1);
        assert_eq!(bytes[0], 7);
    }
}
