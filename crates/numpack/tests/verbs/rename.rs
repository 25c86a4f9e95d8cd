//! Renaming: one commit, which stays, and no view changes.

use std::sync::Arc;

use numpack::prelude::*;

use crate::disk::{Disk, Working, in_another_boot};
use crate::folder::scratch;
use crate::values::values;

#[test]
fn a_rename_is_one_commit_and_stays() {
    let dir = scratch();
    let path = dir.path().join("s");
    let store = Store::new(&path).unwrap();
    let other = Store::open_folder(Disk::new(&path, Arc::new(Working), None), OpenOptions::new()).unwrap();
    for (name, from) in [("a", 0), ("b", 4), ("c", 8)] {
        store.save_slice(name, &values(from, 4), &[4]).unwrap();
    }
    let view = store.get_array_view("a").unwrap();
    assert!(matches!(store.rename_array("a", "b"), Err(NpkError::ArrayExists(_))));
    assert!(matches!(store.rename_array("x", "y"), Err(NpkError::ArrayNotFound(_))));
    assert!(matches!(store.rename_array("a", ""), Err(NpkError::InvalidName { .. })));
    let twice = store.rename_many(&[("a", "d"), ("d", "e")], true);
    assert!(matches!(twice, Err(NpkError::InvalidArgument { .. })));
    assert!(matches!(store.rename_array("x", "x"), Err(NpkError::ArrayNotFound(_))));
    store.rename_array("a", "a").unwrap();
    store.rename_many(&[("a", "a"), ("b", "b")], true).unwrap();
    assert_eq!(store.list_arrays(), ["a", "b", "c"], "refused calls change nothing");
    store.rename_many(&[("a", "b"), ("c", "ü/d")], true).unwrap();
    store.append_slice("b", &values(4, 1)).unwrap();
    for store in [&store, &other, &in_another_boot(&path, Mode::ReadWrite).unwrap()] {
        assert_eq!(store.list_arrays(), ["b", "ü/d"]);
        assert_eq!(store.load_vec::<f32>("b").unwrap().1, values(0, 5));
        assert_eq!(store.load_vec::<f32>("ü/d").unwrap().1, values(8, 4));
        assert!(!store.has_array("a"));
    }
    assert_eq!(view.to_array::<f32>().unwrap().len(), 4, "a view keeps its rows");
    assert!(store.verify().unwrap().findings.is_empty());
}
