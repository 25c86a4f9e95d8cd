//! How much memory the engine takes, and what becomes of calls that get none. The allocator of this binary counts and
//! refuses, so nothing else is tested here.

mod allocator;
#[path = "../support/alone.rs"]
mod alone;
#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/procs.rs"]
mod procs;

mod no_memory;
#[cfg(target_os = "linux")]
mod packages;
mod replaced;
mod rows_without_bytes;
mod search;
