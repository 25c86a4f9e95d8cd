//! What conversions build on: rows out of a foreign file, views of one commit, names of columns beside an array.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ndarray::ArrayD;
use numpack::prelude::*;
use numpack::{FileRows, RawArray};

fn store(dir: &tempfile::TempDir) -> Store {
    Store::new(dir.path().join("data.npk")).unwrap()
}

fn save(store: &Store, names: &[&str], value: u8, rows: usize) {
    let (bytes, shape) = (vec![value; rows], [rows as u64]);
    let raw = |name| RawArray { name, dtype: DataType::Uint8, shape: &shape, bytes: &bytes };
    store.save_raw(&names.iter().copied().map(raw).collect::<Vec<_>>()).unwrap();
}

#[test]
fn rows_come_out_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|i| (i % 251) as u8).collect();
    let path = dir.path().join("source");
    fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    save(&store, &["a"], 7, 5);
    let rows = FileRows { name: "a", rows: 20_000_000, file: &file, path: &path, at: 3 };
    store.append_from(&rows).unwrap();
    store.append_from(&FileRows { rows: 0, ..rows }).unwrap();
    store.append_from(&FileRows { rows: 2, at: 0, ..rows }).unwrap();
    let (shape, found) = store.load_vec::<u8>("a").unwrap();
    assert_eq!(shape, [20_000_007]);
    assert_eq!(found[..5], [7; 5]);
    assert!(found[5..20_000_005] == bytes[3..] && found[20_000_005..] == bytes[..2]);
    assert!(store.verify().unwrap().is_intact());
}

#[test]
fn a_file_that_is_too_short_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let path = dir.path().join("source");
    fs::write(&path, [1; 1000]).unwrap();
    let file = File::open(&path).unwrap();
    save(&store, &["a"], 7, 5);
    let rows = FileRows { name: "a", rows: 1000, file: &file, path: &path, at: 1 };
    let error = store.append_from(&rows).unwrap_err().to_string();
    assert!(error.contains("source") && error.contains("cut off"), "{error}");
    assert_eq!(store.load_vec::<u8>("a").unwrap(), (vec![5], vec![7; 5]));
    store.append_from(&FileRows { at: 0, ..rows }).unwrap();
    assert_eq!(store.get_shape("a").unwrap(), [1005]);
    let scalar = RawArray { name: "scalar", dtype: DataType::Uint8, shape: &[], bytes: &[1] };
    store.save_raw(&[scalar]).unwrap();
    assert!(store.append_from(&FileRows { name: "scalar", ..rows }).is_err());
    assert!(store.append_from(&FileRows { name: "none", ..rows }).is_err());
    assert!(store.append_from(&FileRows { rows: u64::MAX, ..rows }).is_err());
    assert!(store.verify().unwrap().is_intact());
}

#[test]
fn views_are_of_one_commit_beside_writers() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, reader) = (store(&dir), store(&dir));
    save(&writer, &["a", "b", "other"], 0, 100);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for value in 1..=255 {
                if value % 2 == 0 {
                    writer.drop_many(&["a", "b"]).unwrap();
                }
                save(&writer, &["a", "b"], value, value.into());
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let views = reader.get_array_views(|name| name != "other").unwrap();
            let found: Vec<ArrayD<u8>> = views.iter().map(|view| view.to_array().unwrap()).collect();
            assert!(matches!(found.len(), 0 | 2), "{} arrays", found.len());
            assert!(found.is_empty() || found[0] == found[1]);
        }
    });
}

#[test]
fn names_of_columns_go_where_their_array_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let columns = |name: &str| format!(".numpack/columns/{name}");
    save(&store, &["a", &columns("a"), "b", &columns("b"), "plain"], 1, 1);
    store.rename_array("a", "c").unwrap();
    assert!(store.has_array(&columns("c")) && !store.has_array(&columns("a")));
    store.rename_many(&[("c", "b")], true).unwrap();
    let mut names = store.list_all_arrays();
    names.sort();
    assert_eq!(names, [columns("b").as_str(), "b", "plain"]);
    store.rename_many(&[("plain", "b")], true).unwrap();
    assert_eq!(store.list_all_arrays(), ["b"]);
    save(&store, &[&columns("b")], 1, 1);
    store.drop_many(&["b", &columns("b")]).unwrap();
    save(&store, &["b", &columns("b")], 1, 1);
    store.drop_many(&["b"]).unwrap();
    assert!(store.list_all_arrays().is_empty());
}
