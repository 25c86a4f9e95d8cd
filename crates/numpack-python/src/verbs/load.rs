//! `load`: an array in memory, over the mapped file, or read when it is asked for.

use std::collections::HashSet;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyDict;

use crate::lazy::LazyArray;
use crate::memory::allocate;
use crate::store::{NumPack, Open};

fn load<'py>(open: &Open, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    Ok(open.read(py, |store| store.load_into(name, allocate))?.into_py(py))
}

#[pymethods]
impl NumPack {
    /// load(name, lazy=False, *, mmap_mode=None): the array, as of one commit.
    ///
    /// Returns a writable ndarray of its own memory; with lazy=True a LazyArray over the mapped file, which
    /// costs no read. mmap_mode="r" gives a read-only ndarray over the mapped file, mmap_mode="c" one that is
    /// writable and copied page by page when written, never back into the file; with deleted rows both are
    /// copies. `npk[name]` is load(name). What is written to the array that is returned stays in it: save(),
    /// replace() and writable_batch_mode() write to the store. Raises KeyError (ArrayNotFoundError) for an
    /// unknown name.
    #[pyo3(signature = (array_name, lazy=false, *, mmap_mode=None))]
    pub(crate) fn load<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        lazy: bool,
        mmap_mode: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "load"), (&*array_name, lazy, mmap_mode));
        }
        let open = self.opened(py)?;
        match mmap_mode {
            None if lazy => Ok(Bound::new(py, LazyArray::new(py, &open.store, &array_name)?)?.into_any()),
            None => load(&open, py, &array_name),
            Some(mode) => {
                let mode = mode.str()?.to_cow()?.into_owned();
                let mapped = LazyArray::new(py, &open.store, &array_name)?.mapped(py, &mode)?;
                if let Some(mapped) = mapped {
                    return Ok(mapped);
                }
                let array = load(&open, py, &array_name)?;
                if mode == "r" {
                    array.call_method1(intern!(py, "setflags"), (false,))?;
                }
                Ok(array)
            }
        }
    }

    /// The arrays of these names that are there, hidden ones among them, or all: a dict of lazy arrays, all of one
    /// commit, the oldest array first.
    #[pyo3(signature = (array_names=None))]
    fn _views<'py>(
        &self,
        py: Python<'py>,
        array_names: Option<HashSet<String>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let wanted = |name: &str| array_names.as_ref().is_none_or(|names| names.contains(name));
        let found = PyDict::new(py);
        for view in self.opened(py)?.write(py, |store| store.get_array_views(wanted))? {
            let name = view.name().to_owned();
            found.set_item(name, Bound::new(py, LazyArray::over(py, view)?)?)?;
        }
        Ok(found)
    }
}
