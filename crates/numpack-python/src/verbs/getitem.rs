//! `getitem`: rows of an array.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::memory::allocate;
use crate::row_indexes::Rows;
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
        let rows = Rows::new(indexes)?;
        let selection = rows.selection();
        Ok(open.read(py, |store| store.getitem_into(&array_name, selection, allocate))?.into_py(py))
    }

    /// Row numbers of `indexes` for an array of so many rows, as an int64 array.
    #[staticmethod]
    fn _row_numbers<'py>(indexes: &Bound<'py, PyAny>, rows: u64) -> PyResult<Bound<'py, PyAny>> {
        let numbers = Rows::new(indexes)?.numbers(rows)?;
        Ok(numpy::PyArray1::from_vec(indexes.py(), numbers).into_any())
    }
}
