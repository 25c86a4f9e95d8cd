//! Mapped memory of a file, reached only through raw pointers.
//!
//! # Why this is sound
//! Bytes of a shared mapping can change at any time: another process may replace rows. No reference to them
//! is ever made inside the engine. Copies in and out go through raw pointers, and what was copied is used
//! only after a sequence word or the commit log has shown that the copy is whole, or after the redo bytes
//! have been laid over it; every bit pattern of a byte is a valid byte, so a torn copy is wrong data for a
//! moment and never a broken value. Words that synchronise are `AtomicU64`s at aligned offsets.
//! The one place that hands out a pointer, [`Mapping::as_ptr`], is for views whose documentation says that
//! they are live.
//!
//! # Why this does not fault
//! `confirmed` is a length that `fstat` has shown; every access is checked against it, and no data file is
//! ever shortened. Room behind it is reserved address space: a file that grows needs no new mapping.
//! Stores go to pages that [`Mapping::prefault_writes`] made writable or whose blocks are known to exist.
#![expect(unsafe_code, reason = "the one module that touches mapped memory")]

use std::hint::black_box;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;

use crate::checksum::change;
use crate::checksum::crc32c;

/// Stores of at least this many bytes go past the caches: the file's pages are not read again soon, and a
/// core need not fetch a line that it overwrites. Saving 38 MB into a file used again, with its pages still to
/// be faulted in, took 5.7 ms with it and 7.7 ms without.
const STREAMED: usize = 256 << 10;

/// Bytes that are copied and then summed while they are in the first-level cache.
pub(crate) const PIECE: usize = 8 << 10;

/// Mapped bytes of one file; see the header of this module for what may be done with them.
#[derive(Debug)]
pub struct Mapping {
    raw: MmapRaw,
    confirmed: AtomicU64,
    writable: bool,
}

#[expect(clippy::len_without_is_empty, reason = "a length in bytes, not a collection")]
impl Mapping {
    /// Takes over a raw mapping whose first `confirmed` bytes are backed by the file.
    pub(crate) fn new(raw: MmapRaw, confirmed: u64, writable: bool) -> Mapping {
        Mapping { confirmed: AtomicU64::new(confirmed.min(raw.len() as u64)), raw, writable }
    }

    /// Bytes that may be accessed.
    pub fn len(&self) -> u64 {
        self.confirmed.load(Ordering::Acquire)
    }

    /// Bytes of address space, confirmed or not.
    pub fn capacity(&self) -> u64 {
        self.raw.len() as u64
    }

    /// Makes the first `len` bytes accessible; the caller has seen that the file is that long.
    /// Returns false when the mapping has no room for them.
    pub(crate) fn confirm(&self, len: u64) -> bool {
        let fits = len <= self.capacity();
        if fits {
            self.confirmed.fetch_max(len, Ordering::AcqRel);
        }
        fits
    }

    /// Start of the mapping. Bytes behind it may change while they are read.
    pub fn as_ptr(&self) -> *const u8 {
        self.raw.as_ptr()
    }

    /// Copies `dst.len()` bytes at `offset` out of the mapping.
    ///
    /// # Panics
    /// When the range leaves the confirmed bytes; callers have checked it against the committed length.
    pub(crate) fn read(&self, offset: u64, dst: &mut [MaybeUninit<u8>]) {
        let start = self.checked(offset, dst.len());
        // SAFETY: `checked` proved that the source range lies in confirmed bytes; `dst` is a Rust slice that
        // cannot overlap a mapping; concurrent change of the source is argued in the module header.
        unsafe { std::ptr::copy_nonoverlapping(start, dst.as_mut_ptr().cast(), dst.len()) }
    }

    /// Gathers fixed-size pieces: piece `i` comes from byte `starts[i] * size` and lands at `dst[i * size]`.
    ///
    /// # Panics
    /// When a piece leaves the confirmed bytes or `dst` is not `starts.len() * size` long.
    pub(crate) fn gather(&self, size: usize, starts: &[u64], dst: &mut [MaybeUninit<u8>]) {
        assert_eq!(
            Some(dst.len()),
            starts.len().checked_mul(size),
            "the target has one place for every piece"
        );
        let pieces = self.len().checked_div(size as u64).unwrap_or(0);
        assert!(size == 0 || starts.iter().all(|&start| start < pieces), "a piece leaves the mapping");
        let (src, dst) = (self.raw.as_ptr(), dst.as_mut_ptr().cast::<u8>());
        // SAFETY: the asserts prove every source inside confirmed bytes and every target inside `dst`.
        unsafe { gather_pieces(src, size, starts, dst) }
    }

