//! Memory whose size comes from input or from numbers of rows: when it cannot be had, that is an error of the call.

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
