//! From the engine's errors to Python's exceptions: the one place that maps them.

use numpack::disk::FileName;
use numpack::{FileKind, NpkError};
use pyo3::exceptions::{
    PyIndexError, PyMemoryError, PyOSError, PyRuntimeError, PyTypeError, PyUserWarning, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// An exception class of `numpack.exceptions`, looked up once.
struct Class {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

impl Class {
    const fn new(name: &'static str) -> Class {
        Class { name, class: PyOnceLock::new() }
    }

    fn raise(&self, py: Python<'_>, args: impl PyErrArgs) -> PyErr {
        match self.class.import(py, "numpack.exceptions", self.name) {
            Ok(class) => PyErr::from_type(class.clone(), args),
            Err(error) => error,
        }
    }
}

/// What an exception can be made from.
trait PyErrArgs: pyo3::PyErrArguments + Send + Sync + 'static {}
impl<T: pyo3::PyErrArguments + Send + Sync + 'static> PyErrArgs for T {}

static NUMPACK_ERROR: Class = Class::new("NumPackError");
static ARRAY_NOT_FOUND: Class = Class::new("ArrayNotFoundError");
static CORRUPTED: Class = Class::new("CorruptedError");
static LOCKED: Class = Class::new("LockedError");
static CLOSED: Class = Class::new("ClosedError");
static READ_ONLY: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// `ENOTDIR`, of which Python makes `NotADirectoryError`.
const NOT_A_FOLDER: i32 = 20;

/// The Python exception for an error of the engine.
pub(crate) fn raise(error: NpkError) -> PyErr {
    Python::attach(|py| {
        let text = error.to_string();
        match error {
            NpkError::ArrayNotFound(_) => ARRAY_NOT_FOUND.raise(py, text),
            NpkError::ArrayExists(_)
            | NpkError::InvalidName { .. }
            | NpkError::InvalidShape { .. }
            | NpkError::VectorShape { .. }
            | NpkError::DimensionMismatch { .. }
            | NpkError::InvalidArgument { .. } => PyValueError::new_err(text),
            NpkError::InvalidDtype { .. }
            | NpkError::SetMismatch { .. }
            | NpkError::UnsupportedDtype { .. } => PyTypeError::new_err(text),
            NpkError::IndexOutOfBounds { .. } | NpkError::MaskMismatch { .. } => PyIndexError::new_err(text),
            NpkError::Corrupted { file, .. } if is_of_a_store(&file) => {
                let hint = "numpack.repair(old, new) makes a new store of what is intact";
                CORRUPTED.raise(py, format!("{text}; {hint}"))
            }
            NpkError::Corrupted { .. } => CORRUPTED.raise(py, text),
            NpkError::Locked { .. } => LOCKED.raise(py, text),
            NpkError::ReadOnly { .. } => read_only(py, text),
            NpkError::Closed => CLOSED.raise(py, text),
            NpkError::OutOfMemory { .. } => PyMemoryError::new_err(text),
            NpkError::Poisoned { .. } => PyOSError::new_err(text),
            NpkError::NotAStore { path, kind } => not_a_store(path, kind),
            NpkError::Io { path, source } => os_error(path, &source),
            _ => NUMPACK_ERROR.raise(py, text),
        }
    })
}

/// Whether a damaged file is one that a repair can go around: not a package.
fn is_of_a_store(file: &std::path::Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).and_then(FileName::parse).is_some()
}

/// `OSError` with errno, text and file name, so that Python picks `FileNotFoundError` and the like.
fn os_error(path: std::path::PathBuf, source: &std::io::Error) -> PyErr {
    match source.raw_os_error() {
        Some(code) => {
            let text = source.to_string();
            let text = text.split(" (os error").next().unwrap_or_default().to_owned();
            PyOSError::new_err((code, text, path.into_os_string()))
        }
        None if source.kind() == std::io::ErrorKind::AlreadyExists => {
            pyo3::exceptions::PyFileExistsError::new_err(format!("{}: {source}", path.display()))
        }
        None => PyOSError::new_err(format!("{}: {source}", path.display())),
    }
}

/// `NotADirectoryError` that says what the file is, and what reads it.
fn not_a_store(path: std::path::PathBuf, kind: FileKind) -> PyErr {
    let reader = match kind {
        FileKind::Package => Some("numpack.unpack"),
        FileKind::Npy | FileKind::Npz => Some("numpack.io.from_npy"),
        FileKind::Hdf5 => Some("numpack.io.from_hdf5"),
        FileKind::Parquet => Some("numpack.io.from_parquet"),
        FileKind::Feather => Some("numpack.io.from_feather"),
        FileKind::SafeTensors => Some("numpack.io.from_safetensors_file"),
        FileKind::Pt => Some("numpack.io.from_pt"),
        FileKind::Csv => Some("numpack.io.from_csv"),
        _ => None,
    };
    let reader = reader.map_or(String::new(), |reader| format!(": {reader}() makes a store of it"));
    PyOSError::new_err((
        NOT_A_FOLDER,
        format!("{kind}, and not the folder of a store{reader}"),
        path.into_os_string(),
    ))
}

/// What Python's own files raise for a write in mode `r`.
fn read_only(py: Python<'_>, text: String) -> PyErr {
    match READ_ONLY.import(py, "io", "UnsupportedOperation") {
        Ok(class) => PyErr::from_type(class.clone(), text),
        Err(error) => error,
    }
}

/// The store is not open.
pub(crate) fn closed(py: Python<'_>, path: &std::path::Path) -> PyErr {
    let path = path.display().to_string();
    let text = format!("NumPack({path:?}) is not opened or has been closed: call open() or use `with`");
    CLOSED.raise(py, text)
}

/// A closed `LazyArray`.
pub(crate) fn closed_array(py: Python<'_>) -> PyErr {
    CLOSED.raise(py, "the LazyArray has been closed")
}

/// A store used outside `with` in strict context mode.
pub(crate) fn outside_context(path: &std::path::Path) -> PyErr {
    let text = format!(
        "NumPack({:?}) is in strict context mode: use it inside `with NumPack(...) as npk:`",
        path.display().to_string()
    );
    PyRuntimeError::new_err(text)
}

/// Warns the user.
pub(crate) fn warn(py: Python<'_>, text: &std::ffi::CStr) -> PyResult<()> {
    PyErr::warn(py, &py.get_type::<PyUserWarning>(), text, 1)
}
