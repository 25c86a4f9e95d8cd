//! Rows appended out of a file of another format.

use std::fs::{self, File};

use numpack::prelude::*;
use numpack::{FileRows, RawArray};

#[test]
fn rows_come_out_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|i| (i % 251) as u8).collect();
    let path = dir.path().join("source");
    fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    store.save_slice("a", &[7_u8; 5], &[5]).unwrap();
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
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    let path = dir.path().join("source");
    fs::write(&path, [1; 1000]).unwrap();
    let file = File::open(&path).unwrap();
    store.save_slice("a", &[7_u8; 5], &[5]).unwrap();
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
