//! The thread pool of large calls: own, built on first use, one per process.
//!
//! Never rayon's global pool: a forked child would wait for threads that it does not have.

/// Work below this many bytes is done by the calling thread: waking another costs more.
pub(crate) const PARALLEL_BYTES: usize = 1 << 20;

/// Threads that a large call may use.
#[cfg(feature = "rayon")]
pub(crate) fn threads() -> usize {
    POOL.get().1.as_ref().map_or(1, rayon::ThreadPool::current_num_threads)
}

/// Threads that a large call may use: the caller's.
#[cfg(not(feature = "rayon"))]
pub(crate) fn threads() -> usize {
    1
}

/// Runs `work` on every item, on several threads, and returns the results in order.
#[cfg(feature = "rayon")]
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    use rayon::prelude::*;
    if items.len() < 2 {
        return items.into_iter().map(work).collect();
    }
    match &POOL.get().1 {
        Some(pool) => pool.install(|| items.into_par_iter().with_max_len(1).map(&work).collect()),
        None => items.into_iter().map(work).collect(),
    }
}

/// Without the `rayon` feature everything runs on the calling thread.
#[cfg(not(feature = "rayon"))]
pub(crate) fn map<T, R>(items: Vec<T>, work: impl Fn(T) -> R) -> Vec<R> {
    items.into_iter().map(work).collect()
}

/// Runs both, at the same time where there are threads.
#[cfg(feature = "rayon")]
pub(crate) fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    match &POOL.get().1 {
        Some(pool) => pool.join(a, b),
        None => (a(), b()),
    }
}

/// Without the `rayon` feature one after the other.
#[cfg(not(feature = "rayon"))]
pub(crate) fn join<A, B>(a: impl FnOnce() -> A, b: impl FnOnce() -> B) -> (A, B) {
    (a(), b())
}

#[cfg(feature = "rayon")]
static POOL: crate::process::PerProcess<Option<rayon::ThreadPool>> = crate::process::PerProcess::new(|| {
    // Without threads (a limit of the system) the work is done by the caller.
    rayon::ThreadPoolBuilder::new().thread_name(|i| format!("numpack-{i}")).build().ok()
});
