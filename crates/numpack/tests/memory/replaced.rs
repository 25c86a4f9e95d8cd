//! Reading beside replaces takes memory for the result, for a window of the log and for an index of its replaces.

use std::fs;
use std::path::Path;

use numpack::prelude::*;

use crate::allocator::peak_of;
use crate::alone::alone;

/// The store at `path`, by a reader that can trust no page: it overlays every replace on what it reads.
fn overlaying(path: &Path) -> Store {
    fs::remove_file(path.join("control.npkc")).unwrap();
    OpenOptions::new().mode(Mode::Read).open(path).unwrap()
}

#[test]
fn replaced_rows_are_not_held_one_by_one() {
    alone(module_path!(), "replaced_rows_are_not_held_one_by_one", |dir| {
        const ROWS: u64 = 1 << 22;
        let path = dir.join("store");
        let store = Store::new(&path).unwrap();
        store.save_slice("bytes", &vec![1_u8; ROWS as usize], &[ROWS]).unwrap();
        store.save_slice("wide", &vec![1_u8; ROWS as usize], &[ROWS / 64, 64]).unwrap();
        // The pool's threads and whatever else is made once.
        drop(store.load_vec::<u8>("bytes").unwrap());
        let all: Vec<i64> = (0..ROWS as i64).collect();
        store.replace_slice("bytes", &vec![2_u8; ROWS as usize], &all).unwrap();
        let third: Vec<i64> = (0..ROWS as i64 / 64).step_by(3).collect();
        store.replace_slice("wide", &vec![2_u8; third.len() * 64], &third).unwrap();
        drop((store, all));
        let store = overlaying(&path);
        let redo = ROWS + ROWS / 3;
        let most = |result: u64, what: &str, work: &dyn Fn()| {
            let (peak, limit) = (peak_of(work) as u64, result + redo + redo / 10);
            assert!(peak <= limit, "{what}: {peak} bytes of {limit}");
        };
        most(ROWS, "all rows", &|| {
            assert!(store.load_vec::<u8>("bytes").unwrap().1.iter().all(|&row| row == 2))
        });
        most(ROWS, "rows here and there", &|| {
            let rows = store.load_vec::<u8>("wide").unwrap().1;
            let expected = |(i, &byte): (usize, &u8)| byte == if i / 64 % 3 == 0 { 2 } else { 1 };
            assert!(rows.iter().enumerate().all(expected));
        });
        let (peak, row) = {
            let mut row = None;
            let peak = peak_of(|| row = store.getitem::<u8>("wide", Selection::List(&[3])).ok());
            (peak, row.unwrap())
        };
        assert!(row.iter().all(|&byte| byte == 2));
        assert!(peak <= 1 << 20, "one row: {peak} bytes");
    });
}
