//! A row behind a raw pointer: reading its elements, asking for it ahead of time.
#![expect(unsafe_code, reason = "rows are read through raw pointers")]

/// Element `index` of a row, which needs no alignment.
///
/// # Safety
/// The element must be readable.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(row: *const u8, index: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { row.cast::<T>().add(index).read_unaligned() }
}

/// Asks for a row that is read soon: the CPU's own look-ahead ends with a page.
///
/// # Safety
/// The row must be readable.
#[inline(always)]
pub(crate) unsafe fn prefetch(row: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        /// How much of a row is asked for.
        const MOST: usize = 1024;
        for line in (0..bytes.min(MOST)).step_by(64) {
            // SAFETY: a prefetch reads nothing; the address is inside the row.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(row.add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, bytes);
}

/// Rows asked for ahead of the one that is read.
pub(crate) const AHEAD: usize = 8;
