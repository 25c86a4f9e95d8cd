//! How large an array can be.

use crate::types::dtype::DataType;

/// More rows than any array can have; keeps row arithmetic inside 64 bits.
pub(crate) const MAX_ROWS: u64 = 1 << 48;

/// Rows beyond this cannot be deleted: the set of deleted rows takes memory up to its highest row.
pub(crate) const DELETABLE_ROWS: u64 = 1 << 40;

/// Bytes of an array; an error where an address could not reach them.
pub(crate) fn checked_bytes(dtype: DataType, shape: &[u64]) -> Result<u64, &'static str> {
    let rows = shape.first().copied().unwrap_or(1);
    let row = shape.iter().skip(1).try_fold(dtype.size_bytes() as u64, |size, &dim| size.checked_mul(dim));
    row.and_then(|row| row.checked_mul(rows))
        .filter(|&bytes| bytes <= i64::MAX as u64 && rows < MAX_ROWS)
        .ok_or("an array is larger than any address")
}
