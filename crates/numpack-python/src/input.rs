//! Arguments on their way into the store: names, and arrays as dtype, shape and C-contiguous little-endian bytes.

use numpack::vector::Vectors;
use numpack::{DataType, RawArray};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyByteArray, PyDict, PyList, PyString, PyTuple, PyTypeMethods};

use crate::errors::raise;
use crate::exact_cast;
use crate::memory::{bytes_of, descr};

/// One array as the store takes it, with the Python object that owns its bytes.
pub(crate) struct Input<'py> {
    array: Bound<'py, PyUntypedArray>,
    dtype: DataType,
    shape: Vec<u64>,
    /// The bytes, taken while no other thread of Python could change them.
    copied: Option<Vec<u8>>,
}

impl<'py> Input<'py> {
    /// Converts any array or array-like. One without a dtype of its own, such as a list, takes `stored` if that holds
    /// each of its values.
    ///
    /// # Errors
    /// `TypeError` for dtypes that the store does not have, for values that `stored` does not have, and for masked
    /// arrays.
    pub(crate) fn new(value: &Bound<'py, PyAny>, stored: Option<DataType>) -> PyResult<Input<'py>> {
        Self::used(value, stored, "stored")
    }

    /// Converts vectors that are searched or compared.
    ///
    /// # Errors
    /// As for [`Input::new`].
    pub(crate) fn vector(value: &Bound<'py, PyAny>) -> PyResult<Input<'py>> {
        Self::used(value, None, "searched")
    }

    /// `used`: what becomes of the array, for messages.
    fn used(value: &Bound<'py, PyAny>, stored: Option<DataType>, used: &str) -> PyResult<Input<'py>> {
        let py = value.py();
        let array = match value.cast::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => numpy(py)?.call_method1(intern!(py, "asarray"), (value,))?.cast_into()?,
        };
        if value.hasattr(intern!(py, "_mask"))? && value.hasattr(intern!(py, "filled"))? {
            return Err(PyTypeError::new_err(
                "a masked array would lose its mask: pass a.filled(value), or a.data and a.mask",
            ));
        }
        if let Some(stored) = stored.filter(|_| !has_dtype(value)) {
            let shape = array.shape().iter().map(|&dim| dim as u64).collect();
            let copied = Some(exact_cast::cast(&array, stored)?);
            return Ok(Input { array, dtype: stored, shape, copied });
        }
        let dtype = dtype_of(&array.dtype(), used)?;
        let plain = array.is_c_contiguous() && array.dtype().is_native_byteorder() != Some(false);
        let array = if plain { array } else { in_c_order(&array, dtype)? };
        let array = if dtype == DataType::Bool { with_true_as_one(array)? } else { array };
        let shape = array.shape().iter().map(|&dim| dim as u64).collect();
        Ok(Input { array, dtype, shape, copied: None })
    }

    /// Converts queries for rows of a dtype. Plain numbers are taken as they are; whole ones take the dtype of
    /// the rows when it holds them, as bits and probabilities have to.
    ///
    /// # Errors
    /// As for [`Input::new`].
    pub(crate) fn question(value: &Bound<'py, PyAny>, rows: DataType) -> PyResult<Input<'py>> {
        let (py, own) = (value.py(), Input::vector(value)?);
        if has_dtype(value) || !matches!(own.array.dtype().kind(), b'b' | b'i' | b'u') {
            return Ok(own);
        }
        let cast = own.array.call_method1(intern!(py, "astype"), (descr(py, rows),))?;
        let same = numpy(py)?.call_method1(intern!(py, "array_equal"), (&cast, &own.array))?;
        if same.is_truthy()? { Input::vector(&cast) } else { Ok(own) }
    }

    /// With bytes of its own: a replace looks at them several times, and must see the same each time although
    /// the program may change the array meanwhile. Save and append need no copy: each byte is read once.
    pub(crate) fn into_copied(mut self) -> Self {
        self.copied.get_or_insert_with(|| bytes_of(&self.array).to_vec());
        self
    }

    /// A single row as an array of one row.
    pub(crate) fn into_one_row(mut self) -> Self {
        self.shape.insert(0, 1);
        self
    }

    /// As a NumPy array, which a batch changes in memory.
    ///
    /// # Errors
    /// Those of NumPy.
    pub(crate) fn into_array(self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.array.py();
        let Some(bytes) = self.copied else { return Ok(self.array.into_any()) };
        let flat = numpy(py)?
            .call_method1(intern!(py, "frombuffer"), (PyByteArray::new(py, &bytes), descr(py, self.dtype)))?;
        flat.call_method1(intern!(py, "reshape"), (PyTuple::new(py, &self.shape)?,))
    }

    /// Number of dimensions.
    pub(crate) fn ndim(&self) -> usize {
        self.shape.len()
    }

    /// The dimensions.
    pub(crate) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// As vectors: one, or several as the rows of a matrix.
    ///
    /// # Errors
    /// `ValueError` for another number of dimensions.
    pub(crate) fn vectors(&self) -> PyResult<Vectors<'_>> {
        let shape: Vec<usize> = self.shape.iter().map(|&dim| dim as usize).collect();
        Vectors::from_bytes(bytes_of(&self.array), self.dtype, &shape).map_err(raise)
    }

    /// As the engine wants it.
    pub(crate) fn raw<'a>(&'a self, name: &'a str) -> RawArray<'a> {
        let bytes = self.copied.as_deref().unwrap_or_else(|| bytes_of(&self.array));
        RawArray { name, dtype: self.dtype, shape: &self.shape, bytes }
    }
}

/// Names and arrays of a dict that a program gave.
pub(crate) struct Inputs<'py>(pub(crate) Vec<(PyBackedStr, Input<'py>)>);

