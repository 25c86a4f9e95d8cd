//! Damage of every kind, then a repair: never a panic, never rows that were not committed, never a byte of the old
//! store changed; what is intact comes over as it was.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use numpack::prelude::*;
use numpack::{RepairReport, repair};

use crate::folder::scratch;
use crate::log_parts::{CONTROL, LOG, record_end, record_starts, used};

/// Every array: its logical shape and its values.
type Contents = BTreeMap<String, (Vec<u64>, Vec<i32>)>;

/// What is done to a file.
type Damage<'a> = &'a dyn Fn(&Path);

/// A closed store, what it held after each of its commits, and folders for damage and repair.
struct Bench {
    _dir: tempfile::TempDir,
    base: PathBuf,
    damaged: PathBuf,
    target: PathBuf,
    history: Vec<Contents>,
    repairs: Cell<u64>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        println!("{} stores repaired", self.repairs.get());
    }
}

fn read(store: &Store) -> Contents {
    let names = store.metadata().unwrap().into_iter().map(|array| array.name.to_string());
    names.map(|name| (name.clone(), store.load_vec::<i32>(&name).unwrap())).collect()
}

impl Bench {
    fn new() -> Bench {
        let dir = scratch();
        let at = |name| dir.path().join(name);
        let (base, damaged, target) = (at("base"), at("damaged"), at("target"));
        let store = Store::new(&base).unwrap();
        let mut history = vec![read(&store)];
        let rows = |n: i32, first: i32| (first..first + 3 * n).collect::<Vec<i32>>();
        let commits: [&dyn Fn() -> NpkResult<()>; 11] = [
            &|| store.save_slice("a", &rows(10, 0), &[10, 3]),
            &|| store.save_slice("b", &rows(4, 1000), &[4, 3]),
            &|| store.append_slice("a", &rows(5, 2000)),
            &|| store.replace_slice("a", &rows(2, 3000), &[3, -1]),
            &|| store.drop_arrays("a", Some(&[0, 1, 7])),
            &|| store.save_slice("gone", &rows(2, 4000), &[2, 3]),
            &|| store.clone_array("b", "c"),
            &|| store.drop_arrays("gone", None),
            &|| store.replace_slice("b", &rows(1, 5000), &[2]),
            &|| store.drop_arrays("b", Some(&[0])),
            &|| store.append_slice("c", &rows(1, 6000)),
        ];
        for commit in commits {
            commit().unwrap();
            history.push(read(&store));
        }
        drop(store);
        Bench { _dir: dir, base, damaged, target, history, repairs: Cell::new(0) }
    }

    fn last(&self) -> &Contents {
        &self.history[self.history.len() - 1]
    }

    /// Repairs the store after `damage`, with its control page and without.
    fn check(&self, what: &str, damage: impl Fn(&Path), expect: impl Fn(&RepairReport, &Contents)) {
        for with_page in [true, false] {
            let what = format!("{what}, page {with_page}");
            self.start_anew();
            damage(&self.damaged);
            if !with_page {
                fs::remove_file(self.damaged.join(CONTROL)).unwrap_or_default();
            }
            let before = bytes_of(&self.damaged);
            let report = repair(&self.damaged, &self.target, |_, _| ControlFlow::Continue(()))
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(bytes_of(&self.damaged), before, "{what}: the old store has changed");
            let store = OpenOptions::new().mode(Mode::ReadWrite).open(&self.target).unwrap();
            assert!(store.verify().unwrap().findings.is_empty(), "{what}");
            let found = read(&store);
            self.check_rows(&what, with_page, &report, &found);
            expect(&report, &found);
            self.repairs.set(self.repairs.get() + 1);
        }
    }

    fn start_anew(&self) {
        for folder in [&self.damaged, &self.target] {
            fs::remove_dir_all(folder).unwrap_or_default();
        }
        fs::create_dir(&self.damaged).unwrap();
        for (name, bytes) in bytes_of(&self.base) {
            fs::write(self.damaged.join(name), bytes).unwrap();
        }
    }

