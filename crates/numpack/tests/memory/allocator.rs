//! The allocator of this binary: it counts, and refuses a large block when a test wants that.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Blocks of at least this many bytes can be refused.
const LARGE: usize = 16 << 10;

/// Counts what is allocated, and the most that was at one time.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Large blocks that are given before one is refused; below 0 all are given.
static LEFT: AtomicI64 = AtomicI64::new(-1);

// SAFETY: the system's allocator does the work; beside it only numbers change.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let refused = layout.size() >= LARGE
            && LEFT.load(Ordering::Relaxed) >= 0
            && LEFT.fetch_sub(1, Ordering::Relaxed) == 0;
        if refused {
            return std::ptr::null_mut();
        }
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that is allocated at one time while `work` runs.
pub(crate) fn peak_of(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

/// Runs `work` and refuses large block number `n` that it asks for, and whether there was one.
pub(crate) fn refusing<R>(n: i64, work: impl FnOnce() -> R) -> (R, bool) {
    LEFT.store(n, Ordering::Relaxed);
    let result = work();
    let left = LEFT.swap(-1, Ordering::Relaxed);
    (result, left < 0)
}
