//! The error type of every fallible call.
//!
//! Messages carry the offending value. There is no catch-all variant: what cannot be named here should not
//! happen.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::dtype::DataType;
use crate::types::file_kind::FileKind;

/// Result of a store call.
pub type NpkResult<T> = Result<T, NpkError>;

/// What went wrong. The store is unchanged after any of them, except where a variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpkError {
    /// No array has this name.
    #[error("array {0:?} not found")]
    ArrayNotFound(String),
    /// The target of a clone exists already.
    #[error("array {0:?} already exists")]
    ArrayExists(String),
    /// The name cannot name an array.
    #[error("invalid array name {name:?}: {reason}")]
    InvalidName {
        /// The name as given.
        name: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// Data does not have the shape that the array or the call needs.
    #[error("array {array:?}: {reason}: expected shape {expected}, got {}", shape_text(found))]
    InvalidShape {
        /// The array's name.
        array: String,
        /// What does not fit.
        reason: &'static str,
        /// The shape in words, such as `(.., 128)`.
        expected: String,
        /// The shape as given.
        found: Vec<u64>,
    },
    /// The Rust type or the given dtype is not the array's.
    #[error("array {array:?}: dtype is {expected}, got {found}")]
    InvalidDtype {
        /// The array's name.
        array: String,
        /// The dtype that the array has, or that the Rust type stands for.
        expected: DataType,
        /// The dtype as asked for.
        found: DataType,
    },
    /// Vectors that are given to a search do not have the shape that it needs.
    #[error("{what}: {reason}: expected shape {expected}, got {}", shape_text(found))]
    VectorShape {
        /// Which argument.
        what: &'static str,
        /// What does not fit.
        reason: &'static str,
        /// The shape in words, such as `(rows, dims)`.
        expected: String,
        /// The shape as given.
        found: Vec<u64>,
    },
    /// Queries and rows are vectors of different lengths.
    #[error("the queries have {queries} dimensions, the rows that are searched {rows}")]
    DimensionMismatch {
        /// Elements of a query.
        queries: usize,
        /// Elements of a row.
        rows: usize,
    },
    /// Queries and rows are sets of different kinds: packed bits and booleans.
    #[error(
        "the queries are {queries}, the rows that are searched {rows}: sets are compared with their like"
    )]
    SetMismatch {
        /// dtype of the queries.
        queries: DataType,
        /// dtype of the rows.
        rows: DataType,
    },
    /// A metric that is not defined on vectors of this dtype.
    #[error("metric {metric} does not take vectors of dtype {dtype}")]
    UnsupportedDtype {
        /// The metric's short name.
        metric: &'static str,
        /// The dtype of the queries or of the rows.
        dtype: DataType,
    },
    /// An argument that no store could accept.
    #[error("invalid {argument}: {value}: {reason}")]
    InvalidArgument {
        /// The argument's name.
        argument: &'static str,
        /// Its value, in words.
        value: String,
        /// Why it cannot be accepted.
        reason: &'static str,
    },
    /// A row index outside `-rows..rows`.
    #[error("index {index} is out of bounds for {rows} rows")]
    IndexOutOfBounds {
        /// The index as given.
        index: i64,
        /// Live rows of the array.
        rows: u64,
    },
    /// A mask has not one flag for every row.
    #[error("boolean index did not match: the array has {rows} rows, the mask {flags}")]
    MaskMismatch {
        /// Live rows of the array.
        rows: u64,
        /// Flags of the mask.
        flags: u64,
    },
    /// The path is that of a plain file, where the folder of a store was expected.
    #[error("{} is {kind}, and not the folder of a store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        kind: FileKind,
    },
    /// A file does not hold what was committed to it.
    #[error("{} is damaged at byte {offset}: {reason}", file.display())]
    Corrupted {
        /// The damaged file.
        file: PathBuf,
        /// Where the damage was seen, in bytes from the start of the file.
        offset: u64,
        /// What was expected there.
        reason: String,
    },
    /// The store was written by a newer format than this program reads.
    #[error("{} has format version {found}; this program reads up to {supported}", file.display())]
    UnsupportedVersion {
        /// The file that says so.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version understood here.
        supported: u32,
    },
    /// Another writer held the store's lock for longer than the lock timeout.
    #[error("{} is locked by another writer; gave up after {waited:?}", path.display())]
    Locked {
        /// The store.
        path: PathBuf,
        /// How long the call waited.
        waited: Duration,
    },
    /// A write to a store that was opened for reading.
    #[error("{} was opened read-only", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// The caller asked a long call to stop.
    #[error("the call was cancelled")]
    Cancelled,
    /// The handle was closed.
    #[error("the store has been closed")]
    Closed,
    /// Memory for the result could not be had.
    #[error("out of memory: {bytes} bytes could not be allocated")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: u64,
    },
    /// A failed sync lost what the kernel had not written; the store must be opened again before any write.
    #[error("{} must be reopened: an earlier sync failed ({reason})", path.display())]
    Poisoned {
        /// The store.
        path: PathBuf,
        /// The error of that sync.
        reason: String,
    },
    /// The operating system refused. After a failed `sync` the commits before it stay, not yet durable.
    #[error("{}{source}", prefix(path))]
    Io {
        /// The file or folder of the call; empty when a program's own I/O error was converted.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A shape as the words for expected ones have it: `(3, 4)`.
fn shape_text(shape: &[u64]) -> String {
    match shape {
        [rows] => format!("({rows},)"),
        _ => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn prefix(path: &Path) -> String {
    if path.as_os_str().is_empty() { String::new() } else { format!("{}: ", path.display()) }
}

/// For programs that use `?` on their own I/O beside calls of the store.
impl From<io::Error> for NpkError {
    fn from(source: io::Error) -> Self {
        NpkError::io(PathBuf::new(), source)
    }
}

impl NpkError {
    /// Wraps an I/O error with the path it is about.
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        match source.downcast::<NpkError>() {
            Ok(lacking) => lacking,
            Err(source) => NpkError::Io { path: path.into(), source },
        }
    }

    /// Damage seen in `file` at `offset`.
    pub(crate) fn corrupted(file: impl Into<PathBuf>, offset: u64, reason: impl Into<String>) -> Self {
        NpkError::Corrupted { file: file.into(), offset, reason: reason.into() }
    }

    /// Damage of a kind that a copy shows which was made file by file while somebody wrote.
    pub(crate) fn cut_off(file: impl Into<PathBuf>, offset: u64, reason: &str) -> Self {
        let advice =
            "a copy made beside writers looks like this: copy a store by packing it, or stop its writers";
        NpkError::corrupted(file, offset, format!("{reason} ({advice})"))
    }

    /// Whether the error is the system saying that there is no room left.
    pub(crate) fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, NpkError::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Whether the error is the system saying that a file is not there.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, NpkError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