    /// The rows of each array are those of one commit, of the last one where the report says that.
    fn check_rows(&self, what: &str, with_page: bool, report: &RepairReport, found: &Contents) {
        let told: BTreeSet<&str> = report.recovered.iter().map(|array| array.name.as_str()).collect();
        assert_eq!(told, found.keys().map(String::as_str).collect(), "{what}");
        for array in &report.recovered {
            let contents = &found[&array.name];
            assert_eq!(array.rows, contents.0[0], "{what}: {array:?}");
            assert!(array.is_proven, "{what}: {array:?}");
            let then = &self.history[array.commit as usize];
            assert_eq!(then.get(&array.name), Some(contents), "{what}: {array:?}, {report:?}");
        }
        if report.is_complete() {
            // Only the page knows of commits that a log has lost without a trace.
            let commit = report.last_commit.unwrap() as usize;
            let then = if with_page { self.last() } else { &self.history[commit] };
            assert_eq!(found, then, "{what}: {report:?}");
        }
    }
}

fn bytes_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

/// Changes the log of a store.
fn edit_log(folder: &Path, edit: impl Fn(&mut Vec<u8>)) {
    let path = folder.join(LOG);
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_intact_store_comes_over_whole() {
    let bench = Bench::new();
    bench.check(
        "nothing",
        |_| {},
        |report, found| {
            assert!(report.is_complete(), "{report:?}");
            assert_eq!((report.log_bytes_lost, &report.unknown_files), (0, &Vec::new()));
            assert_eq!(found, bench.last());
        },
    );
}

#[test]
fn any_byte_of_the_log_flipped() {
    let bench = Bench::new();
    let log = fs::read(bench.base.join(LOG)).unwrap();
    let starts = record_starts(&log);
    assert_eq!(starts.len(), bench.history.len(), "one record for each commit");
    for at in 0..used(&log) {
        let record = starts.iter().rposition(|&start| start <= at);
        bench.check(
            &format!("byte {at} of record {record:?}"),
            |folder| edit_log(folder, |log| log[at] ^= 0x41),
            |report, found| {
                let same = |name: &str| {
                    assert_eq!(found.get(name), bench.last().get(name), "{at} {name}: {report:?}")
                };
                // The header can be guessed, and an array is whole that was saved later or not changed since.
                match record {
                    None | Some(0) => ["a", "b", "c"].into_iter().for_each(same),
                    Some(1..=5) => same("c"),
                    Some(6) => ["a", "c"].into_iter().for_each(same),
                    Some(_) => same("a"),
                }
            },
        );
    }
}

#[test]
fn the_log_cut_anywhere() {
    let bench = Bench::new();
    let log = fs::read(bench.base.join(LOG)).unwrap();
    let starts = record_starts(&log);
    let ends = starts.iter().flat_map(|&at| [at, at + 1, at + 20, at + 39, at + 41, record_end(&log, at)]);
    for at in [0, 1, 63].into_iter().chain(ends) {
        for zeros in [false, true] {
            // A record ends with its padding, which is zeros.
            let end = |start: usize| record_end(&log, start).next_multiple_of(if zeros { 1 } else { 8 });
            let whole = starts.iter().filter(|&&start| end(start) <= at).count();
            bench.check(
                &format!("cut at {at}, zeros {zeros}"),
                |folder| {
                    edit_log(folder, |log| {
                        let len = log.len();
                        log.truncate(at);
                        log.resize(if zeros { len } else { at }, 0);
                    });
                },
                |report, found| {
                    assert_eq!(report.last_commit, (whole as u64).checked_sub(1), "{at}");
                    // What was replaced later is in the file of "a" from commit 4 on, in that of "b" from 9 on.
                    for (name, first) in [("a", 4), ("b", 9), ("c", 7)] {
                        let there = report.last_commit >= Some(first);
                        assert_eq!(found.contains_key(name), there, "{at}, {name}: {report:?}");
                    }
                },
            );
        }
    }
}

#[test]
fn stretches_of_the_log_overwritten() {
    let bench = Bench::new();
    let log = fs::read(bench.base.join(LOG)).unwrap();
    let end = used(&log);
    for len in [64, 200, 512] {
        for at in (0..end).step_by(24) {
            for byte in [0, 0xa5] {
                bench.check(
                    &format!("{len} bytes at {at} made {byte}"),
                    |folder| edit_log(folder, |log| log[at..end.min(at + len)].fill(byte)),
                    |_, _| {},
                );
            }
        }
    }
}

#[test]
fn data_files_damaged_cut_and_removed() {
    let bench = Bench::new();
    let store = OpenOptions::new().mode(Mode::Read).open(&bench.base).unwrap();
    let files: Vec<(String, String)> =
        ["a", "b", "c"].map(|name| (name.into(), store.get_array_metadata(name).unwrap().data_file)).into();
    drop(store);
    let damages: [(&str, Damage<'_>); 3] = [
        ("flipped", &|file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[5] ^= 1;
            fs::write(file, bytes).unwrap();
        }),
        ("cut", &|file| fs::OpenOptions::new().write(true).open(file).unwrap().set_len(7).unwrap()),
        ("removed", &|file| fs::remove_file(file).unwrap()),
    ];
    for (name, file) in &files {
        for (how, damage) in &damages {
            bench.check(
                &format!("{name} {how}"),
                |folder| damage(&folder.join(file)),
                |report, found| {
                    let lost: Vec<_> = report.left_out.iter().map(|lost| lost.name.as_str()).collect();
                    assert_eq!(lost, [name.as_str()], "{how}");
                    assert!(report.left_out[0].reason.contains(file.as_str()), "{report:?}");
                    let others = bench.last().iter().filter(|(other, _)| *other != name);
                    assert_eq!(found.iter().collect::<Vec<_>>(), others.collect::<Vec<_>>(), "{name} {how}");
                    assert!(report.is_last_state && !report.is_complete());
                },
            );
        }
    }
}

#[test]
fn files_other_than_data_removed() {
    let bench = Bench::new();
    let whole = |report: &RepairReport, found: &Contents| {
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(found, bench.last());
    };
    bench.check("no lock", |folder| fs::remove_file(folder.join("writer.lock")).unwrap(), whole);
    let nothing = |report: &RepairReport, found: &Contents| {
        assert!(found.is_empty() && !report.is_last_state, "{report:?}");
        assert!(report.unknown_files.len() >= 3, "{report:?}");
    };
    bench.check("no log", |folder| fs::remove_file(folder.join(LOG)).unwrap(), nothing);
    // A checkpoint that was cut off has left the next log.
    bench.check(
        "the log under its next name",
        |folder| fs::rename(folder.join(LOG), folder.join("metadata.npkm.new")).unwrap(),
        |report, found| {
            assert_eq!(found, bench.last());
            assert!(!report.is_last_state, "{report:?}");
        },
    );
}

#[test]
fn an_array_without_a_checksum_is_told() {
    let dir = scratch();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let store = Store::new(&source).unwrap();
    store.save_slice("v", &[1_i32, 2, 3], &[3]).unwrap();
    store.save_slice("w", &[4_i32], &[1]).unwrap();
    drop(store.writable_view("v").unwrap());
    drop(store);
    let report = repair(&source, &target, |_, _| ControlFlow::Continue(())).unwrap();
    let proven: Vec<_> =
        report.recovered.iter().map(|array| (array.name.as_str(), array.is_proven)).collect();
    assert_eq!(proven, [("v", false), ("w", true)]);
    assert_eq!(Store::new(&target).unwrap().load_vec::<i32>("v").unwrap().1, [1, 2, 3]);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let bench = Bench::new();
    bench.start_anew();
    let go = |_, _| ControlFlow::Continue(());
    let kind = |result: NpkResult<RepairReport>| match result.unwrap_err() {
        NpkError::Io { source, .. } => source.kind(),
        other => panic!("{other}"),
    };
    use std::io::ErrorKind::{AlreadyExists, Interrupted, NotFound};
    assert_eq!(kind(repair(&bench.damaged, &bench.damaged, go)), AlreadyExists);
    assert_eq!(kind(repair(&bench.damaged, &bench.base, go)), AlreadyExists);
    assert_eq!(kind(repair(bench.base.join("missing"), &bench.target, go)), NotFound);
    assert_eq!(kind(repair(&bench.damaged, &bench.target, |_, _| ControlFlow::Break(()))), Interrupted);
    let refused = |result: NpkResult<RepairReport>| match result.unwrap_err() {
        NpkError::InvalidArgument { argument, .. } => argument,
        other => panic!("{other}"),
    };
    assert_eq!(refused(repair(&bench.damaged, bench.damaged.join("new"), go)), "target");
    assert_eq!(refused(repair(bench.damaged.join(LOG), &bench.target, go)), "source");
    let empty = scratch();
    assert_eq!(refused(repair(empty.path(), &bench.target, go)), "source");
    // A writer at work.
    let lock = fs::File::open(bench.damaged.join("writer.lock")).unwrap();
    lock.lock().unwrap();
    let error = repair(&bench.damaged, &bench.target, go).unwrap_err();
    assert!(matches!(error, NpkError::Locked { .. }), "{error}");
    assert!(!bench.target.exists());
}
