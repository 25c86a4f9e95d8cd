//! The disk and nothing but the disk.
//!
//! [`Folder`] and [`StorageFile`] are the seam: the engine above reaches files through them alone, so tests
//! put a failing, stopping or forgetting disk in their place. File names are the closed set of [`FileName`].
//! [`Partial`] is for what is beside a store: files and folders that appear whole or not at all.

pub(crate) mod cached;
mod capabilities;
pub(crate) mod control;
pub(crate) mod data_file;
pub(crate) mod folders;
pub(crate) mod lock;
mod mapping;
mod name;
mod os;
mod partial;
pub(crate) mod parts;
mod seam;

pub use mapping::Mapping;
pub use name::FileName;
pub use os::OsFolder;
pub(crate) use partial::is_nobodys;
pub use partial::{Partial, is_vacant};
pub use seam::{Access, Folder, FsCapabilities, Identity, LockKind, StorageFile};
