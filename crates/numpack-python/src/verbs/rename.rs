//! `rename`: another name for an array.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// rename(old_name, new_name, overwrite=False): gives an array another name, without touching its rows.
    ///
    /// Names of columns that a conversion keeps with the array go along, in the same commit.
    /// Raises KeyError for an unknown name; ValueError when the new name is taken, unless `overwrite` is true:
    /// then that array goes in the same commit.
    #[pyo3(signature = (old_name, new_name, overwrite=false))]
    fn rename(
        &self,
        py: Python<'_>,
        old_name: PyBackedStr,
        new_name: PyBackedStr,
        overwrite: bool,
    ) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "rename"), (&*old_name, &*new_name, overwrite)).map(drop);
        }
        let names = [(&*old_name, &*new_name)];
        self.opened(py)?.write(py, |store| store.rename_many(&names, overwrite))
    }
}
