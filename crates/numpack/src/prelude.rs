//! The names that most programs use: `use numpack::prelude::*;`.

pub use crate::options::{Durability, Mode, OpenOptions};
pub use crate::store::ArrayView;
pub use crate::store::ParallelIO;
pub use crate::store::StreamIterator;
pub use crate::types::dtype::DataType;
pub use crate::types::element::NpkElement;
pub use crate::types::error::{NpkError, NpkResult};
pub use crate::vector::Metric;
