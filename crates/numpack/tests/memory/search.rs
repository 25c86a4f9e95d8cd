//! A search allocates at most 64 MB, and no more for four times the rows; slices and masks become no lists.

use numpack::prelude::*;
use numpack::vector::{SearchOptions, SimdLevel, VectorEngine, Vectors};

use crate::allocator::peak_of;
use crate::alone::alone;

const DIMS: usize = 32;
const LIMIT: usize = 64 << 20;

fn values(count: usize) -> Vec<f32> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Peaks of every kind of search over the first `rows` rows, in one order.
fn peaks(data: &[f32], rows: usize, queries: &[f32]) -> Vec<(String, usize)> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    store.save_slice("v", &data[..rows * DIMS], &[rows as u64, DIMS as u64]).unwrap();
    store.drop_arrays("v", Some(&[0, 5, 17])).unwrap();
    let mask: Vec<bool> = (0..rows).map(|row| row.is_multiple_of(3)).collect();
    let memory = Vectors::from_slice(&data[..rows * DIMS], DIMS).unwrap();
    let mut found = Vec::new();
    for count in [1, 100, 1000] {
        let queries = Vectors::from_slice(&queries[..count * DIMS], DIMS).unwrap();
        for level in SimdLevel::ALL {
            let engine = VectorEngine::new().with_level(level);
            for rows in [Selection::All, Selection::Mask(&mask)] {
                let options = SearchOptions { rows, ..SearchOptions::default() };
                let name = format!("{count} queries, {level}, all {}", rows == Selection::All);
                let search = || drop(engine.search(&queries, &memory, Metric::L2, 10, &options).unwrap());
                found.push((name, peak_of(search)));
            }
        }
        let options = SearchOptions::default();
        let search = || drop(store.search("v", &queries, 10, Metric::L2, &options).unwrap());
        found.push((format!("{count} queries, stored"), peak_of(search)));
    }
    found
}

#[test]
fn memory_does_not_grow_with_rows() {
    alone(module_path!(), "memory_does_not_grow_with_rows", |_dir| {
        const ROWS: usize = 80_000;
        let (data, queries) = (values(ROWS * DIMS), values(1000 * DIMS));
        // The pool's threads and whatever else is made once.
        peaks(&data, 2000, &queries);
        let few = peaks(&data, ROWS / 4, &queries);
        let many = peaks(&data, ROWS, &queries);
        for ((name, few), (_, many)) in few.into_iter().zip(many) {
            assert!(many <= LIMIT, "{name}: {many} bytes");
            assert!(many <= few + few / 4 + (1 << 20), "{name}: {few} bytes, of four times the rows {many}");
        }
    });
}

#[test]
fn slices_and_masks_become_no_lists_of_rows() {
    alone(module_path!(), "slices_and_masks_become_no_lists_of_rows", |dir| {
        const ROWS: u64 = 1 << 27;
        const BYTES: u64 = 1 << 22;
        let store = Store::new(dir.join("store")).unwrap();
        store.save_slice::<u8>("none", &[], &[ROWS, 0]).unwrap();
        store.save_slice("bytes", &vec![1_u8; BYTES as usize], &[BYTES]).unwrap();
        let back = Selection::Slice { start: None, stop: None, step: Some(-3) };
        let inner = Selection::Slice { start: Some(1), stop: Some(-1), step: None };
        let mask: Vec<bool> = (0..BYTES).map(|row| row % 1000 != 0).collect();
        let rows = |name, selection| store.getitem::<u8>(name, selection).unwrap().shape()[0] as u64;
        // The pool's threads and whatever else is made once.
        rows("bytes", back);
        let most = |bytes: u64, what: &str, work: &dyn Fn()| {
            let peak = peak_of(work) as u64;
            assert!(peak <= bytes, "{what}: {peak} bytes");
        };
        most(1 << 16, "rows without bytes", &|| {
            assert_eq!(rows("none", Selection::All), ROWS);
            assert_eq!(rows("none", back), ROWS.div_ceil(3));
        });
        most(BYTES / 3 + (1 << 20), "a slice with step", &|| {
            assert_eq!(rows("bytes", back), BYTES.div_ceil(3));
        });
        most(BYTES + (1 << 20), "a mask", &|| {
            assert_eq!(rows("bytes", Selection::Mask(&mask)), BYTES - BYTES.div_ceil(1000));
        });
        most(1 << 20, "a slice dropped", &|| store.drop_rows("none", inner).unwrap());
        assert_eq!(store.get_shape("none").unwrap(), [2, 0]);
        // The runs for the log, its record, and the bits of the rows.
        let mask: Vec<bool> = (0..BYTES).map(|row| row % 1000 == 0).collect();
        most(2 << 20, "a mask dropped", &|| store.drop_rows("bytes", Selection::Mask(&mask)).unwrap());
        // Rows between deleted ones are many runs.
        most(BYTES + (1 << 20), "rows between deleted ones", &|| {
            assert_eq!(store.load_vec::<u8>("bytes").unwrap().1.len() as u64, BYTES - BYTES.div_ceil(1000));
        });
    });
}
