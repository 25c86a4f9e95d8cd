//! The class `LazyArray`: a stored array that is read when it is asked for, with NumPy's indexing.
//!
//! Without deleted rows it is a NumPy array over the mapped file, so NumPy itself does the indexing: ints and
//! slices are views of the live memory, what copies is tried again when a replace came in between. With
//! deleted rows everything is gathered by the engine; `python/numpack/_indexing.py` splits the key.
#![expect(unsafe_code, reason = "arrays over mapped memory, whose owner they keep")]

use std::sync::{Arc, PoisonError, RwLock};

use numpack::rows::Selection;
use numpack::{ArrayView, PrivateCopy, Store};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyAttributeError, PyBufferError, PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyEllipsis, PyInt, PyList, PySlice, PyTuple};

use crate::errors::{closed_array, raise};
use crate::input::numpy;
use crate::memory::{allocate, array_over, descr};
use crate::row_blocks::RowBlocks;
use crate::row_indexes::Rows;

/// A stored array that is read when it is asked for; `NumPack.load(name, lazy=True)` makes one.
///
/// Shape and dtype are those of the commit it was made from, and stay; the mapped file stays too, also when
/// the store is closed or removed. Indexing, operators and conversion follow NumPy, and results are ndarrays.
/// Slices of an array without deleted rows are read-only views of live memory: rows that someone replaces
/// change in them. Whatever copies has each row whole: those that are still in the array as of one commit,
/// those deleted since the lazy array was made as they were at last.
#[pyclass(module = "numpack", frozen, weakref)]
pub(crate) struct LazyArray {
    inner: RwLock<Option<Inner>>,
}

struct Inner {
    view: Arc<ArrayView>,
    /// The ndarray over the mapped file; `None` when rows are deleted.
    mapped: Option<Py<PyAny>>,
}

/// What a call works with.
pub(crate) struct Parts<'py> {
    pub(crate) view: Arc<ArrayView>,
    mapped: Option<Bound<'py, PyAny>>,
}

/// Keeps a mapping as long as an ndarray over it lives.
#[pyclass(module = "numpack", frozen)]
struct Mapped {
    _view: Arc<ArrayView>,
}

/// Keeps a private copy of a mapping as long as an ndarray over it lives.
#[pyclass(module = "numpack", frozen)]
struct Private {
    _copy: PrivateCopy,
}

impl LazyArray {
    pub(crate) fn new(py: Python<'_>, store: &Store, name: &str) -> PyResult<LazyArray> {
        Self::over(py, store.get_array_view(name).map_err(raise)?)
    }

    pub(crate) fn over(py: Python<'_>, view: ArrayView) -> PyResult<LazyArray> {
        let view = Arc::new(view);
        let mapped = match view.as_ptr() {
            Some(data) => {
                let owner = Bound::new(py, Mapped { _view: Arc::clone(&view) })?.into_any();
                // SAFETY: the view keeps its mapping, which covers the whole array, and `owner` the view.
                let array = unsafe { array_over(owner, view.dtype(), view.shape(), data.cast_mut(), false) };
                Some(array?.unbind())
            }
            None => None,
        };
        Ok(LazyArray { inner: RwLock::new(Some(Inner { view, mapped })) })
    }

    /// The parts of an array that is not closed.
    ///
    /// # Errors
    /// `ClosedError`.
    pub(crate) fn parts<'py>(&self, py: Python<'py>) -> PyResult<Parts<'py>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let inner = inner.as_ref().ok_or_else(|| closed_array(py))?;
        let mapped = inner.mapped.as_ref().map(|array| array.bind(py).clone());
        Ok(Parts { view: Arc::clone(&inner.view), mapped })
    }

    /// The rows that this is about.
    pub(crate) fn view(&self, py: Python<'_>) -> PyResult<Arc<ArrayView>> {
        self.parts(py).map(|parts| parts.view)
    }

    fn mapped_array<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let inner = inner.as_ref().ok_or_else(|| closed_array(py))?;
        Ok(inner.mapped.as_ref().map(|array| array.bind(py).clone()))
    }

    /// What `load(name, mmap_mode=...)` returns; `None` when the array has to be loaded, because rows are
    /// deleted or being replaced.
    pub(crate) fn mapped<'py>(&self, py: Python<'py>, mode: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let parts = self.parts(py)?;
        match mode {
            "r" if parts.mapped.is_none() => Ok(None),
            "r" => parts.whole(py).map(Some),
            "c" => {
                let copy = py.detach(|| parts.view.private_copy()).map_err(raise)?;
                copy.map(|copy| private(py, &parts.view, copy)).transpose()
            }
            _ => Err(PyValueError::new_err(format!(
                "mmap_mode must be None, 'r' or 'c', got {mode:?}; to write the live file use writable_batch_mode()"
            ))),
        }
    }
}