    /// Copies `bytes` into the mapping at `offset`.
    ///
    /// # Errors
    /// `InvalidInput` when the range leaves the confirmed bytes or the mapping is read-only.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = self.range(offset, bytes.len()).filter(|_| self.writable).ok_or_else(outside)?;
        // SAFETY: the range is confirmed and the mapping writable; readers are argued in the module header.
        unsafe {
            if bytes.len() < STREAMED {
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), start.cast_mut(), bytes.len());
            } else {
                copy_past_caches(bytes, start.cast_mut());
                end_of_stream();
            }
        }
        Ok(())
    }

    /// Copies `bytes` into the mapping at `offset`, past the caches, and returns the checksum of what it
    /// stored, whatever becomes of `bytes` meanwhile: each piece is copied to the stack, summed and stored
    /// from there.
    ///
    /// # Errors
    /// As for [`Mapping::write`].
    pub(crate) fn write_summed(&self, offset: u64, bytes: &[u8]) -> io::Result<u32> {
        let start = self.range(offset, bytes.len()).filter(|_| self.writable).ok_or_else(outside)?;
        let mut crc = 0;
        let mut store = |i: usize, copy: &[u8]| {
            crc = crc32c(crc, copy);
            // SAFETY: as in `write`; piece `i`, of which `copy` is, lies in the range that was checked.
            unsafe { copy_past_caches(copy, start.cast_mut().add(i * PIECE)) };
        };
        // A piece is summed and stored after the next one is copied: the core waits for its bytes meanwhile.
        let mut copies = [[0; PIECE]; 2];
        let mut last: Option<(usize, usize)> = None;
        for (i, piece) in bytes.chunks(PIECE).enumerate() {
            let copy = &mut copies[i % 2][..piece.len()];
            copy.copy_from_slice(piece);
            sealed(copy);
            if let Some((i, len)) = last.replace((i, piece.len())) {
                store(i, &copies[i % 2][..len]);
            }
        }
        if let Some((i, len)) = last {
            store(i, &copies[i % 2][..len]);
        }
        end_of_stream();
        Ok(crc)
    }

    /// By what the checksum of the first `len` bytes changes when `bytes` are stored at `offset`.
    ///
    /// # Panics
    /// When the range leaves those bytes.
    pub(crate) fn change(&self, offset: u64, bytes: &[u8], len: u64) -> u32 {
        let old = self.checked(offset, bytes.len());
        let after = len.checked_sub(offset + bytes.len() as u64);
        let Some(after) = after else { panic!("{} bytes at {offset} leave {len}", bytes.len()) };
        // SAFETY: `checked` proved the range to be confirmed; who may change it is argued in the module header.
        unsafe { change(old, bytes, after) }
    }

    /// Loads the atomic word at byte `offset`.
    ///
    /// # Panics
    /// When the word leaves the confirmed bytes or is not aligned to 8.
    pub(crate) fn load_word(&self, offset: u64, order: Ordering) -> u64 {
        self.word(offset).load(order)
    }

    /// Stores the atomic word at byte `offset`, after all earlier stores.
    ///
    /// # Errors
    /// `InvalidInput` when the word leaves the confirmed bytes, is not aligned to 8, or the mapping is read-only.
    pub(crate) fn store_word(&self, offset: u64, value: u64) -> io::Result<()> {
        let inside = self.writable && offset.is_multiple_of(8) && self.range(offset, 8).is_some();
        if !inside {
            return Err(outside());
        }
        self.word(offset).store(value, Ordering::Release);
        Ok(())
    }

    fn word(&self, offset: u64) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8), "words are aligned");
        let start = self.checked(offset, 8);
        // SAFETY: in range and aligned (a mapping starts at a page); every party uses it as an atomic word.
        unsafe { AtomicU64::from_ptr(start.cast_mut().cast()) }
    }

    /// Makes the pages of a range present and writable now, so that a store needs no fault and no block.
    ///
    /// # Errors
    /// The system's error where a store would have been a signal. Not supporting it is no error.
    #[cfg(target_os = "linux")]
    pub(crate) fn prefault_writes(&self, offset: u64, len: u64) -> io::Result<()> {
        let (offset, len) = (fit(offset)?, fit(len)?);
        match self.raw.advise_range(memmap2::Advice::PopulateWrite, offset, len) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other,
        }
    }

    /// Only Linux can be asked to do this ahead.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn prefault_writes(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn checked(&self, offset: u64, len: usize) -> *const u8 {
        match self.range(offset, len) {
            Some(start) => start,
            None => panic!("{len} bytes at {offset} leave a mapping of {} bytes", self.len()),
        }
    }

    fn range(&self, offset: u64, len: usize) -> Option<*const u8> {
        let end = offset.checked_add(len as u64)?;
        let offset = usize::try_from(offset).ok()?;
        // SAFETY: `end` is inside the confirmed bytes, so the pointer stays in the mapping.
        (end <= self.len()).then(|| unsafe { self.raw.as_ptr().add(offset) })
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the range leaves the writable mapping")
}

