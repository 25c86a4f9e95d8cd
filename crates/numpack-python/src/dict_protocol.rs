//! `NumPack` as a mapping from names to arrays.

use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList};

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    fn __getitem__<'py>(&self, py: Python<'py>, name: PyBackedStr) -> PyResult<Bound<'py, PyAny>> {
        self.load(py, name, false, None)
    }

    fn __setitem__<'py>(
        &self,
        py: Python<'py>,
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> PyResult<()> {
        let arrays = PyDict::new(py);
        arrays.set_item(name, value)?;
        self.save(py, &arrays)
    }

    fn __delitem__(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<()> {
        self.drop(py, name, None)
    }

    fn __contains__(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<bool> {
        match name.extract::<PyBackedStr>() {
            Ok(name) => self.has_array(py, name),
            Err(_) => Ok(false),
        }
    }

    /// Names for the completion of `npk["` in notebooks; none of a store that is not open.
    fn _ipython_key_completions_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if self.opened(py).is_err() {
            return Ok(PyList::empty(py).into_any());
        }
        self.get_member_list(py, false)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.get_member_list(py, false)?.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.get_member_list(py, false)?.try_iter()?.into_any())
    }

    /// get(name, default=None): the loaded array, or the default when no array has this name.
    #[pyo3(signature = (name, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: PyBackedStr,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.load(py, name, false, None) {
            Err(error) if error.is_instance_of::<PyKeyError>(py) => {
                Ok(default.unwrap_or_else(|| py.None().into_bound(py)))
            }
            other => other,
        }
    }

    /// keys(): the names, as a set-like view.
    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "KeysView")
    }

    /// values(): a view whose iteration loads one array after the other.
    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ValuesView")
    }

    /// items(): a view whose iteration gives (name, loaded array).
    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        view(slf, "ItemsView")
    }
}

fn view<'py>(store: &Bound<'py, NumPack>, class: &str) -> PyResult<Bound<'py, PyAny>> {
    store.get().opened(store.py())?;
    store.py().import(intern!(store.py(), "collections.abc"))?.call_method1(class, (store,))
}
