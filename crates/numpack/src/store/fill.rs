//! Reading into memory that the caller provides: for bindings, whose arrays are allocated elsewhere.

use std::mem::MaybeUninit;

use crate::store::handle::Store;
use crate::store::reading::read::Target;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

/// The caller's memory, which has been found to have the right size.
pub(crate) struct Filled<B>(pub(crate) B);

impl<B: AsMut<[MaybeUninit<u8>]>> Filled<B> {
    /// Asks for memory for an array of this dtype and shape.
    ///
    /// # Errors
    /// Those of `allocate`; `InvalidArgument` when the memory has another size.
    pub(crate) fn new(
        allocate: &mut impl FnMut(DataType, &[u64]) -> NpkResult<B>,
        dtype: DataType,
        shape: &[u64],
    ) -> NpkResult<Self> {
        let mut buffer = allocate(dtype, shape)?;
        let wanted = shape.iter().product::<u64>().saturating_mul(dtype.size_bytes() as u64);
        let found = buffer.as_mut().len() as u64;
        if found != wanted {
            return Err(NpkError::InvalidArgument {
                argument: "allocate",
                value: format!("{found} bytes"),
                reason: "the memory must hold exactly the elements of the shape it was called with",
            });
        }
        Ok(Filled(buffer))
    }
}

impl<B: AsMut<[MaybeUninit<u8>]>> Target for Filled<B> {
    fn bytes(&mut self) -> &mut [MaybeUninit<u8>] {
        self.0.as_mut()
    }
}

impl Store {
    /// The whole array, little-endian in C order, in memory that `allocate` returns for its dtype and shape.
    ///
    /// `allocate` is called again when the array changes its shape while it is read.
    ///
    /// # Errors
    /// `ArrayNotFound`; `InvalidArgument` when the memory has another size; `Corrupted`, `Io`, and those of
    /// `allocate`.
    pub fn load_into<B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        name: &str,
        mut allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> NpkResult<B> {
        let (_, target) = self.core()?.read_range(name, |array| {
            let target = Filled::new(&mut allocate, array.dtype, &array.logical_shape())?;
            Ok((0..array.rows(), target))
        })?;
        Ok(target.0)
    }

    /// Rows by index, as [`Store::getitem`], in memory that `allocate` returns for their dtype and shape.
    /// `of` is the number of rows that the indexes are about, as in [`RawRows`](crate::RawRows).
    ///
    /// # Errors
    /// `IndexOutOfBounds`, `InvalidShape` for a scalar, `RowsChanged`, and those of [`Store::load_into`].
    pub fn getitem_into<B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        name: &str,
        indexes: &[i64],
        of: Option<u64>,
        mut allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> NpkResult<B> {
        let (_, target) = self.core()?.read_rows(name, indexes, of, |array, rows| {
            let mut shape = array.shape.clone();
            shape[0] = rows;
            Filled::new(&mut allocate, array.dtype, &shape)
        })?;
        Ok(target.0)
    }
}
