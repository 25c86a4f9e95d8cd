//! `_Ingest`, by which the conversions of `numpack.io` bring arrays into the store at a path.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpack::{ArrayWriter, DataType, Existing, NpkError, NpkResult, OpenOptions};
use numpy::PyArrayDescr;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::input::{Input, dtype_of};
use crate::npy::duplicate;
use crate::store::{SLICE, until_unlocked};

/// Arrays that come block by block and appear in one commit, in a store that is made if it is not there.
///
/// `begin`, `write` or `copy` any number of times, `end`, for each array; then `commit`. `discard` leaves the store
/// as it was.
#[pyclass(module = "numpack", name = "_Ingest", frozen)]
pub(crate) struct PyIngest(Mutex<Option<Parts>>);

struct Parts {
    ingest: numpack::Ingest,
    array: Option<Array>,
}

/// The array that is coming.
struct Array {
    name: String,
    dtype: DataType,
    /// Of a row, where their number is not known; of the array otherwise.
    shape: Vec<u64>,
    /// None for rows of no bytes, which are counted here.
    writer: Option<ArrayWriter>,
    rows: u64,
}

impl Parts {
    fn array(&mut self) -> NpkResult<&mut Array> {
        self.array.as_mut().ok_or_else(|| NpkError::InvalidArgument {
            argument: "array",
            value: "none".into(),
            reason: "no array has begun",
        })
    }
}

impl PyIngest {
    /// Calls `work` without the GIL.
    fn with<R: Send>(
        &self,
        py: Python<'_>,
        work: impl Fn(&mut Parts) -> NpkResult<R> + Send + Sync,
    ) -> PyResult<R> {
        let done = until_unlocked(py, None, || {
            let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            parts.as_mut().map(&work).transpose()
        })?;
        done.ok_or_else(|| PyRuntimeError::new_err("the ingest was discarded"))
    }
}

#[pymethods]
impl PyIngest {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<PyIngest> {
        let options = OpenOptions::new().lock_timeout(Some(SLICE));
        let ingest = until_unlocked(py, None, || options.ingest(&path))?;
        Ok(PyIngest(Mutex::new(Some(Parts { ingest, array: None }))))
    }

    /// Begins an array. The first dimension is None when only its rows tell how many they are.
    fn begin(
        &self,
        py: Python<'_>,
        name: PyBackedStr,
        dtype: &Bound<'_, PyArrayDescr>,
        shape: Vec<Option<u64>>,
    ) -> PyResult<()> {
        let (dtype, counted) = (dtype_of(dtype)?, shape.first() == Some(&None));
        let shape: Vec<u64> =
            shape.into_iter().skip(usize::from(counted)).map(Option::unwrap_or_default).collect();
        self.with(py, |parts| {
            let writer = match counted {
                false => Some(parts.ingest.array(&name, dtype, &shape)?),
                true if shape.contains(&0) => None,
                true => Some(parts.ingest.rows(&name, dtype, &shape)?),
            };
            parts.array =
                Some(Array { name: name.to_string(), dtype, shape: shape.clone(), writer, rows: 0 });
            Ok(())
        })
    }

    /// Writes the next rows of the array, or all of a 0-d one.
    fn write(&self, py: Python<'_>, rows: &Bound<'_, PyAny>) -> PyResult<()> {
        let rows = Input::new(rows, None)?;
        let raw = rows.raw("");
        self.with(py, |parts| {
            let array = parts.array()?;
            if raw.dtype != array.dtype {
                let (name, expected) = (array.name.clone(), array.dtype);
                return Err(NpkError::InvalidDtype { array: name, expected, found: raw.dtype });
            }
            array.rows += raw.shape.first().copied().unwrap_or(0);
            array.writer.as_mut().map_or(Ok(()), |writer| writer.write(raw.bytes))
        })
    }

    /// Writes the next `nbytes` bytes of the array from a file, open as `file`, where they stand at byte `at` as the
    /// store keeps them; `path` is for messages. Raises ValueError when the file ends before.
    fn copy(&self, py: Python<'_>, file: i32, path: PathBuf, at: u64, nbytes: u64) -> PyResult<()> {
        let file = duplicate(file)?;
        self.with(py, |parts| {
            let writer = parts.array()?.writer.as_mut();
            writer.map_or(Ok(()), |writer| writer.copy(&file, &path, at, nbytes))
        })
    }

    /// Ends the array.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |parts| {
            parts.array()?;
            let Some(Array { name, dtype, shape, writer, rows }) = parts.array.take() else { return Ok(()) };
            let writer = match writer {
                Some(writer) => writer,
                None => parts.ingest.array(&name, dtype, &[&[rows], &shape[..]].concat())?,
            };
            parts.ingest.add(writer)
        })
    }

    /// Shows all arrays in one commit, in place of those of the same names, or of all with `remove_all`.
    fn commit(&self, py: Python<'_>, remove_all: bool) -> PyResult<()> {
        let existing = if remove_all { Existing::RemoveAll } else { Existing::Replace };
        self.with(py, |parts| parts.ingest.commit(existing))
    }

    /// Leaves the store as it was, unless it was committed.
    fn discard(&self, py: Python<'_>) {
        py.detach(|| drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}
