//! The names that most programs use: `use numpack::prelude::*;`.
//!
//! Programs written for the seed's interface compile as they are: its names for the store and for verbs that are
//! called otherwise here stand in this file and nowhere else.

pub use crate::options::{Durability, Mode, OpenOptions};
pub use crate::rows::Selection;
/// The seed's name for [`Store`].
pub use crate::store::Store as ParallelIO;
pub use crate::store::{ArrayView, Store, StreamIterator};
pub use crate::types::dtype::DataType;
pub use crate::types::element::NpkElement;
pub use crate::types::error::{NpkError, NpkResult};
pub use crate::vector::Metric;

/// The seed's names for verbs of a [`Store`].
pub trait SeedVerbs {
    /// Does what [`Store::compact_array`] does.
    ///
    /// # Errors
    /// As for [`Store::compact_array`].
    fn update(&self, name: &str) -> NpkResult<()>;

    /// Returns what [`Store::list_arrays`] returns.
    fn get_member_list(&self) -> Vec<String>;
}

impl SeedVerbs for Store {
    fn update(&self, name: &str) -> NpkResult<()> {
        self.compact_array(name)
    }

    fn get_member_list(&self) -> Vec<String> {
        self.list_arrays()
    }
}
