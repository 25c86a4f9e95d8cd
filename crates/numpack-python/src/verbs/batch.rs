//! `batch_mode` and `writable_batch_mode`: the contexts of `python/numpack/batch.py`.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::store::NumPack;
use crate::writable::WritableArray;

#[pymethods]
impl NumPack {
    /// batch_mode(memory_limit=None): a context in which arrays are kept in memory and `save` only marks them.
    ///
    /// `load` returns the same object each time; what was marked is one commit at the end of the block, also
    /// when the block raises. Other methods see the arrays in memory. Over the limit (in MB) what is marked is
    /// committed early and memory given back.
    #[pyo3(signature = (memory_limit=None))]
    fn batch_mode<'py>(
        slf: &Bound<'py, Self>,
        memory_limit: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().opened(py)?;
        let module = py.import(intern!(py, "numpack.batch"))?;
        module.call_method1(intern!(py, "BatchModeContext"), (slf, memory_limit))
    }

    /// writable_batch_mode(): a context whose `load(name)` maps the live file for writing.
    ///
    /// What is written to the arrays is in the file at once, seen by everybody, and flushed to the disk at the
    /// end of the block; `save` does nothing. Such writes are not commits: a dying process leaves what it had
    /// written. Raises ValueError for arrays with deleted rows.
    fn writable_batch_mode<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().opened(py)?;
        let module = py.import(intern!(py, "numpack.batch"))?;
        module.call_method1(intern!(py, "WritableBatchMode"), (slf,))
    }

    /// The live file of an array, mapped for writing.
    fn _writable(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<WritableArray> {
        let open = self.opened(py)?;
        let view = open.write(py, |store| store.writable_view(&array_name))?;
        Ok(WritableArray::new(view, open.lock_timeout))
    }
}
