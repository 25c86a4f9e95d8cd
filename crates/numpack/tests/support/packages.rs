//! Stores with one of everything, what they hold, and the options of tests that pack and unpack them.

use std::fs;
use std::path::Path;

use numpack::package::UnpackOptions;
use numpack::prelude::*;
use numpack::{ArrayMetadata, RawArray};

/// Name, dtype, shape, deleted rows and bytes of the live rows.
pub(crate) type Contents = Vec<(String, DataType, Vec<u64>, u64, Vec<u8>)>;

/// Every array of a store in the order of names.
pub(crate) fn contents(path: &Path) -> Contents {
    let store = OpenOptions::new().mode(Mode::Read).open(path).unwrap();
    let report = store.verify().unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let read = |array: ArrayMetadata| {
        let bytes = match array.shape.first() {
            Some(&rows) => store.read_rows(&array.name, &(0..rows as i64).collect::<Vec<_>>()).unwrap(),
            None => fs::read(path.join(&array.data_file)).unwrap()[..array.file_bytes as usize].to_vec(),
        };
        (array.name, array.dtype, array.shape, array.deleted_rows, bytes)
    };
    let mut arrays: Contents = store.metadata().unwrap().into_iter().map(read).collect();
    arrays.sort_by(|a, b| a.0.cmp(&b.0));
    arrays
}

/// Bytes that look like numbers: some planes alike, some not. Every byte is a bool.
pub(crate) fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let noise = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761).rotate_left(11);
    (0..len).map(|i| if i % 4 == 1 { noise(i) as u8 & 1 } else { (i >> 12) as u8 & 1 }).collect()
}

pub(crate) fn save(store: &Store, name: &str, dtype: DataType, shape: &[u64], seed: u32) {
    let len = shape.iter().product::<u64>() as usize * dtype.size_bytes();
    store.save_raw(&[RawArray { name, dtype, shape, bytes: &bytes(len, seed) }]).unwrap();
}

/// A store with one of everything.
pub(crate) fn colourful(path: &Path) {
    let store = Store::new(path).unwrap();
    for (seed, dtype) in (0..).zip(DataType::ALL) {
        save(&store, &format!("plain/{dtype}"), dtype, &[1000, 3], seed);
    }
    save(&store, "several blocks", DataType::Float32, &[700_000], 1);
    save(&store, "long rows", DataType::Float64, &[2, 200_001], 2);
    save(&store, "no rows", DataType::Int16, &[0, 7], 0);
    save(&store, "empty rows", DataType::Int16, &[5, 0], 0);
    save(&store, "scalar", DataType::Complex128, &[], 3);
    save(&store, "../../etc/passwd", DataType::Uint8, &[4], 4);
    save(&store, "C:\\windows", DataType::Uint8, &[4], 4);
    save(&store, "имя 🦀", DataType::Uint8, &[4], 4);
    save(&store, "holes", DataType::Int32, &[100_000, 4], 5);
    store.drop_arrays("holes", Some(&(0..99_999).step_by(3).collect::<Vec<i64>>())).unwrap();
    save(&store, "wide holes", DataType::Int64, &[300, 10_001], 6);
    store.drop_arrays("wide holes", Some(&[0, 7, 8, 150, -1])).unwrap();
    save(&store, "all deleted", DataType::Int8, &[9], 0);
    store.drop_arrays("all deleted", Some(&(0..9).collect::<Vec<i64>>())).unwrap();
}

pub(crate) fn small(path: &Path) {
    let store = Store::new(path).unwrap();
    save(&store, "a", DataType::Float32, &[100, 2], 1);
    save(&store, "b", DataType::Uint8, &[3], 2);
    store.drop_arrays("b", Some(&[1])).unwrap();
}

/// What is in a folder, hidden things included.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Nothing here waits for a disk.
pub(crate) fn fast() -> UnpackOptions {
    UnpackOptions::new().durability(Durability::Process)
}
