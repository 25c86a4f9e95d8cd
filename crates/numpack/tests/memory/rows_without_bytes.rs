//! Rows of no bytes are counted and nothing else, however many there are and whichever of them are deleted.

use std::collections::BTreeMap;

use numpack::RawArray;
use numpack::package::{PackOptions, UnpackOptions, pack, quiet, unpack, verify};
use numpack::prelude::*;

use crate::allocator::peak_of;
use crate::alone::alone;

const ROWS: u64 = 1 << 40;
/// What a call may take; threads and whatever else is made once aside.
const LIMIT: usize = 2 << 20;

fn raw<'a>(name: &'a str, shape: &'a [u64]) -> RawArray<'a> {
    RawArray { name, dtype: DataType::Uint8, shape, bytes: &[] }
}

fn little<R>(what: &str, work: impl FnOnce() -> R) -> R {
    let mut result = None;
    let peak = peak_of(|| result = Some(work()));
    assert!(peak <= LIMIT, "{what}: {peak} bytes");
    result.unwrap()
}

#[test]
fn a_trillion_rows_without_bytes_take_little_memory() {
    alone(module_path!(), "a_trillion_rows_without_bytes_take_little_memory", |dir| {
        let path = dir.join("s.npk");
        let store = Store::new(&path).unwrap();
        let names: Vec<String> = (0..12).map(|i| format!("a{i}")).collect();
        for name in &names {
            store.save_raw(&[raw(name, &[ROWS, 0])]).unwrap();
            little("a row dropped", || store.drop_rows(name, &[-1]).unwrap());
        }
        let slice = |start, step| Selection::Slice { start, stop: None, step };
        let rows = |name, selection| store.getitem::<u8>(name, selection).unwrap().shape()[0] as u64;
        little("all rows", || assert_eq!(rows("a0", Selection::All), ROWS - 1));
        little("every third row", || assert_eq!(rows("a0", slice(None, Some(-3))), (ROWS - 1).div_ceil(3)));
        little("all rows loaded", || assert_eq!(store.load_vec::<u8>("a0").unwrap().0, [ROWS - 1, 0]));
        little("rows replaced", || {
            store
                .replace_raw(&[numpack::RawRows {
                    rows: raw("a0", &[(ROWS - 1).div_ceil(2), 0]),
                    selection: slice(None, Some(2)),
                }])
                .unwrap()
        });
        little("rows appended", || store.append_raw(&[raw("a0", &[1 << 20, 0])]).unwrap());
        little("every other row dropped", || store.drop_rows("a1", slice(Some(1), Some(2))).unwrap());
        assert_eq!(store.get_shape("a1").unwrap(), [ROWS / 2, 0]);
        little("all rows dropped", || store.drop_rows("a2", Selection::All).unwrap());
        assert_eq!(store.get_shape("a2").unwrap(), [0, 0]);
        little("a copy", || store.clone_array("a1", "copy").unwrap());
        little("a compaction", || store.compact_array("a1").unwrap());
        let shapes = |store: &Store| -> BTreeMap<String, Vec<u64>> {
            store
                .list_arrays()
                .into_iter()
                .map(|name| (name.clone(), store.get_shape(&name).unwrap()))
                .collect()
        };
        let before = shapes(&store);
        let package = little("a package", || pack(&path, None, PackOptions::new(), quiet).unwrap());
        little("a package checked", || drop(verify(&package, quiet).unwrap()));
        let copy = dir.join("copy.npk");
        little("a package unpacked", || unpack(&package, Some(&copy), UnpackOptions::new(), quiet).unwrap());
        drop(store);
        little("the log read", || assert_eq!(shapes(&Store::new(&path).unwrap()), before));
        little("the log read", || assert_eq!(shapes(&Store::new(&copy).unwrap()), before));
    });
}
