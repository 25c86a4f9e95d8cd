//! The compiled module `numpack._numpack`: converts arguments, releases the GIL, calls the engine, wraps.
//!
//! It holds no policy and no cache. The public classes are the compiled ones, because a layer of Python in
//! front of a call of three microseconds is felt.

mod dict_protocol;
mod errors;
mod exact_cast;
mod ingest;
mod input;
mod lazy;
mod lazy_exports;
mod memory;
mod npy;
mod operators;
mod package;
mod partial;
mod program;
mod repair;
mod row_blocks;
mod row_indexes;
mod search;
mod stack_columns;
mod store;
mod vector_engine;
mod verbs;
mod writable;

use pyo3::prelude::*;

/// The compiled part of numpack; import from `numpack`.
#[pymodule(gil_used = false)]
mod _numpack {
    #[pymodule_export]
    use crate::ingest::PyIngest;
    #[pymodule_export]
    use crate::lazy::LazyArray;
    #[pymodule_export]
    use crate::npy::PyNpyHeader;
    #[pymodule_export]
    use crate::package::{_pack, _package_info, _unpack};
    #[pymodule_export]
    use crate::partial::PyPartial;
    #[pymodule_export]
    use crate::program::main;
    #[pymodule_export]
    use crate::repair::_repair;
    #[pymodule_export]
    use crate::stack_columns::Stacker;
    #[pymodule_export]
    use crate::store::NumPack;
    #[pymodule_export]
    use crate::vector_engine::VectorEngine;
    #[pymodule_export]
    use crate::verbs::stream::StreamLoader;
    #[pymodule_export]
    use crate::writable::WritableArray;

    #[pymodule_init]
    fn init(module: &super::Bound<'_, super::PyModule>) -> super::PyResult<()> {
        use super::PyModuleMethods as _;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
