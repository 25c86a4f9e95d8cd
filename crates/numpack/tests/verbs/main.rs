//! What each verb does, from one process and from many.

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
#[path = "../support/packages.rs"]
mod packages;
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

mod against_a_model;
mod arguments;
mod changing_input;
#[cfg(unix)]
mod full_disk;
mod ingest;
#[cfg(unix)]
mod ingest_beside;
#[cfg(unix)]
mod many_writers;
mod names;
mod opening;
#[cfg(unix)]
mod package;
mod quickstart;
#[cfg(target_os = "linux")]
mod recycled_files;
mod refused;
#[cfg(target_os = "linux")]
mod rename;
mod several_arrays;
mod shapes;
