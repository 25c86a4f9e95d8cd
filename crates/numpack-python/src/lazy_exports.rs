//! `LazyArray` for other libraries: DLPack, Arrow, Dask, PyTorch's loaders.
//!
//! Whoever gets memory by a C pointer may write to it whatever its flags say. It is a private map, whose pages are
//! copied when they are written, or a copy: no write reaches the file, and none ends the process.
#![expect(unsafe_code, reason = "a flag in a capsule of DLPack")]

use pyo3::exceptions::PyBufferError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList};

use crate::errors::raise;
use crate::lazy::LazyArray;
use crate::row_indexes::Rows;

/// Sets the flag of a new DLPack capsule that says that its memory is a copy. Capsules of before version 1 have none.
fn mark_copied(capsule: &Bound<'_, PyAny>) {
    /// The beginning of `DLManagedTensorVersioned`.
    #[repr(C)]
    struct Head {
        version: [u32; 2],
        context: *mut std::ffi::c_void,
        deleter: *mut std::ffi::c_void,
        flags: u64,
    }
    const IS_COPIED: u64 = 1 << 1;
    let name = c"dltensor_versioned".as_ptr();
    // SAFETY: a valid capsule of this name holds a pointer to a `DLManagedTensorVersioned`, which nobody else knows of
    // before the capsule is handed out.
    unsafe {
        if pyo3::ffi::PyCapsule_IsValid(capsule.as_ptr(), name) == 1 {
            let head = pyo3::ffi::PyCapsule_GetPointer(capsule.as_ptr(), name).cast::<Head>();
            (*head).flags |= IS_COPIED;
        }
    }
}

#[pymethods]
impl LazyArray {
    /// __getitems__(indices): a list of rows, read at once into memory of their own: what PyTorch's DataLoader asks for.
    fn __getitems__<'py>(
        &self,
        py: Python<'py>,
        indices: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let rows = self.parts(py)?.gather(py, Rows::new(indices)?.selection())?;
        let list = PyList::empty(py);
        rows.try_iter()?.try_for_each(|row| list.append(row?))?;
        Ok(list)
    }

    /// __dask_tokenize__(): another value after every commit that changes the array, so that Dask takes no two
    /// contents for one; never the same twice where that cannot be known.
    fn __dask_tokenize__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let view = self.parts(py)?.view;
        if let Some(version) = py.detach(|| view.version()).map_err(raise)? {
            return Ok(version.into_pyobject(py)?.into_any());
        }
        py.import(intern!(py, "uuid"))?.call_method0(intern!(py, "uuid4"))?.getattr(intern!(py, "hex"))
    }

    /// The array for consumers of DLPack: a private map of the file, whose pages are copied when they are written,
    /// because not every consumer respects read-only memory. A copy where rows are deleted, which the capsule says.
    #[pyo3(signature = (**kwargs))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let wanted = kwargs.map(|kwargs| kwargs.get_item(intern!(py, "copy"))).transpose()?.flatten();
        let is = |value: bool| wanted.as_ref().is_some_and(|wanted| wanted.is(PyBool::new(py, value)));
        let shared = if is(true) { None } else { self.mapped(py, "c")? };
        if let Some(array) = shared {
            return array.call_method(intern!(py, "__dlpack__"), (), kwargs);
        }
        let parts = self.parts(py)?;
        if is(false) && parts.view.shape().iter().all(|&dim| dim > 0) {
            return Err(PyBufferError::new_err("the array cannot be exported without a copy"));
        }
        let options = kwargs.map(|kwargs| kwargs.copy()).transpose()?;
        if let Some(options) = options.as_ref().filter(|options| options.contains("copy").unwrap_or(false)) {
            options.del_item(intern!(py, "copy"))?;
        }
        let copy = parts.copy(py)?;
        let capsule = copy.call_method(intern!(py, "__dlpack__"), (), options.as_ref())?;
        mark_copied(&capsule);
        Ok(capsule)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        // kDLCPU, device 0.
        (1, 0)
    }

    /// The array for consumers of Arrow, by way of pyarrow; more dimensions are fixed-size lists.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        slf: &Bound<'py, Self>,
        requested_schema: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let arrow =
            py.import(intern!(py, "numpack._arrow"))?.call_method1(intern!(py, "arrow_array"), (slf,))?;
        arrow.call_method1(intern!(py, "__arrow_c_array__"), (requested_schema,))
    }
}
