//! Packages: a store in one compressed file `.npkg`, to keep, move and share.
//!
//! A package holds the arrays of one commit, in blocks that several threads compress and that each have a
//! checksum, and an index at the end. It says nothing of when or where it was made: the same arrays give the
//! same bytes. Packing and unpacking need the memory of some blocks, however large the arrays are.
//!
//! ```
//! use numpack::package::{self, PackOptions, UnpackOptions};
//! use numpack::prelude::*;
//!
//! # fn main() -> NpkResult<()> {
//! # let dir = tempfile::tempdir().map_err(|e| NpkError::Io { path: "temp".into(), source: e })?;
//! # let source = dir.path().join("data.npk");
//! Store::new(source.clone())?.save_slice("a", &[1_i64, 2, 3], &[3])?;
//! let file = package::pack(&source, None, PackOptions::new(), package::quiet)?;
//! assert_eq!(package::info(&file)?.arrays[0].shape, [3]);
//! let copy = dir.path().join("copy.npk");
//! package::unpack(&file, Some(&copy), UnpackOptions::new(), package::quiet)?;
//! # Ok(())
//! # }
//! ```

mod codec;
mod format;
#[cfg(test)]
mod hostile;
mod options;
mod reader;
mod shuffle;
mod writer;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use options::{PackOptions, UnpackOptions};
pub use reader::{info, unpack, unpack_into, verify};
pub use writer::pack;

use crate::store::HIDDEN_PREFIX;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of array data that are done. It starts again when rows were replaced while they were packed.
    pub done: u64,
    /// Bytes of array data in all.
    pub total: u64,
}

/// A progress callback for those who do not look: goes on.
pub fn quiet(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// What [`info`] and [`verify`] tell of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackageInfo {
    /// Version of the format.
    pub version: u32,
    /// Its arrays, in the order of their names.
    pub arrays: Vec<PackedArray>,
    /// Bytes of the file.
    pub file_bytes: u64,
}

impl PackageInfo {
    /// Bytes of all arrays in a store.
    pub fn original_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.original_bytes).sum()
    }

    /// Bytes of all arrays in the package.
    pub fn packed_bytes(&self) -> u64 {
        self.arrays.iter().map(|array| array.packed_bytes).sum()
    }

    /// Packed bytes for each original one; 1 when there are none.
    pub fn ratio(&self) -> f64 {
        match self.original_bytes() {
            0 => 1.0,
            original => self.packed_bytes() as f64 / original as f64,
        }
    }

    /// Whether any block is compressed.
    pub fn is_compressed(&self) -> bool {
        self.arrays.iter().any(|array| array.compressed)
    }
}

/// One array of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackedArray {
    /// Name of the array.
    pub name: String,
    /// Element type.
    pub dtype: DataType,
    /// Logical shape: deleted rows do not count.
    pub shape: Vec<u64>,
    /// Deleted rows that were kept.
    pub deleted_rows: u64,
    /// Bytes of its rows, deleted ones that were kept included.
    pub original_bytes: u64,
    /// Bytes of its blocks in the package.
    pub packed_bytes: u64,
    /// Whether any of its blocks is compressed.
    pub compressed: bool,
}

impl PackedArray {
    /// Whether listings leave it out, as [`ArrayMetadata::is_hidden`](crate::ArrayMetadata::is_hidden).
    pub fn is_hidden(&self) -> bool {
        self.name.starts_with(HIDDEN_PREFIX)
    }
}

/// Tells how far the work is.
///
/// # Errors
/// `Io` of kind `Interrupted` when the callback wants no more.
fn report(
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    path: &Path,
    now: Progress,
) -> NpkResult<()> {
    match progress(now) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            let stopped =
                std::io::Error::new(std::io::ErrorKind::Interrupted, "stopped by the progress callback");
            Err(NpkError::io(path, stopped))
        }
    }
}

/// The path beside `source` with another ending: `data.npk` and `data.npkg`.
fn beside(source: &Path, from: &str, to: &str) -> NpkResult<PathBuf> {
    let source = match source.file_name() {
        Some(_) => source.to_owned(),
        // Such as `.`
        None => std::path::absolute(source).map_err(|e| NpkError::io(source, e))?,
    };
    if source.extension().is_some_and(|extension| extension == from) {
        return Ok(source.with_extension(to));
    }
    let mut name = source.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(to);
    Ok(source.with_file_name(name))
}

fn refused(argument: &'static str, path: &Path, reason: &'static str) -> NpkError {
    NpkError::InvalidArgument { argument, value: path.display().to_string(), reason }
}

/// The system's own error, so that every binding finds its kind and text.
fn exists(path: &Path) -> NpkError {
    NpkError::io(path, rustix::io::Errno::EXIST.into())
}
