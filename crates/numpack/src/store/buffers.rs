//! Arrays as bytes: the form in which every verb takes and gives them below the typed interface.

use std::alloc::Layout;
use std::mem::MaybeUninit;

use crate::rows::Selection;
use crate::store::reading::read::Target;
use crate::types::dtype::DataType;
use crate::types::element::NpkElement;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// An array to be saved: name, dtype, shape, little-endian bytes in C order.
#[derive(Clone, Copy, Debug)]
pub struct RawArray<'a> {
    /// Name of the array.
    pub name: &'a str,
    /// Element type.
    pub dtype: DataType,
    /// Shape; empty for a scalar.
    pub shape: &'a [u64],
    /// The elements.
    pub bytes: &'a [u8],
}

/// Rows for an existing array: the shape is that of the rows, the first dimension their number.
#[derive(Clone, Copy, Debug)]
pub struct RawRows<'a> {
    /// The rows as an array.
    pub rows: RawArray<'a>,
    /// The rows that they replace.
    pub selection: Selection<'a>,
}

/// A vector being filled, element by element type.
pub(crate) struct Elements<T> {
    vec: Vec<T>,
    len: usize,
}

impl<T: NpkElement> Elements<T> {
    /// Room for `len` elements, on huge pages when there is much of it.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn with_len(len: u64) -> NpkResult<Self> {
        let bytes = len.saturating_mul(size_of::<T>() as u64);
        let out = || NpkError::OutOfMemory { bytes };
        let len = usize::try_from(len).map_err(|_| out())?;
        Layout::array::<T>(len).map_err(|_| out())?;
        let mut vec: Vec<T> = Vec::new();
        vec.try_reserve_exact(len).map_err(|_| out())?;
        advise_huge(vec.spare_capacity_mut());
        Ok(Elements { vec, len })
    }

    /// Room for `len` elements in the memory of a vector that is no longer needed.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reusing(mut vec: Vec<T>, len: u64) -> NpkResult<Self> {
        vec.clear();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        reserve(&mut vec, len)?;
        Ok(Elements { vec, len })
    }

    /// The filled vector.
    ///
    /// # Errors
    /// The position of the first byte that is no value of `T`.
    #[expect(unsafe_code, reason = "the bytes were filled through `Target::bytes`")]
    pub(crate) fn into_vec(mut self) -> Result<Vec<T>, u64> {
        if T::DTYPE == DataType::Bool {
            let bytes = self.bytes();
            // SAFETY: the caller filled every byte; bytes may have any value.
            let wrong = bytes.iter().position(|byte| unsafe { byte.assume_init() } > 1);
            if let Some(at) = wrong {
                return Err(at as u64);
            }
        }
        // SAFETY: `len` elements were reserved and filled; every bit pattern is a value of the numeric
        // types, and bools were checked above.
        unsafe { self.vec.set_len(self.len) };
        Ok(self.vec)
    }
}

impl<T: NpkElement> Target for Elements<T> {
    #[expect(unsafe_code, reason = "a view of uninitialised elements as uninitialised bytes")]
    fn bytes(&mut self) -> &mut [MaybeUninit<u8>] {
        let spare = &mut self.vec.spare_capacity_mut()[..self.len];
        // SAFETY: same memory and length in bytes; uninitialised bytes may be viewed as such.
        unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), size_of_val(spare)) }
    }
}

/// Asks for huge pages under a large buffer, so that filling it faults once in 2 MiB and not in 4 KiB.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a hint to the kernel about memory that this process owns")]
fn advise_huge<T>(buffer: &mut [MaybeUninit<T>]) {
    const HUGE: usize = 2 << 20;
    let start = (buffer.as_mut_ptr() as usize).next_multiple_of(HUGE);
    let end = (buffer.as_mut_ptr() as usize + size_of_val(buffer)) / HUGE * HUGE;
    if end > start {
        // SAFETY: the range lies inside `buffer`; the advice never changes contents.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_huge<T>(_buffer: &mut [MaybeUninit<T>]) {}
