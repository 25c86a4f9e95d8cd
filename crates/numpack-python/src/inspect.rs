//! What `NumPack` tells of a store without giving its rows: metadata, sizes, verification.

use numpack::Store;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::pack::NumPack;

#[pymethods]
impl NumPack {
    /// get_metadata(): what is known of every array that is not hidden, without reading rows.
    ///
    /// Returns {"arrays": {name: {shape, dtype, size, modify_time, deleted_rows, file_bytes, data_file}},
    /// "path": str, "total_size": bytes of all live rows}. Sizes in bytes, times in microseconds since 1970.
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
            entry.set_item("shape", PyTuple::new(py, &array.shape)?)?;
            entry.set_item("dtype", array.dtype.name())?;
            entry.set_item("size", array.size_bytes)?;
            entry.set_item("modify_time", array.last_modified)?;
            entry.set_item("deleted_rows", array.deleted_rows)?;
            entry.set_item("file_bytes", array.file_bytes)?;
            entry.set_item("data_file", &array.data_file)?;
            arrays.set_item(&array.name, entry)?;
        }
        let metadata = PyDict::new(py);
        metadata.set_item("arrays", arrays)?;
        metadata.set_item("path", open.store.path().as_os_str())?;
        metadata.set_item("total_size", found.iter().map(|array| array.size_bytes).sum::<u64>())?;
        Ok(metadata)
    }

    /// get_io_stats(): how many arrays there are and the bytes of their files: live, deleted, in all.
    fn get_io_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.opened(py)?.read(py, Store::metadata)?;
        let live: u64 = found.iter().map(|array| array.size_bytes).sum();
        let all: u64 = found.iter().map(|array| array.file_bytes).sum();
        let stats = PyDict::new(py);
        stats.set_item("arrays", found.len())?;
        stats.set_item("live_bytes", live)?;
        stats.set_item("deleted_bytes", all - live)?;
        stats.set_item("file_bytes", all)?;
        Ok(stats)
    }

    /// verify(): checks log and data files against each other; changes nothing.
    ///
    /// Returns {"sound": bool, "arrays": arrays looked at, "checksummed": arrays whose every byte was checked,
    /// "findings": [{"damage": bool, "message": str}]}. Reads all data once.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.opened(py)?.read(py, Store::verify)?;
        let findings = PyList::empty(py);
        for finding in &report.findings {
            let entry = PyDict::new(py);
            entry.set_item("damage", finding.is_damage())?;
            entry.set_item("message", finding.to_string())?;
            findings.append(entry)?;
        }
        let result = PyDict::new(py);
        result.set_item("sound", report.is_intact())?;
        result.set_item("arrays", report.arrays)?;
        result.set_item("checksummed", report.checksummed)?;
        result.set_item("findings", findings)?;
        Ok(result)
    }
}
