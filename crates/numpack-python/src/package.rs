//! Packages: module functions behind `numpack/_package.py`.

use std::ops::ControlFlow;
use std::path::PathBuf;

use numpack::NpkResult;
use numpack::package::{self, PackOptions, Progress, UnpackOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::errors::raise;
use crate::store::timeout_of;

/// True, False or a level.
#[derive(FromPyObject)]
pub(crate) enum Compression {
    Switch(bool),
    Level(i32),
}

/// _pack(source, target, compression, keep_deleted, overwrite, lock_timeout, report): see `numpack.pack`.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the arguments of a Python function")]
pub(crate) fn _pack(
    py: Python<'_>,
    source: PathBuf,
    target: Option<PathBuf>,
    compression: Compression,
    keep_deleted: bool,
    overwrite: bool,
    lock_timeout: Option<f64>,
    report: Option<Py<PyAny>>,
) -> PyResult<PathBuf> {
    let lock_timeout = lock_timeout.map(timeout_of).transpose()?;
    let options =
        PackOptions::new().lock_timeout(lock_timeout).keep_deleted(keep_deleted).overwrite(overwrite);
    let options = match compression {
        Compression::Switch(on) => options.compressed(on),
        Compression::Level(level) => options.compression(Some(level)),
    };
    reported(py, report.as_ref(), |step| {
        package::pack(&source, target.as_deref(), options, |now: Progress| step(now.done, now.total))
    })
}

/// _unpack(source, target, overwrite, verify, report): see `numpack.unpack`.
#[pyfunction]
pub(crate) fn _unpack(
    py: Python<'_>,
    source: PathBuf,
    target: Option<PathBuf>,
    overwrite: bool,
    verify: bool,
    report: Option<Py<PyAny>>,
) -> PyResult<PathBuf> {
    let options = UnpackOptions::new().overwrite(overwrite).verify(verify);
    reported(py, report.as_ref(), |step| {
        package::unpack(&source, target.as_deref(), options, |now: Progress| step(now.done, now.total))
    })
}

/// _package_info(source): see `numpack.get_package_info`.
#[pyfunction]
pub(crate) fn _package_info(py: Python<'_>, source: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let info = py.detach(|| package::info(&source)).map_err(raise)?;
    let files = PyList::empty(py);
    let shown = || info.arrays.iter().filter(|array| !array.is_hidden());
    for array in shown() {
        let file = PyDict::new(py);
        file.set_item("name", &array.name)?;
        file.set_item("dtype", array.dtype.name())?;
        file.set_item("shape", PyTuple::new(py, &array.shape)?)?;
        file.set_item("deleted_rows", array.deleted_rows)?;
        file.set_item("original_size", array.original_bytes)?;
        file.set_item("compressed_size", array.packed_bytes)?;
        files.append(file)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("version", info.version)?;
    dict.set_item("file_count", shown().count())?;
    dict.set_item("files", files)?;
    dict.set_item("compression", info.is_compressed().then_some("zstd"))?;
    dict.set_item("compression_ratio", info.ratio())?;
    dict.set_item("total_original_size", info.original_bytes())?;
    dict.set_item("total_compressed_size", info.packed_bytes())?;
    dict.set_item("package_size", info.file_bytes)?;
    Ok(dict)
}

/// Runs long work without the GIL; between its steps signals are handled and `report(done, total)` is called.
/// What either raises ends the work.
pub(crate) fn reported<R: Send>(
    py: Python<'_>,
    report: Option<&Py<PyAny>>,
    work: impl FnOnce(&mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send)) -> NpkResult<R> + Send,
) -> PyResult<R> {
    let mut raised = None;
    let mut step = |done, total| {
        let told = Python::attach(|py| {
            py.check_signals()?;
            report.map_or(Ok(()), |report| report.call1(py, (done, total)).map(drop))
        });
        match told {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                raised = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    let result = py.detach(|| work(&mut step));
    match raised {
        Some(error) => Err(error),
        None => result.map_err(raise),
    }
}
