//! `update`: an array without its deleted rows.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// update(array_name): rewrites the array without its deleted rows, in constant memory.
    fn update(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "update"), (&*array_name,)).map(drop);
        }
        self.opened(py)?.write(py, |store| store.compact_array(&array_name))
    }
}
