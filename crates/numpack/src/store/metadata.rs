//! What a store can tell of an array without reading its rows.

use std::path::PathBuf;

use crate::log::catalog::ArrayState;
use crate::store::commit::state::StoreState;
use crate::types::dtype::DataType;

/// How the names of hidden arrays begin: those in which tools keep what belongs to other arrays, such as the names
/// of their columns. Listings leave them out; by its name a hidden array is an array like any other.
pub const HIDDEN_PREFIX: &str = ".numpack/";

/// Name of the hidden array that keeps the names of an array's columns: it goes and is renamed with that array.
pub(crate) fn columns_of(name: &str) -> String {
    format!("{HIDDEN_PREFIX}columns/{name}")
}

/// Description of an array as of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArrayMetadata {
    /// Name of the array.
    pub name: String,
    /// Logical shape: deleted rows do not count.
    pub shape: Vec<u64>,
    /// Element type.
    pub dtype: DataType,
    /// Bytes of the live rows.
    pub size_bytes: u64,
    /// Time of the last commit that changed it, in microseconds since 1970.
    pub last_modified: u64,
    /// Name of the data file inside the store's folder: raw rows, deleted ones included.
    pub data_file: String,
    /// Rows that are deleted and still take room in the data file.
    pub deleted_rows: u64,
    /// Bytes of the data file that are in use, deleted rows included.
    pub file_bytes: u64,
}

impl ArrayMetadata {
    /// Whether the array is one that listings leave out, see [`HIDDEN_PREFIX`].
    pub fn is_hidden(&self) -> bool {
        self.name.starts_with(HIDDEN_PREFIX)
    }

    pub(crate) fn of(array: &ArrayState) -> ArrayMetadata {
        ArrayMetadata {
            name: array.name.to_string(),
            shape: array.logical_shape(),
            dtype: array.dtype,
            size_bytes: array.rows() * array.row_bytes(),
            last_modified: array.modified_us,
            data_file: array.file().to_string(),
            deleted_rows: array.deleted.count(),
            file_bytes: array.bytes(),
        }
    }
}

impl StoreState {
    /// The store's folder.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}
