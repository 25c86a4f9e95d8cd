//! What must not survive a fork: a counter that tells a child from its parent, values kept per process, and
//! locks that a child would hold on to when its parent dies.
//!
//! All of it is done in the child by a handler that the first open registers; nothing runs at import.
#![expect(unsafe_code, reason = "a fork handler is registered with libc and may call nothing else")]

use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Once};

use arc_swap::ArcSwapOption;

static FORKS: AtomicU64 = AtomicU64::new(0);
static HANDLER: Once = Once::new();

/// Forks that this process has begun, and those that are over.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static OVER: AtomicU64 = AtomicU64::new(0);

extern "C" fn before() {
    BEGUN.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn in_parent() {
    OVER.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    // The thread that forked is the only one here.
    OVER.store(BEGUN.load(Ordering::SeqCst), Ordering::SeqCst);
    each_slot(|slot| {
        let (file, other) = (slot.file.load(Ordering::Acquire), slot.other.load(Ordering::Relaxed));
        if file >= 0 {
            // SAFETY: both calls are allowed between fork and exec, and both descriptors are open, as
            // `Private` says. The number stays taken, so whoever owns it here can still close it.
            unsafe {
                libc::dup2(other, file);
                libc::fcntl(file, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
    });
}

/// A descriptor whose open file no child shares: there its number stands for another file.
///
/// A lock belongs to the open file. Without this it would outlive a parent that died holding it for as long
/// as any of its children lives. The parent's lock stays: an open file ends with its last descriptor.
#[derive(Debug)]
pub(crate) struct Private(&'static Slot);

/// One private descriptor, or none (-1), and the one that takes its place in a child.
#[derive(Debug)]
struct Slot {
    file: AtomicI32,
    other: AtomicI32,
    next: *const Slot,
}

// SAFETY: `next` is written before a slot is shared and points to a slot that is never freed.
unsafe impl Sync for Slot {}

/// The slots; they are used again and never freed, so that a handler may walk over them at any instant.
static SLOTS: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());
/// In a slot that nobody uses, and in one that is being taken.
const FREE: RawFd = -1;
const TAKEN: RawFd = -2;

fn each_slot(mut visit: impl FnMut(&'static Slot)) {
    let mut at: *const Slot = SLOTS.load(Ordering::Acquire);
    // SAFETY: slots are never freed.
    while let Some(slot) = unsafe { at.as_ref() } {
        visit(slot);
        at = slot.next;
    }
}

impl Private {
    /// Makes `file` private; in a child `other` stands in its place. Both must stay open as long as this
    /// lives: it goes first.
    pub(crate) fn new(file: &impl AsRawFd, other: &impl AsRawFd) -> Private {
        forks();
        let mut found = None;
        each_slot(|slot| {
            let take = || slot.file.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
            if found.is_none() && take().is_ok() {
                found = Some(slot);
            }
        });
        let slot = found.unwrap_or_else(add_slot);
        slot.other.store(other.as_raw_fd(), Ordering::Relaxed);
        slot.file.store(file.as_raw_fd(), Ordering::Release);
        Private(slot)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        self.0.file.store(FREE, Ordering::Release);
    }
}

fn add_slot() -> &'static Slot {
    let (file, other) = (AtomicI32::new(TAKEN), AtomicI32::new(FREE));
    let slot = Box::leak(Box::new(Slot { file, other, next: ptr::null() }));
    let mut head = SLOTS.load(Ordering::Relaxed);
    loop {
        slot.next = head;
        match SLOTS.compare_exchange_weak(head, slot, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return slot,
            Err(now) => head = now,
        }
    }
}

/// Number of forks between the process that first opened a store and this one.
pub(crate) fn forks() -> u64 {
    HANDLER.call_once(|| {
        // SAFETY: the handler does what is allowed between fork and exec, see there.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
    FORKS.load(Ordering::Relaxed)
}

/// What `make` returns when no fork came while it ran: it is called again until then. A child that was forked between
/// the opening of a file and its [`Private`] shares a file that nobody uses any more.
///
/// # Errors
/// Those of `make`.
pub(crate) fn without_a_fork<R, E>(mut make: impl FnMut() -> Result<R, E>) -> Result<R, E> {
    forks();
    loop {
        let begun = BEGUN.load(Ordering::SeqCst);
        if OVER.load(Ordering::SeqCst) != begun {
            std::thread::yield_now();
            continue;
        }
        let made = make();
        if made.is_err() || BEGUN.load(Ordering::SeqCst) == begun {
            return made;
        }
    }
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
