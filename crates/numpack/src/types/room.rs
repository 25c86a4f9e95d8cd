//! Memory whose size comes from input or from numbers of rows: when it cannot be had, that is an error of the call.

use std::io;

use crate::types::error::{NpkError, NpkResult};

/// Makes room for `more` items of a list.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn reserve<T>(list: &mut Vec<T>, more: usize) -> NpkResult<()> {
    list.try_reserve(more).map_err(|_| {
        let items = (list.len() as u64).saturating_add(more as u64);
        NpkError::OutOfMemory { bytes: items.saturating_mul(size_of::<T>() as u64) }
    })
}

/// So many zeros.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn zeros(len: usize) -> NpkResult<Vec<u8>> {
    let mut bytes = Vec::new();
    reserve(&mut bytes, len)?;
    bytes.resize(len, 0);
    Ok(bytes)
}

/// Makes a buffer at least so long, with zeros.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn lengthen(bytes: &mut Vec<u8>, len: usize) -> NpkResult<()> {
    if bytes.len() < len {
        reserve(bytes, len - bytes.len())?;
        bytes.resize(len, 0);
    }
    Ok(())
}

/// A copy of a list.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn copied<T: Copy>(list: &[T]) -> NpkResult<Vec<T>> {
    let mut copy = Vec::new();
    reserve(&mut copy, list.len())?;
    copy.extend_from_slice(list);
    Ok(copy)
}

/// Memory that a call with the system's errors lacks; [`NpkError::io`] makes it what it was.
pub(crate) fn lacking(error: NpkError) -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, error)
}
