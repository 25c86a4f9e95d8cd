//! `_NpyHeader` and `LazyArray._write_npy`: the engine's reader and writer of `.npy` files, for `numpack/io/npy.py`.
#![expect(unsafe_code, reason = "a descriptor that a Python file owns")]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use numpack::NpkError;
use numpack::npy::{self, Header, Reader};
use numpy::{PyArrayDescr, PyReadwriteArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyTuple};

use crate::errors::raise;
use crate::input::dtype_of;
use crate::lazy::LazyArray;

/// What stands before the elements of a `.npy` file: `descr`, a literal of Python, `fortran`, `shape`, `offset`.
#[pyclass(module = "numpack", name = "_NpyHeader", frozen)]
pub(crate) struct PyNpyHeader(Header);

/// What a Python file gives.
struct PythonFile<'py> {
    file: &'py Bound<'py, PyAny>,
    /// What it raised.
    error: Option<PyErr>,
}

impl Read for PythonFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.call_method1("read", (buffer.len(),));
        let bytes = read.and_then(|bytes| Ok(bytes.extract::<PyBackedBytes>()?)).map_err(|error| {
            self.error = Some(error);
            io::Error::other("the file could not be read")
        })?;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }
}

#[pymethods]
impl PyNpyHeader {
    /// Reads the header from where a Python file stands; `origin` is for messages.
    #[new]
    fn new(file: &Bound<'_, PyAny>, origin: PathBuf) -> PyResult<PyNpyHeader> {
        let mut file = PythonFile { file, error: None };
        let found = Header::read(&mut file, &origin);
        match file.error {
            Some(error) => Err(error),
            None => found.map(PyNpyHeader).map_err(raise_value),
        }
    }

    /// The bytes of the header of an array in C order.
    #[staticmethod]
    fn of<'py>(
        py: Python<'py>,
        dtype: &Bound<'py, PyArrayDescr>,
        shape: Vec<u64>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &npy::header(dtype_of(dtype)?, &shape)))
    }

    #[getter]
    fn descr(&self) -> &str {
        &self.0.descr
    }

    #[getter]
    fn fortran(&self) -> bool {
        self.0.fortran
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.shape)
    }

    #[getter]
    fn offset(&self) -> u64 {
        self.0.offset
    }

    /// Fills `block` with the bytes of rows from `first` on, in C order and native, from a file that begins with this
    /// header and is open as `file`; `path` is for messages. Raises ValueError when the file ends before.
    fn fill(
        &self,
        py: Python<'_>,
        file: i32,
        path: PathBuf,
        first: u64,
        rows: u64,
        mut block: PyReadwriteArray1<'_, u8>,
    ) -> PyResult<()> {
        let (file, block) = (duplicate(file)?, block.as_slice_mut()?);
        py.detach(|| {
            let reader = Reader::new(file, &path, self.0.clone())?;
            reader.read_rows(first..first.saturating_add(rows), block)
        })
        .map_err(raise_value)
    }
}

#[pymethods]
impl LazyArray {
    /// Writes the array to a file open as `file`, as `.npy`, in blocks of at most `size` bytes; `tell` is called with
    /// the bytes of each. `path` is for messages.
    fn _write_npy(
        &self,
        py: Python<'_>,
        file: i32,
        path: PathBuf,
        size: u64,
        tell: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (view, file, tell) = (self.view(py)?, duplicate(file)?, tell.clone().unbind());
        let mut told = None;
        let mut go_on = |bytes: u64| {
            Python::attach(|py| py.check_signals().and_then(|()| tell.call1(py, (bytes,)).map(drop))).map_err(
                |error| {
                    told = Some(error);
                    NpkError::Cancelled
                },
            )
        };
        let written = py.detach(|| npy::write(&view, &file, size, &mut go_on));
        match (told, written) {
            (Some(error), _) => Err(error),
            (None, Err(NpkError::Io { path: unnamed, source })) if unnamed == Path::new("") => {
                Err(raise(NpkError::Io { path, source }))
            }
            (None, written) => written.map_err(raise),
        }
    }
}

/// The file that Python has open under this number, for calls without the GIL.
pub(crate) fn duplicate(file: i32) -> PyResult<File> {
    if file < 0 {
        return Err(PyValueError::new_err(format!("a descriptor is not negative, got {file}")));
    }
    // SAFETY: one that is closed is an error of `try_clone_to_owned`, and one that another file has got by now
    // is read or written, which harms no memory.
    Ok(File::from(unsafe { BorrowedFd::borrow_raw(file) }.try_clone_to_owned()?))
}

/// A file that is damaged or something else is a wrong value.
fn raise_value(error: NpkError) -> PyErr {
    match error {
        NpkError::Corrupted { .. } => PyValueError::new_err(error.to_string()),
        other => raise(other),
    }
}
