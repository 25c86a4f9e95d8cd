//! The live file of an array, mapped for writing: what `writable_batch_mode` hands out.
#![expect(unsafe_code, reason = "an array over mapped memory, whose owner it keeps")]

use std::time::Duration;

use numpack::WritableView;
use pyo3::prelude::*;

use crate::memory::array_over;
use crate::store::until_unlocked;

/// Owner of writable mapped memory.
#[pyclass(module = "numpack", frozen)]
pub(crate) struct WritableArray {
    view: WritableView,
    lock_timeout: Option<Duration>,
}

impl WritableArray {
    pub(crate) fn new(view: WritableView, lock_timeout: Option<Duration>) -> WritableArray {
        WritableArray { view, lock_timeout }
    }
}

#[pymethods]
impl WritableArray {
    /// The ndarray over the live memory.
    fn array<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let view = &slf.get().view;
        let data = view.as_mut_ptr().unwrap_or(std::ptr::NonNull::<u128>::dangling().as_ptr().cast());
        // SAFETY: the view keeps the mapping, which begins at a page, readable and writable for the whole
        // array as long as it lives, and `slf` owns it; an array without bytes reads none.
        unsafe { array_over(slf.clone().into_any(), view.dtype(), view.shape(), data, true) }
    }

    /// Makes what was written durable. Raises ValueError when the array was replaced meanwhile.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        until_unlocked(py, self.lock_timeout, || self.view.flush())
    }
}
