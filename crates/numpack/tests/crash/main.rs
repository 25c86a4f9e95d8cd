//! What is left when a process dies, a disk fails, the power is cut or a file is damaged.

#[cfg(unix)]
#[path = "../support/alone.rs"]
mod alone;
#[cfg(target_os = "linux")]
#[path = "../support/contents.rs"]
mod contents;
#[cfg(target_os = "linux")]
#[path = "../support/cuts/mod.rs"]
mod cuts;
#[cfg(target_os = "linux")]
#[path = "../support/disk.rs"]
mod disk;
#[path = "../support/folder.rs"]
mod folder;
#[path = "../support/log.rs"]
mod log;
#[path = "../support/log_parts.rs"]
mod log_parts;
#[cfg(unix)]
#[path = "../support/packages.rs"]
mod packages;
#[cfg(unix)]
#[path = "../support/procs.rs"]
mod procs;
#[cfg(unix)]
#[path = "../support/random.rs"]
mod random;
#[cfg(target_os = "linux")]
#[path = "../support/scene.rs"]
mod scene;
#[cfg(target_os = "linux")]
#[path = "../support/values.rs"]
mod values;

mod damage;
#[cfg(target_os = "linux")]
mod disk_faults;
#[cfg(unix)]
mod forked;
mod hostile_log;
#[cfg(unix)]
mod killed;
#[cfg(unix)]
mod killed_package;
#[cfg(target_os = "linux")]
mod opening;
#[cfg(target_os = "linux")]
mod power_cut;
mod repair;
#[cfg(target_os = "linux")]
mod strict_posix;
