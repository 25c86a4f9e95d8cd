//! Calls that must fail, arrays to make them with, and folders that must stay as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use numpack::ndarray::{ArrayD, IxDyn};
use numpack::prelude::*;

pub(crate) fn array<T: Clone>(shape: &[usize], value: T) -> ArrayD<T> {
    ArrayD::from_elem(IxDyn(shape), value)
}

/// A call must fail as expected, with these values in its message.
pub(crate) fn refused<T>(result: NpkResult<T>, expected: fn(&NpkError) -> bool, values: &[&str]) {
    let error = result.map(drop).unwrap_err();
    assert!(expected(&error), "{error:?}");
    for value in values {
        assert!(error.to_string().contains(value), "{value:?} is not in: {error}");
    }
}

/// Every path below `path`, with the bytes of files.
pub(crate) fn tree(path: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
            all.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, Some(bytes));
        }
    }
    all
}
