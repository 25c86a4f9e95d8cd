//! What must not survive a fork: a counter that tells a child from its parent, and values kept per process.
//!
//! The counter is bumped in the child by a handler that the first open registers; nothing runs at import.
#![expect(unsafe_code, reason = "registering a fork handler is a call into libc")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Once};

use arc_swap::ArcSwapOption;

static FORKS: AtomicU64 = AtomicU64::new(0);
static HANDLER: Once = Once::new();

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Number of forks between the process that first opened a store and this one.
pub(crate) fn forks() -> u64 {
    HANDLER.call_once(|| {
        // SAFETY: the handler only increments an atomic, which is allowed between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}

/// A value made on first use in each process. A child never touches its parent's: its threads and locks
/// were not forked.
pub(crate) struct PerProcess<T: 'static> {
    current: LazyLock<ArcSwapOption<(u64, T)>>,
    make: fn() -> T,
}

impl<T: Send + Sync + 'static> PerProcess<T> {
    pub(crate) const fn new(make: fn() -> T) -> Self {
        PerProcess { current: LazyLock::new(ArcSwapOption::empty), make }
    }

    /// This process's value.
    pub(crate) fn get(&self) -> Arc<(u64, T)> {
        let forks = forks();
        loop {
            let current = self.current.load_full();
            if let Some(value) = current.as_ref().filter(|value| value.0 == forks) {
                return Arc::clone(value);
            }
            let fresh = Arc::new((forks, (self.make)()));
            let previous = self.current.compare_and_swap(&current, Some(Arc::clone(&fresh)));
            if previous.as_ref().map(Arc::as_ptr) == current.as_ref().map(Arc::as_ptr) {
                // The parent's value is left alone for good: dropping it would join threads that are not here.
                std::mem::forget(current);
                return fresh;
            }
        }
    }
}
