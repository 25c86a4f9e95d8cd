//! The program `numpack` inside Python: `numpack/__main__.py` calls it, and it calls `numpack.io` for the formats
//! that are not its own.

use std::ffi::OsString;
use std::ops::ControlFlow;

use numpack_cli::{Formats, Job, Progress, Refusal};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

/// main(arguments): runs the program `numpack` and returns its exit status.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> i32 {
    py.detach(|| numpack_cli::run(arguments, &Package))
}

/// The functions of `numpack/io/_program.py`.
struct Package;

impl Formats for Package {
    fn import(&self, job: &Job<'_>, progress: Progress) -> Result<Vec<String>, Refusal> {
        call("import_file", job, progress)
    }

    fn export(&self, job: &Job<'_>, progress: Progress) -> Result<(), Refusal> {
        call("export_file", job, progress).map(drop)
    }
}

fn call(function: &str, job: &Job<'_>, progress: Progress) -> Result<Vec<String>, Refusal> {
    let called = Python::attach(|py| convert(py, function, job, progress));
    let (status, text, names) = called.unwrap_or_else(|error: PyErr| (1, error.to_string(), Vec::new()));
    if status == 0 { Ok(names) } else { Err(Refusal { status, text }) }
}

fn convert(
    py: Python<'_>,
    function: &str,
    job: &Job<'_>,
    progress: Progress,
) -> PyResult<(i32, String, Vec<String>)> {
    let arguments = PyDict::new(py);
    arguments.set_item("file", job.file)?;
    arguments.set_item("store", job.store.as_os_str())?;
    arguments.set_item("format", job.format)?;
    arguments.set_item("arrays", job.arrays)?;
    arguments.set_item("name", job.name)?;
    arguments.set_item("overwrite", job.overwrite)?;
    arguments.set_item("chunk_size", job.chunk_size)?;
    arguments.set_item("progress", reporter(py, progress)?)?;
    py.import("numpack.io._program")?.call_method(function, (), Some(&arguments))?.extract()
}

/// A Python callable over the progress; it raises KeyboardInterrupt when the work is to stop.
fn reporter(py: Python<'_>, progress: Progress) -> PyResult<Bound<'_, PyCFunction>> {
    let report = move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        let (done, total) = arguments.extract::<(u64, Option<u64>)>()?;
        match progress(done, total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(PyKeyboardInterrupt::new_err("interrupted")),
        }
    };
    PyCFunction::new_closure(py, None, None, report)
}
