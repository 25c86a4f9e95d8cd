//! Reading into memory that the caller provides: for bindings, whose arrays are allocated elsewhere.

use std::mem::MaybeUninit;

use crate::log::catalog::ArrayState;
use crate::rows::Selection;
use crate::store::handle::Store;
use crate::store::reading::read::{Target, rows_only};
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
        let all = |_: &ArrayState| Ok(Selection::All);
        let found = self
            .core()?
            .read(name, all, |array, rows| Filled::new(&mut allocate, array.dtype, &array.shape_of(rows)))?;
        Ok(found.target.0)
    }

    /// Some rows, as [`Store::getitem`], in memory that `allocate` returns for their dtype and shape.
    ///
    /// # Errors
    /// As for [`Store::getitem`], without regard to types; those of [`Store::load_into`].
    pub fn getitem_into<'s, B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        name: &str,
        rows: impl Into<Selection<'s>>,
        mut allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> NpkResult<B> {
        let found = self.core()?.read(name, rows_only(rows.into()), |array, rows| {
            Filled::new(&mut allocate, array.dtype, &array.shape_of(rows))
        })?;
        Ok(found.target.0)
    }
}
