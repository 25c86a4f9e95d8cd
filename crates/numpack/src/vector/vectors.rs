//! Vectors as bytes: what callers hand in, and the rows that kernels read.
//!
//! Kernels read rows through raw pointers and never make a reference to them: rows of a stored array lie in
//! mapped memory that another process may change, see `disk/mapping.rs`. What a search found is used only
//! after the store has shown that the rows it rests on did not change.
#![expect(unsafe_code, reason = "rows are shared between threads as raw pointers")]

use std::marker::PhantomData;

use ndarray::{ArrayBase, Data, Dimension};

use crate::disk::Mapping;
use crate::types::dtype::DataType;
use crate::types::element::{NpkElement, bytes_of};
use crate::types::error::{NpkError, NpkResult};

/// Vectors in memory: `rows` of `dims` elements each, in C order, borrowed.
///
/// ```
/// use numpack::ndarray::array;
/// use numpack::vector::Vectors;
///
/// let two = Vectors::from_slice(&[1.0_f32, 0.0, 0.0, 1.0], 2)?;
/// let same = array![[1.0_f32, 0.0], [0.0, 1.0]];
/// assert_eq!(Vectors::from_array(&same)?.rows(), two.rows());
/// # Ok::<(), numpack::NpkError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    bytes: &'a [u8],
    dtype: DataType,
    rows: usize,
    dims: usize,
}

impl<'a> Vectors<'a> {
    /// Vectors given as little-endian bytes: `shape` is `[dims]` for one vector or `[rows, dims]`.
    /// The bytes need no alignment.
    ///
    /// # Errors
    /// `VectorShape` when the shape has another number of dimensions or does not fit the bytes.
    pub fn from_bytes(bytes: &'a [u8], dtype: DataType, shape: &[usize]) -> NpkResult<Self> {
        let (rows, dims) = match *shape {
            [dims] => (1, dims),
            [rows, dims] => (rows, dims),
            _ => return Err(wrong_shape("vectors have one or two dimensions", "(rows, dims)".into(), shape)),
        };
        let wanted = rows.checked_mul(dims).and_then(|len| len.checked_mul(dtype.size_bytes()));
        if wanted != Some(bytes.len()) {
            let expected = format!("one of {} bytes of {dtype}", bytes.len());
            return Err(wrong_shape("the bytes do not fill the shape", expected, shape));
        }
        Ok(Vectors { bytes, dtype, rows, dims })
    }

    /// Vectors of `dims` elements, one behind the other.
    ///
    /// # Errors
    /// `VectorShape` when the slice does not hold whole vectors, or `dims` is 0.
    pub fn from_slice<T: NpkElement>(values: &'a [T], dims: usize) -> NpkResult<Self> {
        let shape = [values.len().checked_div(dims).unwrap_or(0), dims];
        Self::from_bytes(bytes_of(values), T::DTYPE, &shape)
    }

    /// One vector.
    pub fn one<T: NpkElement>(values: &'a [T]) -> Self {
        Vectors { bytes: bytes_of(values), dtype: T::DTYPE, rows: 1, dims: values.len() }
    }

    /// The vectors of an array of one or two dimensions in C order.
    ///
    /// # Errors
    /// `VectorShape` for another number of dimensions; `InvalidArgument` for another order, which
    /// `as_standard_layout` puts right.
    pub fn from_array<T, S, D>(array: &'a ArrayBase<S, D>) -> NpkResult<Self>
    where
        T: NpkElement,
        S: Data<Elem = T>,
        D: Dimension,
    {
        let values = array.as_slice().ok_or_else(|| NpkError::InvalidArgument {
            argument: "vectors",
            value: format!("strides {:?}", array.strides()),
            reason: "the array is not in C order",
        })?;
        Self::from_bytes(bytes_of(values), T::DTYPE, array.shape())
    }

    /// Number of vectors.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a vector.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Element type.
    pub fn dtype(&self) -> DataType {
        self.dtype
    }

    /// The bytes of one vector.
    pub(crate) fn row(&self, row: usize) -> &'a [u8] {
        let size = self.dims * self.dtype.size_bytes();
        &self.bytes[row * size..(row + 1) * size]
    }

    /// An error unless both sides have the same number of elements.
    pub(crate) fn check_dims(&self, dims: usize) -> NpkResult<()> {
        if self.dims == dims {
            return Ok(());
        }
        Err(NpkError::DimensionMismatch { queries: self.dims, rows: dims })
    }

    /// The vectors as rows to search.
    pub(crate) fn table(&self) -> Table<'a> {
        Table {
            base: self.bytes.as_ptr(),
            rows: self.rows as u64,
            dims: self.dims,
            dtype: self.dtype,
            memory: PhantomData,
        }
    }
}

fn wrong_shape(reason: &'static str, expected: String, found: &[usize]) -> NpkError {
    let found = found.iter().map(|&dim| dim as u64).collect();
    NpkError::VectorShape { what: "vectors", reason, expected, found }
}

/// Rows that kernels read, by physical number. The memory is readable as long as the table lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table<'a> {
    base: *const u8,
    rows: u64,
    dims: usize,
    dtype: DataType,
    memory: PhantomData<&'a [u8]>,
}

// SAFETY: a table only hands out its pointer, to kernels that read; the memory is borrowed for its lifetime
// and may be read by any thread.
unsafe impl Send for Table<'_> {}
// SAFETY: as above; no method changes the table.
unsafe impl Sync for Table<'_> {}

impl<'a> Table<'a> {
    /// The first `rows` rows of a mapped data file.
    ///
    /// # Panics
    /// When the mapping has not so many bytes.
    pub(crate) fn mapped(mapping: &'a Mapping, rows: u64, dims: usize, dtype: DataType) -> Table<'a> {
        let bytes = (dims as u64 * dtype.size_bytes() as u64).checked_mul(rows);
        assert!(bytes.is_some_and(|bytes| bytes <= mapping.len()), "{rows} rows leave the mapping");
        Table { base: mapping.as_ptr(), rows, dims, dtype, memory: PhantomData }
    }

    /// Start of the first row.
    pub(crate) fn base(&self) -> *const u8 {
        self.base
    }

    /// Rows that may be read.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Elements of a row.
    pub(crate) fn dims(&self) -> usize {
        self.dims
    }

    /// Whether every byte of a row is 0.
    ///
    /// # Panics
    /// When the row is not in the table.
    pub(crate) fn is_zero(&self, row: u64) -> bool {
        assert!(row < self.rows, "a row leaves the table");
        let start = row as usize * self.row_bytes();
        // SAFETY: every byte is inside the row, which is inside the table.
        (0..self.row_bytes()).all(|byte| unsafe { self.base.add(start + byte).read() } == 0)
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.dims * self.dtype.size_bytes()
    }
}
