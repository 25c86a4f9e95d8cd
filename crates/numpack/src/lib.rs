//! NumPack: a store of named n-dimensional arrays on local disk, for data that keeps changing.
//!
//! Append, replace and delete rows in microseconds; read by memory map; never lose or tear data. Every
//! mutating call is one commit of a log: all or nothing when the process dies at any instruction, visible to
//! every other thread and process at its next call. `docs/design.md` says how, `docs/on-disk-format.md` has the bytes.
//!
//! ```
//! use numpack::prelude::*;
//! use numpack::ndarray::{Array2, ArrayD};
//!
//! # fn main() -> NpkResult<()> {
//! # let dir = tempfile::tempdir().map_err(|e| NpkError::Io { path: "temp".into(), source: e })?;
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

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod checksum;
pub mod disk;
mod log;
mod options;
pub mod package;
mod parallel;
pub mod prelude;
mod process;
mod rows;
mod store;
mod types;
pub mod vector;

pub use ndarray;

/// The path by which programs written for the seed name errors.
pub mod core {
    pub use crate::types::error;
}

pub use crate::options::{Durability, Mode, OpenOptions};
pub use crate::store::{
    ArrayMetadata, ArrayView, ArrayWriter, FileRows, Finding, HIDDEN_PREFIX, Incoming, PrivateCopy, RawArray,
    RawDrop, RawRows, Report, RowStream, Store, StreamIterator, WritableView, check_name,
};
pub use crate::types::dtype::DataType;
pub use crate::types::element::NpkElement;
pub use crate::types::error::{NpkError, NpkResult};

/// The quickstart of the README, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
