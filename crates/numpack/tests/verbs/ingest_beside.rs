//! Ingests beside others: they hold up nobody, nobody takes their files, and what a killed one leaves goes with the
//! next commit.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use numpack::prelude::*;
use numpack::{Existing, Finding, Ingest};

use crate::folder::scratch;
use crate::procs::{self, child};
use crate::worker::{Worker, ready};

const U64: DataType = DataType::Uint64;

/// Adds an array of three rows of 1,000 elements that are all `value`.
fn add(ingest: &mut Ingest, name: &str, value: u64) {
    let mut writer = ingest.array(name, U64, &[3, 1000]).unwrap();
    let row: Vec<u8> = std::iter::repeat_n(value.to_le_bytes(), 1000).flatten().collect();
    (0..3).for_each(|_| writer.write(&row).unwrap());
    ingest.add(writer).unwrap();
}

fn incoming(path: &Path) -> usize {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".npki")).count()
}

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    let store = Store::new(path).unwrap();
    match role.as_str() {
        "wait" => {
            let mut ingest = store.ingest().unwrap();
            (0..5).for_each(|i| add(&mut ingest, &format!("theirs{i}"), i));
            let mut writer = ingest.array("half", U64, &[1000]).unwrap();
            writer.write(&[1; 4000]).unwrap();
            ready();
            thread::sleep(Duration::from_secs(60));
        }
        "bring" => {
            ready();
            let id = u64::from(std::process::id());
            for round in 0..20 {
                let mut ingest = store.ingest().unwrap();
                (0..4).for_each(|i| add(&mut ingest, &format!("{id}-{round}-{i}"), id + i));
                ingest.commit(Existing::Keep).unwrap();
            }
        }
        _ => panic!("no role {role}"),
    }
}

fn start(role: &str, path: &Path) -> Worker {
    Worker::start(&mut child(module_path!(), role, path))
}

#[test]
fn writers_and_readers_go_on_while_bytes_come() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &[1_u64, 2], &[2]).unwrap();
    let other = OpenOptions::new().lock_timeout(Some(Duration::from_millis(500))).open(&path).unwrap();
    let mut ingest = store.ingest().unwrap();
    let mut second = other.ingest().unwrap();
    for i in 0..50 {
        add(&mut ingest, &format!("i{i}"), i);
        add(&mut second, &format!("s{i}"), i);
        other.append_slice("a", &[i]).unwrap();
        store.replace_slice("a", &[i], &[0]).unwrap();
        store.save_slice("b", &[i], &[1]).unwrap();
        assert_eq!(store.list_arrays(), ["a", "b"]);
        assert_eq!(store.verify().unwrap().findings, []);
    }
    other.reset().unwrap();
    other.save_slice("i7", &[3_u64], &[1]).unwrap();
    assert!(matches!(ingest.commit(Existing::Keep), Err(NpkError::ArrayExists(_))));
    ingest.commit(Existing::Replace).unwrap();
    second.commit(Existing::Keep).unwrap();
    assert_eq!(other.list_arrays().len(), 100);
    for i in 0..50 {
        for name in [format!("i{i}"), format!("s{i}")] {
            assert_eq!(store.load_vec::<u64>(&name).unwrap(), (vec![3, 1000], vec![i; 3000]));
        }
    }
    drop((ingest, second));
    store.sync_metadata().unwrap();
    assert_eq!(store.verify().unwrap().findings, []);
    assert_eq!(incoming(&path), 0);
}

#[test]
fn a_commit_after_a_killed_ingest_takes_what_it_left_and_leaves_the_living() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &[1_u64, 2], &[2]).unwrap();
    let mut own = store.ingest().unwrap();
    add(&mut own, "own", 7);
    let (killed, living) = (start("wait", &path), start("wait", &path));
    (0..20_u64).for_each(|i| store.append_slice("a", &[i]).unwrap());
    assert_eq!((incoming(&path), store.verify().unwrap().findings), (2 + 7 + 7, vec![]));
    drop(killed);
    let strays = store.verify().unwrap().findings;
    assert!(strays.len() == 7 && strays.iter().all(|found| matches!(found, Finding::Stray(_))), "{strays:?}");
    assert_eq!(incoming(&path), 2 + 7 + 7, "who only looks removes nothing");
    store.append_slice("a", &[0_u64]).unwrap();
    assert_eq!((incoming(&path), store.verify().unwrap().findings), (2 + 7, vec![]));
    drop(living);
    own.commit(Existing::Keep).unwrap();
    assert_eq!((incoming(&path), store.verify().unwrap().findings), (0, vec![]));
    store.save_slice("b", &[1_u64], &[1]).unwrap();
    assert_eq!(store.list_arrays(), ["a", "own", "b"]);
    assert_eq!((incoming(&path), store.verify().unwrap().findings), (0, vec![]));
}

#[test]
fn whoever_opens_the_store_first_after_a_killed_ingest_clears_up_with_his_commit() {
    let dir = scratch();
    let path = dir.path().join("store");
    drop(Store::new(&path).unwrap());
    for round in 0..3 {
        drop(start("wait", &path));
        assert_eq!(incoming(&path), 7, "round {round}");
        let store = Store::new(&path).unwrap();
        assert_eq!(store.list_arrays().len(), usize::from(round > 0));
        store.save_slice("a", &[1_u64], &[1]).unwrap();
        assert_eq!((incoming(&path), store.verify().unwrap().findings), (0, vec![]));
    }
}

#[test]
fn several_processes_bring_arrays_at_once() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice("log", &[0_u64], &[1]).unwrap();
    let workers: Vec<Worker> = (0..4).map(|_| start("bring", &path)).collect();
    for i in 0..200_u64 {
        store.append_slice("log", &[i]).unwrap();
    }
    workers.into_iter().for_each(Worker::success);
    let names = store.list_arrays();
    assert_eq!(names.len(), 1 + 4 * 20 * 4);
    for name in names.iter().filter(|name| *name != "log") {
        let numbers: Vec<u64> = name.split('-').map(|part| part.parse().unwrap()).collect();
        assert_eq!(store.load_vec::<u64>(name).unwrap().1, vec![numbers[0] + numbers[2]; 3000]);
    }
    assert_eq!(store.get_shape("log").unwrap(), [201]);
    store.sync_metadata().unwrap();
    assert_eq!((incoming(&path), store.verify().unwrap().findings), (0, vec![]));
}

#[test]
fn threads_fill_the_arrays_of_one_ingest() {
    let dir = scratch();
    let store = Store::new(dir.path().join("store")).unwrap();
    let mut ingest = store.ingest().unwrap();
    let writers = thread::scope(|scope| {
        let fill = |i: u64| {
            let mut writer = ingest.rows(&format!("a{i}"), U64, &[10]).unwrap();
            (0..500).for_each(|_| writer.write(&[i as u8; 80]).unwrap());
            writer
        };
        let threads: Vec<_> = (0..8).map(|i| scope.spawn(move || fill(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    writers.into_iter().for_each(|writer| ingest.add(writer).unwrap());
    ingest.commit(Existing::Keep).unwrap();
    for i in 0..8_u64 {
        let value = u64::from_le_bytes([i as u8; 8]);
        assert_eq!(store.load_vec::<u64>(&format!("a{i}")).unwrap(), (vec![500, 10], vec![value; 5000]));
    }
}
