//! What every search shares, that of `NumPack` and those of `VectorEngine`: metric and k, results, Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use numpack::vector::{Hits, Metric};
use numpack::{DataType, NpkError, NpkResult};
use numpy::{IntoPyArray, PyArrayDescr, PyArrayDescrMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::memory::descr;

/// How often a long search lets Python handle signals.
const SIGNALS: Duration = Duration::from_millis(50);
/// Multiplications from which on a search may take long enough to be interrupted.
const LONG: u64 = 1 << 28;

/// Runs a search without the GIL. A long one runs on a thread of its own, so that Ctrl-C can end it.
pub(crate) fn run<R: Send>(
    py: Python<'_>,
    work: u64,
    search: impl FnOnce(&AtomicBool) -> NpkResult<R> + Send,
) -> PyResult<R> {
    let cancel = AtomicBool::new(false);
    if work < LONG {
        return py.detach(|| search(&cancel)).map_err(raise);
    }
    let job = Mutex::new(Some(search));
    let take = || job.lock().unwrap_or_else(PoisonError::into_inner).take();
    py.detach(|| {
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let cancelled = &cancel;
            let work = move || take().map(|search| sender.send(search(cancelled)));
            if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                // No thread to be had: the caller's does the work, and Ctrl-C waits for it.
                return take().map_or(Err(NpkError::Cancelled), |search| search(cancelled)).map_err(raise);
            }
            loop {
                match receiver.recv_timeout(SIGNALS) {
                    Ok(found) => return found.map_err(raise),
                    Err(RecvTimeoutError::Disconnected) => return Err(raise(NpkError::Cancelled)),
                    Err(RecvTimeoutError::Timeout) => Python::attach(|py| py.check_signals())
                        .inspect_err(|_| cancel.store(true, Ordering::Relaxed))?,
                }
            }
        })
    })
}

/// The metric of this name.
pub(crate) fn metric_of(name: &str) -> PyResult<Metric> {
    name.parse().map_err(raise)
}

/// A number of hits.
pub(crate) fn k_of(k: i64) -> PyResult<usize> {
    usize::try_from(k).map_err(|_| PyValueError::new_err(format!("k must be zero or more, got {k}")))
}

/// dtype of the row numbers that a search returns. NumPy makes `float64` of `uint64` beside signed integers,
/// and `indices - 1` of row 0 a huge number; `int64` has neither trap.
#[derive(Clone, Copy)]
pub(crate) enum IndexDtype {
    Uint64,
    Int64,
}

impl IndexDtype {
    /// What `index_dtype=` says; `uint64` when it says nothing.
    ///
    /// # Errors
    /// `TypeError` for what is no dtype, `ValueError` for another one.
    pub(crate) fn new(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<IndexDtype> {
        let Some(given) = given else { return Ok(IndexDtype::Uint64) };
        let given = PyArrayDescr::new(py, given)?;
        if given.is_equiv_to(&descr(py, DataType::Uint64)) {
            return Ok(IndexDtype::Uint64);
        }
        if given.is_equiv_to(&descr(py, DataType::Int64)) {
            return Ok(IndexDtype::Int64);
        }
        Err(PyValueError::new_err(format!("index_dtype must be 'uint64' or 'int64', got {given}")))
    }

    fn array(self, py: Python<'_>, indices: Vec<u64>) -> PyResult<Bound<'_, PyAny>> {
        match self {
            IndexDtype::Uint64 => Ok(indices.into_pyarray(py).into_any()),
            IndexDtype::Int64 => {
                let signed = |row: u64| {
                    i64::try_from(row).map_err(|_| {
                        PyValueError::new_err(format!("row {row} is no int64: index_dtype must be 'uint64'"))
                    })
                };
                let indices = indices.into_iter().map(signed).collect::<PyResult<Vec<i64>>>()?;
                Ok(indices.into_pyarray(py).into_any())
            }
        }
    }
}

/// Indices and scores as arrays of one dimension.
///
/// # Errors
/// `ValueError` for a row number that the dtype does not have.
pub(crate) fn flat<'py>(
    py: Python<'py>,
    hits: Hits,
    index_dtype: IndexDtype,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    Ok((index_dtype.array(py, hits.indices)?, hits.scores.into_pyarray(py).into_any()))
}
