//! Saves over an array write into the file of the save before the last: under nobody who reads it, and with
//! nothing kept of files that others have taken over.

use std::path::Path;
use std::sync::Arc;

use numpack::disk::OsFolder;
use numpack::prelude::*;
use tempfile::tempdir;

use crate::alone::alone;

/// Elements of an array that is large enough for its file to be used again.
const LEN: u64 = 200_000;

fn save(store: &Store, value: u64) {
    store.save_slice("a", &vec![value; LEN as usize], &[LEN]).unwrap();
}

fn holds(store: &Store, value: u64) {
    assert!(store.load_vec::<u64>("a").unwrap().1.iter().all(|&found| found == value), "not all are {value}");
}

/// A store with a state of its own, as another process has it.
fn apart(path: &Path) -> Store {
    Store::open_folder(Arc::new(OsFolder::open(path).unwrap()), OpenOptions::new()).unwrap()
}

/// Writable shared mappings of data files below `path`.
fn mapped(path: &Path) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = path.canonicalize().unwrap();
    let path = path.to_str().unwrap();
    maps.lines().filter(|l| l.contains(" rw-s ") && l.contains(path) && l.contains(".npkd")).count()
}

#[test]
fn two_writers_take_turns_and_no_view_changes() {
    let dir = tempdir().unwrap();
    let stores = [apart(dir.path()), apart(dir.path())];
    let mut views = Vec::new();
    for turn in 0..60 {
        // Some saves in a row by the same writer, so that it has both files mapped when the other one comes.
        save(&stores[(turn / 5 % 2) as usize], turn);
        if turn % 7 == 3 {
            views.push((turn, stores[(turn / 3 % 2) as usize].get_array_view("a").unwrap()));
        }
        if turn % 4 == 1 {
            stores.iter().for_each(|store| holds(store, turn));
        }
        if views.len() > 2 {
            views.remove(0);
        }
        for (value, view) in &views {
            let found = view.to_array::<u64>().unwrap();
            assert!(found.iter().all(|found| found == value), "a view of {value} in turn {turn}");
        }
    }
    holds(&stores[0], 59);
    holds(&apart(dir.path()), 59);
    assert!(stores[1].verify().unwrap().is_intact());
}

#[test]
fn mappings_are_kept_only_while_their_files_are_ours() {
    alone(module_path!(), "mappings_are_kept_only_while_their_files_are_ours", |dir| {
        let (ours, other) = (apart(dir), apart(dir));
        (0..6).for_each(|value| save(&ours, value));
        assert_eq!(mapped(dir), 2, "the array's file and the one before");
        // They are not readers: the other writer gets the recycled file.
        let files = || std::fs::read_dir(dir).unwrap().count();
        let before = files();
        (6..9).for_each(|value| save(&other, value));
        assert_eq!(files(), before, "no new file was needed");
        holds(&ours, 8);
        drop(other);
        assert_eq!(mapped(dir), 0, "after another's commit");
        (10..14).for_each(|value| save(&ours, value));
        assert_eq!(mapped(dir), 2);
        ours.drop_arrays("a", None).unwrap();
        assert!(mapped(dir) <= 1, "a removed file is not kept");
        ours.reset().unwrap();
        assert_eq!(mapped(dir), 0, "after a reset");
        (0..4).for_each(|value| save(&ours, value));
        drop(ours);
        assert_eq!(mapped(dir), 0, "after closing");
    });
}

#[test]
fn sizes_that_change_a_little_go_into_the_same_files() {
    let dir = tempdir().unwrap();
    let store = apart(dir.path());
    for turn in 0..40_u64 {
        let len = LEN - turn * 7919 % 9000;
        store.save_slice("a", &vec![turn; len as usize], &[len]).unwrap();
        if turn % 3 == 0 {
            store.append_slice("a", &vec![turn; 5000]).unwrap();
        }
        holds(&store, turn);
        holds(&apart(dir.path()), turn);
    }
    assert!(store.verify().unwrap().is_intact());
}
