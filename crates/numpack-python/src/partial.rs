//! `_Partial`: files and folders that appear whole or not at all, for `numpack/io/_partial.py`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpack::NpkError;
use numpack::disk::Partial;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::errors::raise;

/// A file or folder under construction; see `numpack::disk::Partial`. `discard` removes it.
#[pyclass(module = "numpack", name = "_Partial", frozen)]
pub(crate) struct PyPartial(Mutex<Option<Partial>>);

impl PyPartial {
    fn with<R>(&self, read: impl FnOnce(&Partial) -> R) -> PyResult<R> {
        let partial = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        partial.as_ref().map(read).ok_or_else(ended)
    }
}

fn ended() -> PyErr {
    PyRuntimeError::new_err("it was published or discarded")
}

#[pymethods]
impl PyPartial {
    #[new]
    fn new(py: Python<'_>, target: PathBuf, folder: bool) -> PyResult<PyPartial> {
        let make = if folder { Partial::folder } else { Partial::file };
        loop {
            match py.detach(|| make(&target)) {
                // A signal came while it waited for somebody to read a pipe.
                Err(NpkError::Io { source, .. }) if source.kind() == ErrorKind::Interrupted => {
                    py.check_signals()?;
                }
                other => return other.map(|partial| PyPartial(Mutex::new(Some(partial)))).map_err(raise),
            }
        }
    }

    /// Where to write to.
    #[getter]
    fn path(&self) -> PyResult<PathBuf> {
        self.with(|partial| partial.path().to_owned())
    }

    /// Where it will be, links followed.
    #[getter]
    fn target(&self) -> PyResult<PathBuf> {
        self.with(|partial| partial.target().to_owned())
    }

    /// Gives it the target's name, with `overwrite` in place of what has it.
    fn publish(&self, py: Python<'_>, overwrite: bool) -> PyResult<()> {
        let partial = self.0.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ended)?;
        py.detach(|| partial.publish(overwrite, false)).map_err(raise)
    }

    /// Removes it, unless it was published.
    fn discard(&self, py: Python<'_>) {
        py.detach(|| drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}