impl<'py> Inputs<'py> {
    /// `stored` tells the dtype for values that have none of their own.
    pub(crate) fn new(
        arrays: &Bound<'py, PyAny>,
        stored: impl Fn(&PyBackedStr) -> PyResult<Option<DataType>>,
    ) -> PyResult<Self> {
        let dict = arrays.cast::<PyDict>().map_err(|_| {
            let name = arrays.get_type().name().map_or("?".to_owned(), |name| name.to_string());
            PyValueError::new_err(format!("arrays must be a dictionary of name: array, got {name}"))
        })?;
        // A list of its own: converting a value may run code that changes the dict.
        let inputs = dict.items().into_iter().map(|item| {
            let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let name = name_of(&name)?;
            let typed = value.cast::<numpy::PyUntypedArray>().is_ok();
            let stored = if typed { None } else { stored(&name)? };
            let input = named(&name, &value, stored)?;
            Ok((name, input))
        });
        inputs.collect::<PyResult<_>>().map(Inputs)
    }

    /// One value, as it would be in a dict.
    ///
    /// # Errors
    /// As for [`Input::new`].
    pub(crate) fn one(
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        stored: DataType,
    ) -> PyResult<Input<'py>> {
        named(&name_of(name)?, value, Some(stored))
    }

    pub(crate) fn raw(&self) -> Vec<RawArray<'_>> {
        self.0.iter().map(|(name, input)| input.raw(name)).collect()
    }
}

fn named<'py>(name: &str, value: &Bound<'py, PyAny>, stored: Option<DataType>) -> PyResult<Input<'py>> {
    refuse_labels(value.py(), name, value)?;
    Input::new(value, stored).map_err(|error| about(value.py(), name, error))
}

/// An error of a value's type, with the name that it was given for.
fn about(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(py) {
        return error;
    }
    PyTypeError::new_err(format!("array {name:?}: {}", error.value(py)))
}

/// Refuses tables and labelled arrays of other libraries: an array would lose what they have beside the values.
pub(crate) fn refuse_labels(py: Python<'_>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    const KINDS: [(&str, &str, &str, &str); 13] = [
        ("pandas", "DataFrame", "its index and column names", "numpack.io.from_dataframe"),
        ("pandas", "Series", "its index and name", "numpack.io.from_dataframe(s.to_frame(), ...)"),
        ("pandas", "Index", "its name", "index.to_numpy()"),
        ("pandas", "ExtensionArray", "its missing values or categories", "a.to_numpy()"),
        ("polars", "DataFrame", "its column names and nulls", "numpack.io.from_table(df.to_arrow(), ...)"),
        ("polars", "LazyFrame", "its columns", "numpack.io.from_table(df.collect().to_arrow(), ...)"),
        ("polars", "Series", "its name and nulls", "s.to_numpy()"),
        ("xarray", "DataArray", "its dimensions and coordinates", "a.to_numpy()"),
        ("xarray", "Dataset", "its dimensions and coordinates", "ds[name].to_numpy() of each variable"),
        ("xarray", "Variable", "its dimensions", "v.to_numpy()"),
        ("pyarrow", "Table", "its column names and nulls", "numpack.io.from_table"),
        ("pyarrow", "RecordBatch", "its column names and nulls", "numpack.io.from_table"),
        ("pyarrow", "", "its nulls and type", "a.to_numpy(zero_copy_only=False)"),
    ];
    if value.is_instance_of::<PyUntypedArray>() || value.is_instance_of::<PyList>() {
        return Ok(());
    }
    let kind = value.get_type();
    for class in kind.mro().iter() {
        let module = class.getattr(intern!(py, "__module__"))?.extract::<String>().unwrap_or_default();
        let library = module.split('.').next().unwrap_or_default();
        let class_name = class.getattr(intern!(py, "__name__"))?.extract::<String>().unwrap_or_default();
        let found =
            KINDS.iter().find(|(owner, own, ..)| *owner == library && (own.is_empty() || *own == class_name));
        if let Some((_, _, lost, way)) = found {
            return Err(PyTypeError::new_err(format!(
                "array {name:?}: a {library} {} would lose {lost}: use {way}",
                kind.name()?
            )));
        }
    }
    Ok(())
}

