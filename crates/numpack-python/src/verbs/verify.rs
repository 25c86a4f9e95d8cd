//! `verify`: whether log and data files are what was committed.

use numpack::Store;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// verify(): checks log and data files against each other; changes nothing.
    ///
    /// Returns {"sound": bool, "arrays": arrays looked at, "checksummed": arrays whose every byte was checked,
    /// "findings": [{"damage": bool, "message": str}]}. Reads all data once. A copy of the folder that was made
    /// file by file beside writers is not sound: numpack.pack() makes one that is.
    fn verify<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = self.opened(py)?.write(py, Store::verify)?;
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
