//! Many arrays where few files may be open: what is mapped needs no descriptor, and what is read has one at a time.

use std::ops::ControlFlow;
use std::path::Path;

use numpack::package::{self, PackOptions};
use numpack::prelude::*;
use numpack::{ArrayView, RawArray};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::alone::alone;

const ARRAYS: usize = 250;
/// More bytes than are read from a mapping.
const ROWS: usize = 100_000;

/// A store where fewer files may be open than there are arrays: the one of number `at` is that number everywhere.
fn store(dir: &Path) -> Store {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(128), maximum }).unwrap();
    let store = Store::new(dir.join("data.npk")).unwrap();
    for at in 0..ARRAYS {
        save(&store, at, at as u8);
    }
    store
}

fn name(at: usize) -> String {
    format!("a{at}")
}

fn save(store: &Store, at: usize, value: u8) {
    let (name, bytes) = (name(at), vec![value; ROWS]);
    store.save_raw(&[raw(&name, &bytes)]).unwrap();
}

fn raw<'a>(name: &'a str, bytes: &'a [u8]) -> RawArray<'a> {
    RawArray { name, dtype: DataType::Uint8, shape: &[ROWS as u64], bytes }
}

fn views(store: &Store) -> Vec<ArrayView> {
    (0..ARRAYS).map(|at| store.get_array_view(&name(at)).unwrap()).collect()
}

/// Checks all rows, which are read by system call where the file has its name, and some, which are not.
fn check(view: &ArrayView, value: u8) {
    assert_eq!(view.row_bytes(0..u64::MAX).unwrap(), vec![value; ROWS], "{}", view.name());
    assert_eq!(view.gather::<u8>(&[7, -1]).unwrap().as_slice().unwrap(), [value; 2], "{}", view.name());
}

#[test]
fn views_of_more_arrays_than_files_may_be_open() {
    alone(module_path!(), "views_of_more_arrays_than_files_may_be_open", |dir| {
        let store = store(dir);
        let found = views(&store);
        found.iter().enumerate().for_each(|(at, view)| check(view, at as u8));
        let copies: Vec<_> = found.iter().map(|view| view.private_copy().unwrap().unwrap()).collect();
        assert_eq!(copies.len(), ARRAYS);
        let reader = OpenOptions::new().mode(Mode::Read).open(dir.join("data.npk")).unwrap();
        assert_eq!(reader.get_array_views(|_| true).unwrap().len(), ARRAYS);
    });
}

#[test]
fn views_keep_the_rows_of_files_that_are_out_of_use() {
    alone(module_path!(), "views_keep_the_rows_of_files_that_are_out_of_use", |dir| {
        let store = store(dir);
        let old = views(&store);
        store.drop_many(&[&name(0), &name(1)]).unwrap();
        // Files out of use are written again, unless somebody has them open or mapped.
        for value in [251, 252, 253] {
            (2..20).for_each(|at| save(&store, at, value));
        }
        store.sync_metadata().unwrap();
        old.iter().enumerate().for_each(|(at, view)| check(view, at as u8));
        assert!(old[0].private_copy().unwrap().is_none(), "there is no file to map any more");
        let new = store.get_array_view(&name(2)).unwrap();
        check(&new, 253);
    });
}

#[test]
fn writable_views_of_more_arrays_than_files_may_be_open() {
    alone(module_path!(), "writable_views_of_more_arrays_than_files_may_be_open", |dir| {
        let store = store(dir);
        if store.writable_view(&name(0)).is_err() {
            return assert!(!in_place(dir), "the file system takes stores to mapped memory");
        }
        let held: Vec<_> = (0..ARRAYS).map(|at| store.writable_view(&name(at)).unwrap()).collect();
        held.iter().for_each(|view| view.flush().unwrap());
    });
}

/// Whether the folder is on ext4 or tmpfs, where a store to mapped memory cannot fail.
fn in_place(dir: &Path) -> bool {
    let kind = rustix::fs::statfs(dir).unwrap().f_type as u64;
    [0xef53, 0x0102_1994].contains(&kind)
}

#[test]
fn a_package_of_more_arrays_than_files_may_be_open() {
    alone(module_path!(), "a_package_of_more_arrays_than_files_may_be_open", |dir| {
        let (store, file) = (store(dir), dir.join("data.npkg"));
        let go = |_| ControlFlow::Continue(());
        package::pack(dir.join("data.npk"), Some(&file), PackOptions::default(), go).unwrap();
        drop(store);
        let (path, options) = (dir.join("other.npk"), package::UnpackOptions::default());
        package::unpack(&file, Some(&path), options, go).unwrap();
        let other = Store::new(&path).unwrap();
        views(&other).iter().enumerate().for_each(|(at, view)| check(view, at as u8));
    });
}