/// The name of an array.
pub(crate) fn name_of(name: &Bound<'_, PyAny>) -> PyResult<PyBackedStr> {
    let text = name.cast::<PyString>().map_err(|_| {
        let found = name.get_type().name().map_or("?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("array names are str, got {found}"))
    })?;
    text.extract()
}

/// One name or several.
pub(crate) fn names_of(names: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedStr>> {
    if names.is_instance_of::<PyString>() {
        return Ok(vec![name_of(names)?]);
    }
    if names.is_instance_of::<PyList>() || names.is_instance_of::<PyTuple>() {
        return names.try_iter()?.map(|name| name_of(&name?)).collect();
    }
    Err(PyTypeError::new_err(format!(
        "array_name must be str or a list of str, got {}",
        names.get_type().name()?
    )))
}

/// Whether a value brings a dtype of its own, as lists do not.
fn has_dtype(value: &Bound<'_, PyAny>) -> bool {
    let signs = ["dtype", "__array__", "__array_interface__", "__buffer__"];
    signs.into_iter().any(|name| value.hasattr(name).unwrap_or(false))
}

fn in_c_order<'py>(
    array: &Bound<'py, PyUntypedArray>,
    dtype: DataType,
) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = array.py();
    let kwargs = PyDict::new(py);
    kwargs.set_item(intern!(py, "dtype"), descr(py, dtype))?;
    kwargs.set_item(intern!(py, "order"), "C")?;
    Ok(numpy(py)?.call_method(intern!(py, "asarray"), (array,), Some(&kwargs))?.cast_into()?)
}

/// Views can make a `bool` of any byte; one that is neither 0 nor 1 is true, and is stored as 1.
fn with_true_as_one(array: Bound<'_, PyUntypedArray>) -> PyResult<Bound<'_, PyUntypedArray>> {
    let py = array.py();
    if bytes_of(&array).chunks(4096).all(|part| part.iter().fold(0, |all, byte| all | byte) <= 1) {
        return Ok(array);
    }
    let bytes = array.call_method1(intern!(py, "view"), (intern!(py, "u1"),))?;
    Ok(bytes.call_method1(intern!(py, "astype"), (intern!(py, "?"),))?.cast_into()?)
}

/// The module `numpy`.
pub(crate) fn numpy(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "numpy"))
}

/// The store's dtype for NumPy's. `used`: what the elements cannot be when there is none, for the message.
///
/// # Errors
/// `TypeError` that names the dtype and the way out.
pub(crate) fn dtype_of(descr: &Bound<'_, PyArrayDescr>, used: &str) -> PyResult<DataType> {
    DataType::of_kind(descr.kind().into(), descr.itemsize()).ok_or_else(|| unsupported(descr, used))
}

fn unsupported(descr: &Bound<'_, PyArrayDescr>, used: &str) -> PyErr {
    let way = match descr.kind() {
        _ if used != "stored" => "vectors are of numbers, or packed bits",
        b'f' => "convert it with .astype(numpy.float64)",
        b'c' => "convert it with .astype(numpy.complex128)",
        b'M' | b'm' => "save .view(numpy.int64), and keep the unit beside it",
        b'S' | b'U' => {
            "save the characters with .view(numpy.uint8) or .view(numpy.uint32), or codes of a table"
        }
        b'V' if descr.has_fields() => "save each field as an array of its own",
        _ => "convert it to a number type, for example with .astype(numpy.float64)",
    };
    PyTypeError::new_err(format!("dtype {descr} cannot be {used}: {way}"))
}
