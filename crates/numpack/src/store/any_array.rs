//! Arrays of any element type side by side: what one call of [`Store::save`] takes.

use std::borrow::Cow;

use ndarray::{ArrayBase, Data, Dimension};

use crate::store::buffers::RawArray;
use crate::store::handle::Store;
use crate::types::dtype::DataType;
use crate::types::element::{NpkElement, bytes_of};
use crate::types::error::NpkResult;

/// The elements of an array in C order, whatever their type; made of any array of `ndarray` by `from`.
///
/// An array that is in C order already is borrowed, any other one is copied.
#[derive(Clone, Debug)]
pub struct AnyArray<'a> {
    dtype: DataType,
    shape: Vec<u64>,
    bytes: Cow<'a, [u8]>,
}

impl<'a, T, S, D> From<&'a ArrayBase<S, D>> for AnyArray<'a>
where
    T: NpkElement,
    S: Data<Elem = T>,
    D: Dimension,
{
    fn from(array: &'a ArrayBase<S, D>) -> Self {
        let shape = array.shape().iter().map(|&dim| dim as u64).collect();
        let bytes = match array.as_slice() {
            Some(elements) => Cow::Borrowed(bytes_of(elements)),
            None => Cow::Owned(bytes_of(&array.iter().copied().collect::<Vec<T>>()).to_vec()),
        };
        AnyArray { dtype: T::DTYPE, shape, bytes }
    }
}

impl Store {
    /// Saves arrays of several element types in one commit; existing names get new contents.
    ///
    /// ```
    /// use numpack::ndarray::{Array1, Array2};
    /// use numpack::prelude::*;
    ///
    /// # fn main() -> NpkResult<()> {
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::new(dir.path().join("data.npk"))?;
    /// let (vectors, ids) = (Array2::<f32>::ones((100, 8)), Array1::from_iter(0..100_i64));
    /// store.save(&[("vectors", (&vectors).into()), ("ids", (&ids).into())])?;
    /// assert_eq!(store.get_shape("vectors")?, [100, 8]);
    /// assert_eq!(store.load_array::<i64>("ids")?[7], 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidName`; `InvalidArgument` for a name given twice; `Locked`, `ReadOnly`, `Io`.
    pub fn save(&self, arrays: &[(&str, AnyArray<'_>)]) -> NpkResult<()> {
        let raw: Vec<RawArray<'_>> = arrays
            .iter()
            .map(|(name, array)| RawArray {
                name,
                dtype: array.dtype,
                shape: &array.shape,
                bytes: &array.bytes,
            })
            .collect();
        self.save_raw(&raw)
    }
}