#[cfg(target_os = "linux")]
fn fit(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(|_| outside())
}

/// Copies pieces of `size` bytes. Common sizes get a copy of constant length, which the compiler turns into
/// a few moves; the rest call `memcpy`.
///
/// # Safety
/// Every `starts[i] * size .. + size` must be readable behind `src`, and `starts.len() * size` writable at `dst`.
unsafe fn gather_pieces(src: *const u8, size: usize, starts: &[u64], dst: *mut u8) {
    macro_rules! constant {
        ($($n:literal)*) => {
            match size {
                0 => {}
                // SAFETY: the caller's promise, with the size spelled as a constant.
                $($n => unsafe { gather_const::<$n>(src, starts, dst) },)*
                _ => {
                    for (i, &start) in starts.iter().enumerate() {
                        // SAFETY: the caller's promise.
                        unsafe { std::ptr::copy_nonoverlapping(src.add(start as usize * size), dst.add(i * size), size) }
                    }
                }
            }
        };
    }
    constant!(1 2 4 8 12 16 20 24 32 40 48 64 80 96 128)
}

/// # Safety
/// As for [`gather_pieces`], with `N` for the size.
unsafe fn gather_const<const N: usize>(src: *const u8, starts: &[u64], dst: *mut u8) {
    for (i, &start) in starts.iter().enumerate() {
        // SAFETY: the caller's promise; `[u8; N]` has no alignment.
        unsafe {
            dst.add(i * N).cast::<[u8; N]>().write(src.add(start as usize * N).cast::<[u8; N]>().read())
        }
    }
}

/// Copies `bytes` to `target` with non-temporal stores; [`end_of_stream`] must follow the last of them.
///
/// # Safety
/// `bytes.len()` bytes must be writable at `target` and not overlap `bytes`.
#[cfg(target_arch = "x86_64")]
unsafe fn copy_past_caches(bytes: &[u8], target: *mut u8) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
    const STEP: usize = size_of::<__m128i>();
    let head = target.align_offset(STEP).min(bytes.len());
    let (first, rest) = bytes.split_at(head);
    let (steps, last) = rest.split_at(rest.len() / STEP * STEP);
    // SAFETY: the three parts together are the caller's range; the middle one begins where `target` is
    // aligned, as streaming stores need; SSE2 is part of every x86-64.
    unsafe {
        std::ptr::copy_nonoverlapping(first.as_ptr(), target, head);
        for (i, step) in steps.chunks_exact(STEP).enumerate() {
            let value = _mm_loadu_si128(step.as_ptr().cast());
            _mm_stream_si128(target.add(head + i * STEP).cast(), value);
        }
        std::ptr::copy_nonoverlapping(last.as_ptr(), target.add(head + steps.len()), last.len());
    }
}

/// # Safety
/// As on x86-64.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_past_caches(bytes: &[u8], target: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) }
}

/// Orders streamed stores before every later one, such as the end of a replace.
#[cfg(target_arch = "x86_64")]
fn end_of_stream() {
    // SAFETY: a fence touches no memory, and SSE is part of every x86-64.
    unsafe { std::arch::x86_64::_mm_sfence() }
}

/// Other targets have copied with ordinary stores.
#[cfg(not(target_arch = "x86_64"))]
fn end_of_stream() {}

/// Makes the compiler read `copy` itself from now on, never again the foreign memory that it was copied from.
pub(crate) fn sealed(copy: &mut [u8]) {
    black_box(copy);
}
