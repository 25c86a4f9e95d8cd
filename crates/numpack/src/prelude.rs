//! The names that most programs use: `use numpack::prelude::*;`.

pub use crate::core::dtype::DataType;
pub use crate::core::element::NpkElement;
pub use crate::core::error::{NpkError, NpkResult};
pub use crate::options::{Durability, Mode, OpenOptions};
pub use crate::store::ParallelIO;
pub use crate::stream::StreamIterator;
pub use crate::vector::Metric;
pub use crate::view::ArrayView;
