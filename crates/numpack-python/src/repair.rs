//! Repair: the module function behind `numpack.repair`.

use std::path::PathBuf;

use numpack::RepairReport;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::package::reported;

/// _repair(source, target, report): see `numpack.repair`.
#[pyfunction]
pub(crate) fn _repair(
    py: Python<'_>,
    source: PathBuf,
    target: PathBuf,
    report: Option<Py<PyAny>>,
) -> PyResult<Bound<'_, PyDict>> {
    let found = reported(py, report.as_ref(), |step| numpack::repair(&source, &target, step))?;
    describe(py, &found)
}

fn describe<'py>(py: Python<'py>, found: &RepairReport) -> PyResult<Bound<'py, PyDict>> {
    let recovered = PyList::empty(py);
    for array in &found.recovered {
        let entry = PyDict::new(py);
        entry.set_item("name", &array.name)?;
        entry.set_item("rows", array.rows)?;
        entry.set_item("proven", array.is_proven)?;
        entry.set_item("commit", array.commit)?;
        recovered.append(entry)?;
    }
    let left_out = PyList::empty(py);
    for array in &found.left_out {
        let entry = PyDict::new(py);
        entry.set_item("name", &array.name)?;
        entry.set_item("reason", &array.reason)?;
        left_out.append(entry)?;
    }
    let result = PyDict::new(py);
    result.set_item("complete", found.is_complete())?;
    result.set_item("recovered", recovered)?;
    result.set_item("left_out", left_out)?;
    result.set_item("log_problems", &found.log_problems)?;
    result.set_item("log_bytes_lost", found.log_bytes_lost)?;
    result.set_item("unknown_files", &found.unknown_files)?;
    result.set_item("last_commit", found.last_commit)?;
    result.set_item("last_state", found.is_last_state)?;
    Ok(result)
}
