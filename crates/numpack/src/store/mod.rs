//! The store: verbs over the state they share, reading beside writers, and recovery.

mod any_array;
mod buffers;
mod commit;
mod fill;
mod handle;
mod metadata;
mod reading;
mod recovery;
mod stream;
mod typed;
mod verbs;
mod view;
mod writable;

pub use any_array::AnyArray;
pub use buffers::{RawArray, RawRows};
pub use handle::Store;
pub use metadata::{ArrayMetadata, HIDDEN_PREFIX};
pub(crate) use reading::snapshot::{Snapshot, SnapshotArray};
pub use recovery::repair::{LostArray, RepairReport, RepairedArray, repair};
pub use recovery::verify::{Finding, Report};
pub use stream::{RowStream, StreamIterator};
pub use verbs::ingest::{ArrayWriter, Existing, Ingest};
pub(crate) use verbs::ingest::{IncomingFile, NewArray};
pub use verbs::save::check_name;
pub use view::{ArrayView, PrivateCopy};
pub use writable::WritableView;

/// Longest array name in bytes.
pub(crate) const MAX_NAME: usize = 1024;
