//! Columns of a table to rows, for `numpack.io`.

use std::mem::MaybeUninit;

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::input::dtype_of;
use crate::memory::{Pool, PooledArray, bytes_of};

/// Columns that are turned together: their elements fill a line of the processor's cache in every row.
const TOGETHER: usize = 16;
/// Bytes of rows that are turned before the next columns get their turn: they stay in the cache until then.
const PANEL: usize = 1 << 18;

/// Puts columns side by side; the memory of rows that nobody has any more is that of later ones.
#[pyclass(module = "numpack", name = "_Stacker", frozen)]
pub(crate) struct Stacker {
    pool: Pool,
}

#[pymethods]
impl Stacker {
    #[new]
    fn new() -> Stacker {
        Stacker { pool: Pool::default() }
    }

    /// rows(columns): a new array of shape (rows, columns) and the dtype of the columns, which are C-contiguous, of
    /// one dtype and one length. Raises ValueError for others.
    fn rows<'py>(
        &self,
        py: Python<'py>,
        columns: Vec<Bound<'py, PyUntypedArray>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let first = columns.first().ok_or_else(|| PyValueError::new_err("there are no columns"))?;
        let dtype = dtype_of(&first.dtype(), "stored")?;
        for column in &columns {
            let fits = column.ndim() == 1 && column.len() == first.len() && column.is_c_contiguous();
            if !fits || dtype_of(&column.dtype(), "stored")? != dtype {
                return Err(PyValueError::new_err("the columns differ, or are not contiguous"));
            }
        }
        let bytes: Vec<&[u8]> = columns.iter().map(bytes_of).collect();
        let (pool, shape) = (&self.pool, [first.len() as u64, columns.len() as u64]);
        let stacked = py.detach(move || {
            let mut rows = pool.take(dtype, &shape)?;
            stack(dtype.size_bytes(), &bytes, &mut rows);
            Ok(rows)
        });
        stacked.map_err(raise)?.into_py(py)
    }
}

/// Fills rows of elements of `size` bytes.
fn stack(size: usize, columns: &[&[u8]], rows: &mut PooledArray) {
    let rows = rows.as_mut();
    match size {
        1 => turn::<1>(columns, rows),
        2 => turn::<2>(columns, rows),
        4 => turn::<4>(columns, rows),
        8 => turn::<8>(columns, rows),
        _ => turn::<16>(columns, rows),
    }
}

/// Writes element `r` of column `c` to `rows[r][c]`; every element has `N` bytes.
fn turn<const N: usize>(columns: &[&[u8]], rows: &mut [MaybeUninit<u8>]) {
    let columns: Vec<&[[u8; N]]> = columns.iter().map(|column| column.as_chunks::<N>().0).collect();
    let (rows, width) = (rows.as_chunks_mut::<N>().0, columns.len());
    let panel = (PANEL / N / width).max(1);
    for (at, rows) in rows.chunks_mut(panel * width).enumerate() {
        let (start, count) = (at * panel, rows.len() / width);
        for (group, columns) in columns.chunks(TOGETHER).enumerate() {
            let left = group * TOGETHER;
            match <&[&[[u8; N]]; TOGETHER]>::try_from(columns) {
                Ok(columns) => {
                    let columns = columns.map(|column| &column[start..start + count]);
                    turn_group(&columns, rows, width, left);
                }
                Err(_) => {
                    for (at, column) in columns.iter().enumerate() {
                        turn_group(&[&column[start..start + count]], rows, width, left + at);
                    }
                }
            }
        }
    }
}

/// Writes some columns of a panel; `left` is the place of the first one in a row of `width` elements.
fn turn_group<const N: usize, const COLUMNS: usize>(
    columns: &[&[[u8; N]]; COLUMNS],
    rows: &mut [[MaybeUninit<u8>; N]],
    width: usize,
    left: usize,
) {
    for (r, row) in rows.chunks_exact_mut(width).enumerate() {
        let cells = &mut row[left..left + COLUMNS];
        for c in 0..COLUMNS {
            cells[c] = columns[c][r].map(MaybeUninit::new);
        }
    }
}
