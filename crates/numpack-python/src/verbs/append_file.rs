//! `append` for the conversions of `numpack.io`: rows that lie in a file. No batch stands in front of it.
#![expect(unsafe_code, reason = "a descriptor that a Python file owns")]

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use numpack::FileRows;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// Appends rows that lie in a file, open as `file`, from byte `at` on as the store keeps them; `path` is for
    /// messages. Raises ValueError when the file ends before the last row.
    fn _append_file(
        &self,
        py: Python<'_>,
        array_name: PyBackedStr,
        file: i32,
        path: PathBuf,
        at: u64,
        rows: u64,
    ) -> PyResult<()> {
        if file < 0 {
            return Err(PyValueError::new_err(format!("a descriptor is not negative, got {file}")));
        }
        // SAFETY: one that is closed is an error of `try_clone_to_owned`, and one that another file has got by now
        // is read, which harms no memory.
        let file = File::from(unsafe { BorrowedFd::borrow_raw(file) }.try_clone_to_owned()?);
        let rows = FileRows { name: &array_name, rows, file: &file, path: &path, at };
        self.opened(py)?.write(py, |store| store.append_from(&rows))
    }
}
