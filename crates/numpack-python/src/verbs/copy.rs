//! `clone`: a copy of an array under a new name.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// clone(source_name, target_name): copies the live rows of an array to a new one.
    ///
    /// Raises KeyError when the source is not there, ValueError when the target is.
    fn clone(&self, py: Python<'_>, source_name: PyBackedStr, target_name: PyBackedStr) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "clone"), (&*source_name, &*target_name)).map(drop);
        }
        self.opened(py)?.write(py, |store| store.clone_array(&source_name, &target_name))
    }
}
