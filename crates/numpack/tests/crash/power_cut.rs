//! After a power cut: what was synced is there, what the disk lost is cut off, and stays cut off.
//!
//! The cut is played on the real files: bytes and records that were never synced are taken away, and the
//! store is opened as if in another boot.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use numpack::prelude::*;

use crate::disk::in_another_boot;
use crate::folder::scratch;
use crate::values::values;

/// The used length of the log, so that a test can take later records away.
fn log_bytes(path: &Path) -> Vec<u8> {
    fs::read(path.join("metadata.npkm")).unwrap()
}

fn data_file(path: &Path, store: &Store, name: &str) -> File {
    let file = store.get_array_metadata(name).unwrap().data_file;
    File::options().write(true).open(path.join(file)).unwrap()
}

/// Ten synced rows, then an unsynced append whose bytes the disk lost, then another commit.
fn lost_append(path: &Path) {
    let store = Store::new(path).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.sync_metadata().unwrap();
    store.append_slice("a", &values(40, 40)).unwrap();
    store.save_slice("b", &values(0, 4), &[4]).unwrap();
    data_file(path, &store, "a").write_all_at(&[0; 160], 160).unwrap();
}

fn check_cut(store: &Store) {
    assert_eq!(store.list_arrays(), ["a"], "nothing after the cut counts");
    assert_eq!(store.load_vec::<f32>("a").unwrap(), (vec![10, 4], values(0, 40)));
}

#[test]
fn rows_that_the_disk_lost_are_cut_off_for_good() {
    let dir = scratch();
    lost_append(dir.path());
    let store = in_another_boot(dir.path(), Mode::ReadWrite).unwrap();
    check_cut(&store);
    store.append_slice("a", &values(40, 4)).unwrap();
    drop(store);
    let again = in_another_boot(dir.path(), Mode::ReadWrite).unwrap();
    assert_eq!(again.load_vec::<f32>("a").unwrap(), (vec![11, 4], values(0, 44)));
    assert!(again.verify().unwrap().findings.is_empty(), "{:?}", again.verify());
}

#[test]
fn a_reader_cuts_in_memory_and_follows_the_writer_that_mends() {
    let dir = scratch();
    lost_append(dir.path());
    let before = log_bytes(dir.path());
    let reader = in_another_boot(dir.path(), Mode::Read).unwrap();
    check_cut(&reader);
    check_cut(&reader);
    assert_eq!(log_bytes(dir.path()), before, "a reader changes nothing");
    let writer = in_another_boot(dir.path(), Mode::ReadWrite).unwrap();
    writer.save_slice("c", &values(5, 2), &[2]).unwrap();
    assert_eq!(reader.load_vec::<f32>("c").unwrap(), (vec![2], values(5, 2)));
}

#[test]
fn a_replace_whose_record_was_lost_does_not_take_what_was_synced() {
    let dir = scratch();
    let store = Store::new(dir.path()).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.sync_metadata().unwrap();
    let synced = log_bytes(dir.path());
    store.replace_slice("a", &values(100, 4), &[3]).unwrap();
    drop(store);
    let log = File::options().write(true).open(dir.path().join("metadata.npkm")).unwrap();
    log.write_all_at(&synced, 0).unwrap();
    let store = in_another_boot(dir.path(), Mode::ReadWrite).unwrap();
    let (shape, rows) = store.load_vec::<f32>("a").unwrap();
    assert_eq!(shape, [10, 4]);
    // The replaced row may be old or new; every other row is what was synced.
    assert_eq!((&rows[..12], &rows[16..]), (&values(0, 12)[..], &values(16, 24)[..]));
}

/// Array "b", synced, and "a", which nobody synced, with rows 1, 3 and 4 replaced.
fn saved_and_replaced(path: &Path) -> File {
    let store = Store::new(path).unwrap();
    store.save_slice("b", &values(0, 8), &[2, 4]).unwrap();
    store.sync_metadata().unwrap();
    // Replaced in a file that is gone: not to be laid over the one that took its place.
    store.save_slice("a", &values(200, 40), &[10, 4]).unwrap();
    store.replace_slice("a", &values(300, 4), &[7]).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.replace_slice("a", &values(70, 12), &[4, 1, 3]).unwrap();
    store.replace_slice("a", &values(90, 8), &[3, 3]).unwrap();
    data_file(path, &store, "a")
}

#[test]
fn lost_rows_beside_replaced_ones_are_cut_off() {
    for row in 0..10 {
        let dir = scratch();
        saved_and_replaced(dir.path()).write_all_at(&[0; 16], row * 16).unwrap();
        for mode in [Mode::Read, Mode::Append] {
            let store = in_another_boot(dir.path(), mode).unwrap();
            // What was replaced is whole in the log.
            let whole = [1, 3, 4].contains(&row);
            assert_eq!(store.list_arrays().contains(&"a".to_owned()), whole, "row {row}");
            if whole {
                let rows = store.getitem::<f32>("a", &[1, 3, 4]).unwrap();
                let expected = [values(74, 4), values(94, 4), values(70, 4)].concat();
                assert_eq!(rows.as_slice().unwrap(), expected);
            }
        }
        let report = in_another_boot(dir.path(), Mode::Read).unwrap().verify().unwrap();
        assert!(report.is_intact() && report.checksummed == report.arrays, "{report:?}");
    }
}

#[test]
fn a_lost_file_takes_its_commit_and_the_old_contents_come_back() {
    let dir = scratch();
    let store = Store::new(dir.path()).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.sync_metadata().unwrap();
    store.save_slice("a", &values(500, 8), &[2, 4]).unwrap();
    let lost = dir.path().join(store.get_array_metadata("a").unwrap().data_file);
    drop(store);
    fs::remove_file(lost).unwrap();
    check_cut(&in_another_boot(dir.path(), Mode::ReadWrite).unwrap());
}

#[test]
fn what_was_synced_and_is_gone_is_damage() {
    let dir = scratch();
    let store = Store::new(dir.path()).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.sync_metadata().unwrap();
    drop(store);
    let log = File::options().write(true).open(dir.path().join("metadata.npkm")).unwrap();
    let at = fs::read(dir.path().join("metadata.npkm")).unwrap().iter().rposition(|&b| b != 0).unwrap();
    log.write_all_at(&[0xee], at as u64 - 4).unwrap();
    assert!(matches!(in_another_boot(dir.path(), Mode::ReadWrite), Err(NpkError::Corrupted { .. })));
}
