//! The compiled module `numpack._numpack`: converts arguments, releases the GIL, calls the engine, wraps.
//!
//! It holds no policy and no cache. The public classes are the compiled ones, because a layer of Python in
//! front of a call of three microseconds is felt.

mod array;
mod blocks;
mod columns;
mod conversions;
mod errors;
mod index;
mod inspect;
mod lazy;
mod mapping;
mod memory;
mod operators;
mod pack;
mod package;
mod program;
mod search;
mod stream;
mod vector;
mod verbs;
mod writable;

use pyo3::prelude::*;

/// The compiled part of numpack; import from `numpack`.
#[pymodule(gil_used = false)]
mod _numpack {
    #[pymodule_export]
    use crate::columns::Stacker;
    #[pymodule_export]
    use crate::lazy::LazyArray;
    #[pymodule_export]
    use crate::pack::NumPack;
    #[pymodule_export]
    use crate::package::{_pack, _package_info, _unpack};
    #[pymodule_export]
    use crate::program::main;
    #[pymodule_export]
    use crate::stream::StreamLoader;
    #[pymodule_export]
    use crate::vector::VectorEngine;
    #[pymodule_export]
    use crate::writable::WritableArray;

    #[pymodule_init]
    fn init(module: &super::Bound<'_, super::PyModule>) -> super::PyResult<()> {
        use super::PyModuleMethods as _;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
