//! What a reader gets: every way to read, beside others who write.

#[cfg(unix)]
#[path = "../support/alone.rs"]
mod alone;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the crash tests use all of it")]
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/folder.rs"]
mod folder;
#[cfg(unix)]
#[path = "../support/procs.rs"]
mod procs;
#[cfg(unix)]
#[path = "../support/random.rs"]
mod random;
#[path = "../support/values.rs"]
mod values;
#[cfg(unix)]
#[path = "../support/wide_rows.rs"]
mod wide_rows;
#[cfg(unix)]
#[path = "../support/worker.rs"]
mod worker;

#[cfg(unix)]
mod beside_writers;
mod caller_memory;
#[cfg(target_os = "linux")]
mod descriptors;
mod views;
#[cfg(target_os = "linux")]
mod writable_view;
