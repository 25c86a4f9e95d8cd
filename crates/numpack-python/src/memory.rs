//! Memory that NumPy arrays and the engine share: most of the unsafe code of this crate, and what the rest relies on.
//!
//! # Rationale
//! An array over mapped memory has an owner object as its base, so NumPy keeps the owner, and with it the
//! mapping, as long as any view of the array lives. A new array that the engine fills is written through its
//! data pointer before any Python code has seen it, and so is memory from a pool, which has one owner at a
//! time: the pool, the engine that fills it, or the object that an array keeps as its base. An array that the
//! engine reads is held by a reference, is C-contiguous, and keeps its buffer: NumPy refuses to resize an
//! array that is referenced elsewhere.
//!
//! # Limitations
//! While the GIL is released, Python code in another thread can change elements of an array that the engine
//! reads. What is stored then is a mix of old and new elements, as it would be with `ndarray.tofile`.
#![expect(unsafe_code, reason = "the data pointers of NumPy arrays")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use numpack::{DataType, NpkError, NpkResult};
use numpy::npyffi::{self, NPY_ARRAY_WRITEABLE, NPY_TYPES, NpyTypes};
use numpy::{PY_ARRAY_API, PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// NumPy's descriptor of a dtype.
pub(crate) fn descr(py: Python<'_>, dtype: DataType) -> Bound<'_, PyArrayDescr> {
    let number = match dtype {
        DataType::Bool => NPY_TYPES::NPY_BOOL,
        DataType::Uint8 => NPY_TYPES::NPY_UBYTE,
        DataType::Uint16 => NPY_TYPES::NPY_USHORT,
        DataType::Uint32 => NPY_TYPES::NPY_UINT,
        DataType::Uint64 => LONG.1,
        DataType::Int8 => NPY_TYPES::NPY_BYTE,
        DataType::Int16 => NPY_TYPES::NPY_SHORT,
        DataType::Int32 => NPY_TYPES::NPY_INT,
        DataType::Int64 => LONG.0,
        DataType::Float16 => NPY_TYPES::NPY_HALF,
        DataType::Float32 => NPY_TYPES::NPY_FLOAT,
        DataType::Float64 => NPY_TYPES::NPY_DOUBLE,
        DataType::Complex64 => NPY_TYPES::NPY_CFLOAT,
        DataType::Complex128 => NPY_TYPES::NPY_CDOUBLE,
    };
    // SAFETY: the descriptor of a built-in type always exists; the call returns a new reference.
    unsafe {
        let descr = PY_ARRAY_API.PyArray_DescrFromType(py, number as c_int);
        Bound::from_owned_ptr(py, descr.cast()).cast_into_unchecked()
    }
}

/// NumPy's `int64` and `uint64`: of two C types of the same size it prefers `long`.
const LONG: (NPY_TYPES, NPY_TYPES) = if size_of::<std::ffi::c_long>() == 8 {
    (NPY_TYPES::NPY_LONG, NPY_TYPES::NPY_ULONG)
} else {
    (NPY_TYPES::NPY_LONGLONG, NPY_TYPES::NPY_ULONGLONG)
};

/// An array over memory of `owner`, in C order.
///
/// # Safety
/// `data` must be readable (and writable, if `writable`) for as many bytes as dtype and shape say, and
/// aligned for the dtype, as long as `owner` lives.
pub(crate) unsafe fn array_over<'py>(
    owner: Bound<'py, PyAny>,
    dtype: DataType,
    shape: &[u64],
    data: *mut u8,
    writable: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let mut dims: Vec<npyffi::npy_intp> = shape.iter().map(|&dim| dim as npyffi::npy_intp).collect();
    let flags = if writable { NPY_ARRAY_WRITEABLE } else { 0 };
    // SAFETY: the descriptor's reference is given away as the call wants it; `dims` lives through the call;
    // NULL strides mean C order; the data is the caller's promise. SetBaseObject takes the owner's reference.
    unsafe {
        let array = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            npyffi::get_type_object(py, NpyTypes::PyArray_Type),
            descr(py, dtype).into_ptr().cast(),
            dims.len() as c_int,
            dims.as_mut_ptr(),
            std::ptr::null_mut(),
            data.cast(),
            flags,
            std::ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, array)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast(), owner.into_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}

/// A new array that only Rust knows, to be filled.
pub(crate) struct NewArray {
    array: Py<PyAny>,
    data: *mut u8,
    len: usize,
}

// SAFETY: nobody else has a reference to the array, so its memory belongs to whoever has this value; Python
// objects may be moved between threads.
unsafe impl Send for NewArray {}

impl NewArray {
    /// An array with undefined elements.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn new(py: Python<'_>, dtype: DataType, shape: &[u64]) -> NpkResult<NewArray> {
        let mut dims: Vec<npyffi::npy_intp> = shape.iter().map(|&dim| dim as npyffi::npy_intp).collect();
        let elements = shape.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
        let bytes = elements.and_then(|n| n.checked_mul(dtype.size_bytes() as u64)).unwrap_or(u64::MAX);
        // SAFETY: the descriptor's reference is given away as the call wants it; `dims` lives through it.
        let array = unsafe {
            let array = PY_ARRAY_API.PyArray_Empty(
                py,
                dims.len() as c_int,
                dims.as_mut_ptr(),
                descr(py, dtype).into_ptr().cast(),
                0,
            );
            Bound::from_owned_ptr_or_err(py, array).map_err(|_| NpkError::OutOfMemory { bytes })?
        };
        // SAFETY: the object is an array, which `PyArray_Empty` made.
        let data = unsafe { (*array.as_ptr().cast::<npyffi::PyArrayObject>()).fields.data.cast() };
        Ok(NewArray { array: array.unbind(), data, len: bytes as usize })
    }

    /// The filled array. Callers come here only after the engine has written every byte.
    pub(crate) fn into_py(self, py: Python<'_>) -> Bound<'_, PyAny> {
        self.array.into_bound(py)
    }
}

impl AsMut<[MaybeUninit<u8>]> for NewArray {
    fn as_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the array has `len` bytes at `data`, which nobody else knows of (see `Send` above).
        unsafe { std::slice::from_raw_parts_mut(self.data.cast(), self.len) }
    }
}

