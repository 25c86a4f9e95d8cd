//! `drop`: arrays, or rows of them; `reset`: all arrays.

use numpack::Store;
use pyo3::intern;
use pyo3::prelude::*;

use crate::input::names_of;
use crate::row_indexes::Rows;
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// drop(array_name, indexes=None): removes arrays, or deletes rows of them, in one commit.
    ///
    /// array_name: a name or a list of names. indexes: rows to delete logically (int, list, ndarray, slice,
    /// boolean mask); the rows behind them move up, and `update(name)` gives their room back. Without
    /// indexes the name is free again: one published version kept it, with no rows, and a program that counts on
    /// that deletes `slice(None)`. With an array go the names of its columns. Raises KeyError, IndexError, ValueError.
    #[pyo3(signature = (array_name, indexes=None))]
    pub(crate) fn drop(
        &self,
        py: Python<'_>,
        array_name: &Bound<'_, PyAny>,
        indexes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "drop"), (array_name, indexes)).map(drop);
        }
        let open = self.opened(py)?;
        let names = names_of(array_name)?;
        let Some(indexes) = indexes else {
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            return open.write(py, |store| store.drop_many(&names));
        };
        let rows = Rows::new(indexes)?;
        let drops: Vec<_> = names.iter().map(|name| (&**name, rows.selection())).collect();
        open.write(py, |store| store.drop_rows_many(&drops))
    }

    /// reset(): removes every array, in one commit.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method0(intern!(py, "reset")).map(drop);
        }
        self.opened(py)?.write(py, Store::reset)
    }
}
