//! How much memory the engine takes. The allocator of this binary counts, so nothing else is tested here.

#[path = "../support/alone.rs"]
mod alone;
#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/procs.rs"]
mod procs;

#[cfg(target_os = "linux")]
mod packages;
mod replaced;
mod rows_without_bytes;
mod search;