/// Allocates the array that the engine fills while the GIL is released.
pub(crate) fn allocate(dtype: DataType, shape: &[u64]) -> NpkResult<NewArray> {
    Python::attach(|py| NewArray::new(py, dtype, shape))
}

/// Memory for arrays that is used again once no array has it: what is fresh costs a page fault for every page.
#[derive(Default)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Memory>>>,
}

/// Words with room for a number of bytes; as many as the largest element, so that all dtypes are aligned.
type Memory = Vec<u128>;

impl Pool {
    /// Memory for as many elements as the shape says.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn take(&self, dtype: DataType, shape: &[u64]) -> NpkResult<PooledArray> {
        let elements = shape.iter().try_fold(1_u64, |product, &dim| product.checked_mul(dim));
        let bytes = elements.and_then(|n| n.checked_mul(dtype.size_bytes() as u64)).unwrap_or(u64::MAX);
        let words = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(size_of::<u128>());
        let mut memory = lock(&self.free).pop().unwrap_or_default();
        memory.try_reserve_exact(words).map_err(|_| NpkError::OutOfMemory { bytes })?;
        let pooled = Pooled { memory, free: Arc::downgrade(&self.free) };
        Ok(PooledArray { pooled, dtype, shape: shape.to_vec(), len: bytes as usize })
    }
}

fn lock(free: &Mutex<Vec<Memory>>) -> MutexGuard<'_, Vec<Memory>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Memory of a pool, which goes back there.
#[pyclass(module = "numpack", frozen)]
pub(crate) struct Pooled {
    memory: Memory,
    /// Of a pool that is gone there is nothing to go back to.
    free: Weak<Mutex<Vec<Memory>>>,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(free) = self.free.upgrade() {
            lock(&free).push(std::mem::take(&mut self.memory));
        }
    }
}

/// An array over memory of a pool that only Rust knows, to be filled.
pub(crate) struct PooledArray {
    pooled: Pooled,
    dtype: DataType,
    shape: Vec<u64>,
    len: usize,
}

impl PooledArray {
    /// The filled array. Callers come here only after the engine has written every byte.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn into_py(mut self, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        // The words stay where they are when the vector that has them is moved.
        let data = self.pooled.memory.as_mut_ptr().cast();
        let owner = Bound::new(py, self.pooled)?.into_any();
        // SAFETY: the owner keeps the words, at least `len` bytes of them, until no array has it as its base;
        // they are aligned for every dtype, and whoever has the array may write them.
        unsafe { array_over(owner, self.dtype, &self.shape, data, true) }
    }
}

impl AsMut<[MaybeUninit<u8>]> for PooledArray {
    fn as_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let data = self.pooled.memory.as_mut_ptr().cast();
        // SAFETY: `Pool::take` has made room for `len` bytes; the memory is this value's alone.
        unsafe { std::slice::from_raw_parts_mut(data, self.len) }
    }
}

/// The bytes of a C-contiguous array, as long as the reference lives.
pub(crate) fn bytes_of<'a>(array: &'a Bound<'_, PyUntypedArray>) -> &'a [u8] {
    let len = array.len() * array.dtype().itemsize();
    if len == 0 || !array.is_c_contiguous() {
        return &[];
    }
    // SAFETY: a C-contiguous array has its elements one behind the other from `data` on; the reference keeps
    // them allocated. That others may write them is discussed at the head of this file.
    unsafe { std::slice::from_raw_parts((*array.as_array_ptr()).fields.data.cast(), len) }
}

/// The elements of a C-contiguous, native int64 array; `None` when the memory is not aligned for them.
pub(crate) fn i64s_of<'a>(array: &'a Bound<'_, PyUntypedArray>) -> Option<&'a [i64]> {
    // SAFETY: every bit pattern is an i64; `align_to` keeps what is not aligned out of the middle.
    let (before, middle, after) = unsafe { bytes_of(array).align_to::<i64>() };
    (before.is_empty() && after.is_empty()).then_some(middle)
}