fn private<'py>(py: Python<'py>, view: &ArrayView, copy: PrivateCopy) -> PyResult<Bound<'py, PyAny>> {
    let data = copy.as_mut_ptr();
    let owner = Bound::new(py, Private { _copy: copy })?.into_any();
    // SAFETY: the copy covers the whole array, is writable, and `owner` keeps it.
    unsafe { array_over(owner, view.dtype(), view.shape(), data, true) }
}

impl<'py> Parts<'py> {
    /// All live rows in memory of their own, as of one commit; rows deleted since as they were at last.
    pub(crate) fn copy(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let view = &self.view;
        Ok(py.detach(|| view.rows_into(0..view.len(), allocate)).map_err(raise)?.into_py(py))
    }

    /// The whole array, read-only: a view of the mapped one, or a copy when rows are deleted.
    ///
    /// A view, because its shape and dtype may be assigned to; those of the mapped array must stay.
    pub(crate) fn whole(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(array) = &self.mapped {
            return array.call_method0(intern!(py, "view"));
        }
        let array = self.copy(py)?;
        array.call_method1(intern!(py, "setflags"), (false,))?;
        Ok(array)
    }

    /// The result of `read` on an ndarray that no replace disturbs meanwhile.
    pub(crate) fn computed(
        &self,
        py: Python<'py>,
        read: impl Fn(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let undisturbed = self.mapped.as_ref().and_then(|array| self.view.consistent(|| read(array)));
        undisturbed.unwrap_or_else(|| read(&self.copy(py)?))
    }

    fn gather(&self, py: Python<'py>, rows: Selection<'_>) -> PyResult<Bound<'py, PyAny>> {
        let view = &self.view;
        Ok(py.detach(|| view.gather_into(rows, allocate)).map_err(raise)?.into_py(py))
    }

    fn index(&self, lazy: &Bound<'py, LazyArray>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = lazy.py();
        if let Some(rows) = plain_rows(key, self.view.shape().is_empty())? {
            return self.gather(py, rows.selection());
        }
        let undisturbed = self.mapped.as_ref().and_then(|array| self.view.consistent(|| array.get_item(key)));
        undisturbed.unwrap_or_else(|| {
            let indexing = py.import(intern!(py, "numpack._indexing"))?;
            indexing.call_method1(intern!(py, "take"), (lazy, key))
        })
    }
}

/// A key that NumPy answers with a view, or with one element.
fn is_basic(key: &Bound<'_, PyAny>) -> bool {
    let single = |key: &Bound<'_, PyAny>| {
        key.is_exact_instance_of::<PyInt>()
            || key.is_exact_instance_of::<PySlice>()
            || key.is_none()
            || key.is_instance_of::<PyEllipsis>()
    };
    single(key) || key.cast::<PyTuple>().is_ok_and(|keys| keys.iter_borrowed().all(|key| single(&key)))
}

/// A key that stands for whole rows: a list of ints or an integer array of one dimension.
fn plain_rows<'py>(key: &Bound<'py, PyAny>, scalar: bool) -> PyResult<Option<Rows<'py>>> {
    let plain = match key.cast::<PyUntypedArray>() {
        // Unsigned numbers are NumPy's affair: it takes those above 2^63 for negative ones.
        Ok(array) => array.ndim() == 1 && array.dtype().kind() == b'i',
        Err(_) => key
            .cast::<PyList>()
            .is_ok_and(|list| list.len() > 0 && list.iter().all(|item| item.is_exact_instance_of::<PyInt>())),
    };
    if !plain || scalar { Ok(None) } else { Rows::new(key).map(Some) }
}

