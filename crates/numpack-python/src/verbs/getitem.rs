//! `getitem`: rows of an array.

use numpack::Store;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::memory::allocate;
use crate::row_indexes::{Rows, unless_rows_changed, until_rows_stay};
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// getitem(array_name, indexes): rows as an ndarray of shape (n, *row shape), as of one commit.
    ///
    /// indexes: int (gives one row, n = 1), list, ndarray, slice or boolean mask; negative numbers count from
    /// the end, any order, any number of times. Raises KeyError, IndexError, ValueError.
    fn getitem<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        indexes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "getitem"), (&*array_name, indexes));
        }
        let open = self.opened(py)?;
        until_rows_stay(|| {
            let rows = Rows::new(indexes, || open.rows_of(&array_name))?;
            let (numbers, of) = (rows.as_slice(), rows.of());
            let read = |store: &Store| store.getitem_into(&array_name, numbers, of, allocate);
            let found = open.read(py, |store| unless_rows_changed(read(store)))?;
            Ok(found.map(|found| found.into_py(py)))
        })
    }

    /// Row numbers of `indexes` for an array of so many rows, as an int64 array; bounds are not checked.
    #[staticmethod]
    fn _row_numbers<'py>(indexes: &Bound<'py, PyAny>, rows: u64) -> PyResult<Bound<'py, PyAny>> {
        let numbers = Rows::new(indexes, || Ok(rows))?;
        Ok(numpy::PyArray1::from_slice(indexes.py(), numbers.as_slice()).into_any())
    }
}
