//! Row numbers as Python programs give them: int, list, tuple, range, slice, ndarray, boolean mask.

use numpack::{NpkError, NpkResult};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyRange, PySlice, PyTuple};

use crate::input::numpy;
use crate::memory::i64s_of;

/// Row numbers, ready for the engine.
pub(crate) struct Rows<'py> {
    numbers: Numbers<'py>,
    of: Option<u64>,
}

enum Numbers<'py> {
    /// Converted.
    Owned(Vec<i64>),
    /// An int64 array, read where it is.
    Array(Bound<'py, PyUntypedArray>),
}

impl From<Vec<i64>> for Rows<'_> {
    fn from(numbers: Vec<i64>) -> Self {
        Rows { numbers: Numbers::Owned(numbers), of: None }
    }
}

impl<'py> Rows<'py> {
    /// Reads `indexes`; `rows` tells how many rows there are, for slices and masks.
    ///
    /// # Errors
    /// `ValueError` for what is no index, `IndexError` as NumPy raises it.
    pub(crate) fn new(indexes: &Bound<'py, PyAny>, rows: impl FnOnce() -> PyResult<u64>) -> PyResult<Self> {
        let mut of = None;
        let numbers = Numbers::new(indexes, || Ok(*of.insert(rows()?)))?;
        Ok(Rows { numbers, of })
    }

    /// The number of rows that was asked for to read the indexes.
    pub(crate) fn of(&self) -> Option<u64> {
        self.of
    }

    /// The row numbers.
    pub(crate) fn as_slice(&self) -> &[i64] {
        match &self.numbers {
            Numbers::Owned(rows) => rows,
            Numbers::Array(array) => i64s_of(array).unwrap_or_default(),
        }
    }
}

impl<'py> Numbers<'py> {
    fn new(indexes: &Bound<'py, PyAny>, rows: impl FnOnce() -> PyResult<u64>) -> PyResult<Self> {
        if let Ok(list) = indexes.cast::<PyList>()
            && let Some(rows) = plain_ints(list)
        {
            return Ok(Numbers::Owned(rows));
        }
        if let Ok(array) = indexes.cast::<PyUntypedArray>() {
            return from_array(array.clone(), rows);
        }
        if let Ok(slice) = indexes.cast::<PySlice>() {
            return from_slice(slice, rows()?);
        }
        if indexes.is_instance_of::<PyList>()
            || indexes.is_instance_of::<PyTuple>()
            || indexes.is_instance_of::<PyRange>()
        {
            if indexes.len()? == 0 {
                return Ok(Numbers::Owned(Vec::new()));
            }
            let array = numpy(indexes.py())?.call_method1(intern!(indexes.py(), "asarray"), (indexes,))?;
            return from_array(array.cast_into()?, rows);
        }
        if indexes.is_instance_of::<PyInt>() && !indexes.is_instance_of::<PyBool>() {
            return Ok(Numbers::Owned(vec![int(indexes)?]));
        }
        if let Some(number) = integer(indexes)? {
            return Ok(Numbers::Owned(vec![int(&number)?]));
        }
        if indexes.hasattr(intern!(indexes.py(), "__array__"))? {
            let array = numpy(indexes.py())?.call_method1(intern!(indexes.py(), "asarray"), (indexes,))?;
            let array: Bound<'py, PyUntypedArray> = array.cast_into()?;
            // A number that is no integer is no index at all.
            if array.ndim() > 0 {
                return from_array(array, rows);
            }
        }
        Err(PyValueError::new_err(format!(
            "The indexes must be int or list or numpy.ndarray or slice. Got {}.",
            indexes.get_type().name()?
        )))
    }
}

/// The int that a number such as `numpy.int64` stands for.
fn integer<'py>(index: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = index.py();
    if index.is_instance_of::<PyBool>() || !index.hasattr(intern!(py, "__index__"))? {
        return Ok(None);
    }
    let operator = py.import(intern!(py, "operator"))?;
    Ok(operator.call_method1(intern!(py, "index"), (index,)).ok())
}

