//! What `NumPack` tells of its arrays without giving their rows: names, shapes, times, sizes.

use numpack::{NpkError, Store};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// get_metadata(): what is known of every array that is not hidden, without reading rows.
    ///
    /// Returns {"arrays": {name: {shape (a list), dtype (its name), size and size_bytes (both the bytes of its live
    /// rows), modify_time, deleted_rows, file_bytes, data_file}}, "path" and "base_dir": the store's folder,
    /// "total_arrays": how many arrays, "total_size": bytes of all live rows, "last_modified": the latest
    /// modify_time, None without arrays}. Times in microseconds since 1970. All of it can be written as JSON.
    fn get_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        if let Some(batch) = self.batch(py)? {
            return Ok(batch.call_method0(intern!(py, "get_metadata"))?.cast_into()?);
        }
        let open = self.opened(py)?;
        let mut found = open.read(py, Store::metadata)?;
        found.retain(|array| !array.is_hidden());
        let arrays = PyDict::new(py);
        for array in &found {
            let entry = PyDict::new(py);
            entry.set_item("shape", PyList::new(py, &array.shape)?)?;
            entry.set_item("dtype", array.dtype.name())?;
            for name in ["size", "size_bytes"] {
                entry.set_item(name, array.size_bytes)?;
            }
            entry.set_item("modify_time", array.last_modified)?;
            entry.set_item("deleted_rows", array.deleted_rows)?;
            entry.set_item("file_bytes", array.file_bytes)?;
            entry.set_item("data_file", &array.data_file)?;
            arrays.set_item(&array.name, entry)?;
        }
        let metadata = PyDict::new(py);
        metadata.set_item("arrays", arrays)?;
        for name in ["path", "base_dir"] {
            metadata.set_item(name, open.store.path().as_os_str())?;
        }
        metadata.set_item("total_arrays", found.len())?;
        metadata.set_item("last_modified", found.iter().map(|array| array.last_modified).max())?;
        metadata.set_item("total_size", found.iter().map(|array| array.size_bytes).sum::<u64>())?;
        Ok(metadata)
    }

    /// get_shape(array_name): the shape as a tuple; deleted rows do not count.
    fn get_shape<'py>(&self, py: Python<'py>, array_name: PyBackedStr) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "get_shape"), (&*array_name,));
        }
        let shape = self.opened(py)?.read(py, |store| store.get_shape(&array_name))?;
        Ok(PyTuple::new(py, shape)?.into_any())
    }

    /// get_member_list(*, hidden=False): the names of the arrays, the oldest first.
    ///
    /// hidden: also of those whose names begin with ".numpack/", in which conversions keep what belongs to
    /// other arrays, such as the names of their columns.
    #[pyo3(signature = (*, hidden=false))]
    pub(crate) fn get_member_list<'py>(&self, py: Python<'py>, hidden: bool) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "get_member_list"), (hidden,));
        }
        let list = if hidden { Store::list_all_arrays } else { Store::list_arrays };
        let names = self.opened(py)?.read(py, |store| Ok(list(store)))?;
        Ok(PyList::new(py, names)?.into_any())
    }

    /// has_array(array_name): whether an array has this name.
    pub(crate) fn has_array(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<bool> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "has_array"), (&*array_name,))?.extract();
        }
        let open = self.opened(py)?;
        open.read(py, |store| match store.get_shape(&array_name) {
            Ok(_) => Ok(true),
            Err(NpkError::ArrayNotFound(_)) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// get_modify_time(array_name): time of the last change in microseconds since 1970; None if unknown.
    fn get_modify_time(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<Option<u64>> {
        self.opened(py)?.read(py, |store| Ok(store.get_modify_time(&array_name)))
    }

    /// get_io_stats(): how many arrays there are that are not hidden, and the bytes of all files:
    /// live, deleted, in all.
    fn get_io_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.opened(py)?.read(py, Store::metadata)?;
        let live: u64 = found.iter().map(|array| array.size_bytes).sum();
        let all: u64 = found.iter().map(|array| array.file_bytes).sum();
        let stats = PyDict::new(py);
        stats.set_item("arrays", found.iter().filter(|array| !array.is_hidden()).count())?;
        stats.set_item("live_bytes", live)?;
        stats.set_item("deleted_bytes", all - live)?;
        stats.set_item("file_bytes", all)?;
        Ok(stats)
    }
}
