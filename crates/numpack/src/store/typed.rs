//! Between Rust's types and the bytes that the verbs take and give.

use ndarray::{ArrayD, IxDyn};

use crate::log::catalog::ArrayState;
use crate::store::buffers::Elements;
use crate::store::commit::state::StoreState;
use crate::types::dtype::DataType;
use crate::types::element::{NpkElement, bytes_of};
use crate::types::error::{NpkError, NpkResult};

/// The shape as the store writes it.
pub(crate) fn shape_of<T>(array: &ArrayD<T>) -> Vec<u64> {
    array.shape().iter().map(|&dim| dim as u64).collect()
}

/// The elements of an array in C order, as bytes.
pub(crate) fn elements<'a, T: NpkElement>(array: &'a ndarray::CowArray<'_, T, IxDyn>) -> &'a [u8] {
    bytes_of(array.as_slice().unwrap_or_default())
}

/// An error when a given dtype is not that of `T`.
pub(crate) fn check_dtype<T: NpkElement>(name: &str, found: DataType) -> NpkResult<()> {
    if found == T::DTYPE {
        return Ok(());
    }
    Err(NpkError::InvalidDtype { array: name.to_owned(), expected: T::DTYPE, found })
}

/// An error when the stored dtype is not that of `T`.
pub(crate) fn check_dtype_of<T: NpkElement>(array: &ArrayState) -> NpkResult<()> {
    if array.dtype == T::DTYPE {
        return Ok(());
    }
    Err(NpkError::InvalidDtype { array: array.name.to_string(), expected: array.dtype, found: T::DTYPE })
}

/// The filled target as a vector.
pub(crate) fn finish<T: NpkElement>(
    core: &StoreState,
    array: &ArrayState,
    target: Elements<T>,
) -> NpkResult<Vec<T>> {
    target.into_vec().map_err(|at| {
        let path = core.path().join(array.file().to_string());
        NpkError::corrupted(path, at, "a byte of a bool array is neither 0 nor 1")
    })
}

/// The filled target as an array of this shape.
pub(crate) fn into_array<T: NpkElement>(
    core: &StoreState,
    array: &ArrayState,
    shape: &[u64],
    target: Elements<T>,
) -> NpkResult<ArrayD<T>> {
    to_array(&array.name, shape, finish(core, array, target)?)
}

/// A vector as an array of this shape.
pub(crate) fn to_array<T>(name: &str, shape: &[u64], values: Vec<T>) -> NpkResult<ArrayD<T>> {
    let dims: Vec<usize> = shape.iter().map(|&dim| dim as usize).collect();
    ArrayD::from_shape_vec(dims, values).map_err(|_| NpkError::InvalidShape {
        array: name.to_owned(),
        reason: "the array does not fit this machine's addresses",
        expected: "fewer elements".into(),
        found: shape.to_vec(),
    })
}
