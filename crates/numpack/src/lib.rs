//! NumPack: a store of named n-dimensional arrays on local disk, for data that keeps changing.
//!
//! Append, replace and delete rows in microseconds; read by memory map; search vectors exactly; never lose or tear
//! data. The rows stay plain little-endian bytes in files that `np.memmap` or any other program can read.
//!
//! ```
//! use numpack::prelude::*;
//! use numpack::ndarray::{Array2, ArrayD};
//!
//! # fn main() -> NpkResult<()> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::new(dir.path().join("data.npk"))?;
//! let rows = Array2::<f32>::ones((1000, 128)).into_dyn();
//! store.save_arrays(&[("embeddings".to_string(), rows, DataType::Float32)])?;
//! store.append_rows("embeddings", &Array2::<f32>::zeros((50, 128)).into_dyn())?;
//! store.drop_arrays("embeddings", Some(&[0, -1]))?;
//! let loaded: ArrayD<f32> = store.load_array("embeddings")?;
//! assert_eq!(loaded.shape(), &[1048, 128]);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! * Every changing call is one commit: all or nothing when the process dies at any instruction, over all its rows
//!   and arrays. Any number of threads, handles and processes may write.
//! * A call that returned survives the process; after [`Store::sync_metadata`], or with [`Durability::Power`], a
//!   power cut too.
//! * A copying read is of one commit, takes no lock on the usual path and sees other processes' commits.
//! * Damage is an error that names file and offset ([`NpkError::Corrupted`]), never a panic or a signal.
//!
//! # What it is not
//! * No server, no query language, no types beside numbers and bools; one host at a time writes on a network file
//!   system.
//! * No compression: rows are what they are. A [`package`] compresses a store into one file.
//! * No approximate search: [`vector`] gives the rows that plain `float64` loops give.
//!
//! # Where to go
//! | | |
//! |---|---|
//! | [`prelude`] | the names that most programs use |
//! | [`Store`], [`OpenOptions`] | opening, and every verb; [`Store::save`] takes arrays of several types |
//! | [`ArrayView`], [`RowStream`] | reading without copying all |
//! | [`vector`] | exact search and the metrics' formulas |
//! | [`repair()`] | what is intact of a damaged store, in a new one |
//! | [`npy`] | NumPy's files of one array |
//! | [`package`] | a store in one `.npkg` file and back |
//! | [`NpkError`] | what can go wrong |
//! | [`disk`] | the seam to the disk, for tests that make it fail |
//!
//! # Errors
//! Every call that can fail returns [`NpkResult`]. An error says what was wrong with numbers and names in it; a call
//! that fails has changed nothing, but for [`NpkError::Poisoned`]: the disk refused a sync, and the store has to be
//! opened again.
//!
//! # Features
//! | Feature | Default | |
//! |---|---|---|
//! | `rayon` | on | large arrays are saved, loaded, gathered and searched by several threads; off: one thread |
//! | `avx512` | on | code for AVX-512 and AMX, chosen at run time; off: AVX2 at most |
//!
//! [`ndarray`], [`half`] and [`num_complex`], whose types are in signatures, are re-exported: a program needs no
//! dependency on them, and never gets another version.
//!
//! How it works: `docs/architecture.md` and `docs/protocol.md` in the repository; the bytes: `docs/on-disk-format.md`.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod checksum;
pub mod disk;
mod log;
pub mod npy;
mod options;
pub mod package;
mod parallel;
pub mod prelude;
mod process;
pub mod rows;
mod store;
mod types;
pub mod vector;

pub use {half, ndarray, num_complex};

/// The path by which programs written for the seed name errors.
pub mod core {
    pub use crate::types::error;
}

pub use crate::options::{Durability, Mode, OpenOptions};
pub use crate::store::{
    AnyArray, ArrayMetadata, ArrayView, ArrayWriter, Existing, Finding, HIDDEN_PREFIX, Ingest, LostArray,
    PrivateCopy, RawArray, RawRows, RepairReport, RepairedArray, Report, RowStream, Store, StreamIterator,
    WritableView, check_name, repair,
};
pub use crate::types::dtype::DataType;
pub use crate::types::element::NpkElement;
pub use crate::types::error::{NpkError, NpkResult};
pub use crate::types::file_kind::FileKind;

/// The quickstart of the README, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The quickstart of the crate's own page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
