//! The disk and nothing but the disk.
//!
//! [`Folder`] and [`StorageFile`] are the seam: the engine above reaches files through them alone, so tests
//! put a failing, stopping or forgetting disk in their place. File names are the closed set of [`FileName`].

mod backend;
pub(crate) mod control;
pub(crate) mod data_file;
pub(crate) mod kept;
pub(crate) mod lock;
mod mapping;
mod name;
mod os;
pub(crate) mod parts;

pub use backend::{Access, Folder, Identity, LockKind, StorageFile, Traits};
pub use mapping::Mapping;
pub use name::FileName;
pub use os::OsFolder;