#[pymethods]
impl LazyArray {
    /// The name of the array in its store.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.parts(py)?.view.name().to_owned())
    }

    /// Tuple of dimensions; deleted rows do not count.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.parts(py)?.view.shape())
    }

    /// The numpy.dtype of the elements.
    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDescr>> {
        Ok(descr(py, self.parts(py)?.view.dtype()))
    }

    /// Number of dimensions.
    #[getter]
    fn ndim(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.parts(py)?.view.shape().len())
    }

    /// Number of elements.
    #[getter]
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.parts(py)?.view.shape().iter().product())
    }

    /// Bytes of one element.
    #[getter]
    fn itemsize(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.parts(py)?.view.dtype().size_bytes())
    }

    /// Bytes of all elements.
    #[getter]
    fn nbytes(&self, py: Python<'_>) -> PyResult<u64> {
        let view = self.parts(py)?.view;
        Ok(view.shape().iter().product::<u64>() * view.dtype().size_bytes() as u64)
    }

    /// The transposed array.
    #[getter]
    #[expect(non_snake_case, reason = "NumPy's name")]
    fn T<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.parts(py)?.whole(py)?.getattr(intern!(py, "T"))
    }

    /// reshape(*shape, order="C"): the array in another shape, as `numpy.ndarray.reshape`.
    #[pyo3(signature = (*shape, **kwargs))]
    fn reshape<'py>(
        &self,
        py: Python<'py>,
        shape: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.parts(py)?.whole(py)?.call_method(intern!(py, "reshape"), shape, kwargs)
    }

    /// copy(order="C"): a writable ndarray of its own memory, as of one commit; rows that were deleted since this
    /// object was made are as they were at last.
    #[pyo3(signature = (order="C".into()), text_signature = "($self, order='C')")]
    fn copy<'py>(&self, py: Python<'py>, order: std::borrow::Cow<'_, str>) -> PyResult<Bound<'py, PyAny>> {
        let array = self.parts(py)?.copy(py)?;
        if order == "C" { Ok(array) } else { array.call_method1(intern!(py, "copy"), (&*order,)) }
    }

    fn __format__<'py>(&self, py: Python<'py>, spec: &str) -> PyResult<Bound<'py, PyAny>> {
        self.parts(py)?.copy(py)?.call_method1(intern!(py, "__format__"), (spec,))
    }

    /// close(): gives up this object's hold on the file. Arrays that were made from it stay usable.
    fn close(&self) {
        let inner = self.inner.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(inner);
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, PyAny>) {
        self.close();
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if is_basic(key)
            && let Some(array) = slf.get().mapped_array(py)?
        {
            return array.get_item(key);
        }
        slf.get().parts(py)?.index(slf, key)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let view = self.parts(py)?.view;
        match view.shape().first() {
            Some(&rows) => Ok(rows as usize),
            None => Err(PyTypeError::new_err("len() of unsized object")),
        }
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match slf.get().mapped_array(py)? {
            Some(array) => Ok(array.try_iter()?.into_any()),
            None => py.import(intern!(py, "numpack._indexing"))?.call_method1(intern!(py, "rows"), (slf,)),
        }
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "builtins"))?
            .call_method1(intern!(py, "reversed"), (self.parts(py)?.whole(py)?,))
    }

    fn __contains__(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.parts(py)?.whole(py)?.contains(value)
    }

    /// The array for `numpy.asarray`: the mapped one, read-only, unless a copy is needed or asked for.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let parts = self.parts(py)?;
        let wanted = dtype.map(|dtype| PyArrayDescr::new(py, dtype)).transpose()?;
        let other = wanted.filter(|wanted| !wanted.is_equiv_to(&descr(py, parts.view.dtype())));
        if copy == Some(false) && (other.is_some() || parts.mapped.is_none()) {
            return Err(PyValueError::new_err("Unable to avoid copy while creating an array as requested."));
        }
        match (other, copy, &parts.mapped) {
            (Some(dtype), ..) => {
                parts.computed(py, |array| array.call_method1(intern!(py, "astype"), (&dtype,)))
            }
            (None, None | Some(false), Some(_)) => parts.whole(py),
            _ => parts.copy(py),
        }
    }

    /// The array for consumers of DLPack: without a copy where NumPy can export read-only memory.
    #[pyo3(signature = (**kwargs))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let parts = self.parts(py)?;
        if let Some(array) = &parts.mapped
            && let Ok(capsule) = array.call_method(intern!(py, "__dlpack__"), (), kwargs)
        {
            return Ok(capsule);
        }
        if let Some(copy) = kwargs.map(|kwargs| kwargs.get_item(intern!(py, "copy"))).transpose()?.flatten()
            && copy.is(PyBool::new(py, false))
        {
            return Err(PyBufferError::new_err("the array cannot be exported without a copy"));
        }
        parts.copy(py)?.call_method(intern!(py, "__dlpack__"), (), kwargs)
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

    /// Attributes that NumPy's arrays have and this class has not, such as `sum` or `astype`.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let known = !name.starts_with('_') && numpy(py)?.getattr(intern!(py, "ndarray"))?.hasattr(name)?;
        if known {
            return self.parts(py)?.whole(py)?.getattr(name);
        }
        Err(PyAttributeError::new_err(format!("'LazyArray' object has no attribute {name:?}")))
    }

    /// vectorized_gather(indices): rows by number, as `lazy[indices]`.
    fn vectorized_gather<'py>(
        &self,
        py: Python<'py>,
        indices: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.parts(py)?.gather(py, Rows::new(indices)?.selection())
    }

    /// parallel_boolean_index(mask): the rows where the mask is true, as `lazy[mask]`.
    fn parallel_boolean_index<'py>(
        slf: &Bound<'py, Self>,
        mask: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let mask = numpy(py)?.call_method1(intern!(py, "asarray"), (mask, "bool"))?;
        Self::__getitem__(slf, &mask)
    }

    /// mega_batch_get_rows(indices, batch_size): a list of rows, read `batch_size` at a time.
    fn mega_batch_get_rows<'py>(
        &self,
        py: Python<'py>,
        indices: &Bound<'py, PyAny>,
        batch_size: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        if batch_size == 0 {
            return Err(PyValueError::new_err("batch_size must be greater than 0, got 0"));
        }
        let parts = self.parts(py)?;
        let rows = Rows::new(indices)?.numbers(parts.view.len())?;
        let result = PyList::empty(py);
        for batch in rows.chunks(batch_size) {
            let batch = parts.gather(py, Selection::List(batch))?;
            batch.try_iter()?.try_for_each(|row| result.append(row?))?;
        }
        Ok(result)
    }

    /// Rows for `_indexing`.
    fn _gather<'py>(&self, py: Python<'py>, rows: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.parts(py)?.gather(py, Rows::new(rows)?.selection())
    }

    /// As `NumPack.load(name, mmap_mode="c")`, of the commit of this array, for `numpack.io`.
    fn _private<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.mapped(py, "c")? {
            Some(array) => Ok(array),
            None => self.parts(py)?.copy(py),
        }
    }

    /// Deleted rows that still lie in the file, for `_html`.
    #[getter]
    fn _deleted_rows(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.parts(py)?.view.deleted_rows())
    }

    /// Logical rows start..stop for `_indexing`.
    fn _rows<'py>(&self, py: Python<'py>, start: u64, stop: u64) -> PyResult<Bound<'py, PyAny>> {
        let view = self.parts(py)?.view;
        Ok(py.detach(|| view.rows_into(start..stop, allocate)).map_err(raise)?.into_py(py))
    }

    /// Copies of `rows` logical rows each, for `numpack.io`; of an array with a dimension.
    fn _blocks(&self, py: Python<'_>, rows: u64) -> PyResult<RowBlocks> {
        Ok(RowBlocks::new(self.parts(py)?.view, rows))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Ok(parts) = self.parts(py) else { return Ok("<LazyArray: closed>".to_owned()) };
        let shape = PyTuple::new(py, parts.view.shape())?.repr()?;
        Ok(format!("<LazyArray {:?} shape={shape} dtype={}>", parts.view.name(), parts.view.dtype()))
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import(intern!(py, "numpack._html"))?.call_method1(intern!(py, "array_box"), (slf,))
    }

    /// Pickles by reference: the copy is the array of this name when it is made.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let restore = py.import(intern!(py, "numpack._pickle"))?.getattr(intern!(py, "restore_array"))?;
        let view = self.parts(py)?.view;
        let args = (view.store_path().into_os_string(), view.name()).into_pyobject(py)?;
        Ok((restore, args.into_any()))
    }
}