/// The items of a list of plain ints that fit; anything else takes NumPy's way.
fn plain_ints(list: &Bound<'_, PyList>) -> Option<Vec<i64>> {
    let mut rows = Vec::with_capacity(list.len());
    for item in list.iter() {
        if !item.is_exact_instance_of::<PyInt>() {
            return None;
        }
        rows.push(item.extract().ok()?);
    }
    Some(rows)
}

fn int(index: &Bound<'_, PyAny>) -> PyResult<i64> {
    index
        .extract()
        .map_err(|_| PyIndexError::new_err(format!("index {index} is out of bounds for any array")))
}

fn from_slice<'py>(slice: &Bound<'py, PySlice>, rows: u64) -> PyResult<Numbers<'py>> {
    let found = slice.indices(rows as isize)?;
    let (start, step) = (found.start as i64, found.step as i64);
    Ok(Numbers::Owned((0..found.slicelength as i64).map(|i| start + i * step).collect()))
}

fn from_array<'py>(
    array: Bound<'py, PyUntypedArray>,
    rows: impl FnOnce() -> PyResult<u64>,
) -> PyResult<Numbers<'py>> {
    let (py, kind) = (array.py(), array.dtype().kind());
    if array.ndim() > 1 {
        let shape = array.shape().to_vec();
        return Err(PyIndexError::new_err(format!("row indexes have one dimension, got shape {shape:?}")));
    }
    if kind == b'b' && array.ndim() == 1 {
        return from_mask(&array, rows()?);
    }
    if array.len() == 0 {
        return Ok(Numbers::Owned(Vec::new()));
    }
    if kind != b'i' && kind != b'u' {
        let text =
            format!("arrays used as indices must be of integer (or boolean) type, got {}", array.dtype());
        return Err(PyIndexError::new_err(text));
    }
    let borrowed = kind == b'i'
        && array.dtype().itemsize() == 8
        && array.is_c_contiguous()
        && array.dtype().is_native_byteorder() == Some(true)
        && i64s_of(&array).is_some();
    if borrowed {
        return Ok(Numbers::Array(array));
    }
    if kind == b'u' && array.dtype().itemsize() == 8 {
        // Python's ints know values that int64 has no room for.
        let items = array.call_method0(intern!(py, "ravel"))?.call_method0(intern!(py, "tolist"))?;
        return Ok(Numbers::Owned(items.try_iter()?.map(|item| int(&item?)).collect::<PyResult<_>>()?));
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item("dtype", "int64")?;
    kwargs.set_item("order", "C")?;
    let array: Bound<'py, PyUntypedArray> =
        numpy(py)?.call_method(intern!(py, "array"), (array,), Some(&kwargs))?.cast_into()?;
    let rows = i64s_of(&array).unwrap_or_default().to_vec();
    Ok(Numbers::Owned(rows))
}

fn from_mask<'py>(mask: &Bound<'py, PyUntypedArray>, rows: u64) -> PyResult<Numbers<'py>> {
    let py = mask.py();
    if mask.len() as u64 != rows {
        return Err(PyIndexError::new_err(format!(
            "boolean index did not match: the array has {rows} rows, the mask {}",
            mask.len()
        )));
    }
    let found = numpy(py)?.call_method1(intern!(py, "flatnonzero"), (mask,))?;
    from_array(found.cast_into()?, || Ok(rows))
}

/// Slices and masks are about a number of rows. `attempt` works them out and makes its call, which is refused
/// when the array has another number by then; it then returns `None` and is made again.
pub(crate) fn until_rows_stay<R>(mut attempt: impl FnMut() -> PyResult<Option<R>>) -> PyResult<R> {
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
    }
}

/// `None` for a call that was refused because the array has another number of rows.
pub(crate) fn unless_rows_changed<R>(result: NpkResult<R>) -> NpkResult<Option<R>> {
    match result {
        Err(NpkError::RowsChanged { .. }) => Ok(None),
        other => other.map(Some),
    }
}
