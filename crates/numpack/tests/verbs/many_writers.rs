//! Many threads, instances and processes that write: no commit is lost, and a lock that is held too long is an
//! error.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use numpack::ndarray::Array2;
use numpack::prelude::*;

use crate::folder::scratch;
use crate::procs::{self, child};
use crate::random::Random;
use crate::wide_rows::{one_value, rows_of};
use crate::worker::{Worker, ready};

const NUMBER: &str = "NUMPACK_TEST_NUMBER";

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    let number: u64 = std::env::var(NUMBER).map_or(0, |number| number.parse().unwrap());
    let store = Store::new(path).unwrap();
    ready();
    match role.as_str() {
        "append" => {
            for i in 0..300 {
                store.append_slice("log", &[number, i]).unwrap();
                store.replace_slice("own", &[i + 1; 8], &[number as i64]).unwrap();
            }
        }
        "save_long" => {
            let large = vec![number; 16 << 20];
            loop {
                store.save_slice("large", &large, &[large.len() as u64]).unwrap();
            }
        }
        _ => panic!("no role {role}"),
    }
}

fn numbered(role: &str, path: &Path, number: u64) -> Worker {
    Worker::start(child(module_path!(), role, path).env(NUMBER, number.to_string()))
}

#[test]
fn ten_threads_with_an_instance_each_save_different_arrays() {
    let dir = scratch();
    let path = dir.path().join("store");
    thread::scope(|scope| {
        for t in 0..10 {
            let path = path.clone();
            scope.spawn(move || {
                let store = Store::new(path).unwrap();
                let data = Array2::from_elem((200, 10), t as f32).into_dyn();
                store.save_arrays(&[(format!("array_{t}"), data, DataType::Float32)]).unwrap();
            });
        }
    });
    let store = Store::new(path).unwrap();
    assert_eq!(store.list_arrays().len(), 10);
    for t in 0..10 {
        let array = store.load_array::<f32>(&format!("array_{t}")).unwrap();
        assert!(array.shape() == [200, 10] && array.iter().all(|&value| value == t as f32));
    }
}

#[test]
fn threads_share_one_instance_with_mixed_verbs() {
    let dir = scratch();
    let store = Store::new(dir.path().join("store")).unwrap();
    store.save_arrays(&[("shared".into(), rows_of(0, 16), DataType::Uint64)]).unwrap();
    thread::scope(|scope| {
        for t in 0..8_u64 {
            let store = store.clone();
            scope.spawn(move || {
                let name = format!("own{t}");
                let mut model: Vec<u64> = Vec::new();
                for i in 0..120_u64 {
                    let value = t << 32 | i;
                    let rows = model.len() as u64;
                    match i % 6 {
                        0 => {
                            model = vec![value; 40];
                            store.save_slice(&name, &model, &[40, 1]).unwrap();
                        }
                        1 | 4 => {
                            store.append_slice(&name, &[value; 3]).unwrap();
                            model.extend([value; 3]);
                        }
                        2 => {
                            store.replace_slice(&name, &[value; 2], &[i as i64 % 40, -1]).unwrap();
                            model[i as usize % 40] = value;
                            *model.last_mut().unwrap() = value;
                        }
                        3 => {
                            store.drop_arrays(&name, Some(&[0, rows as i64 - 2])).unwrap();
                            model.remove(rows as usize - 2);
                            model.remove(0);
                        }
                        _ => store.compact_array(&name).unwrap(),
                    }
                    assert_eq!(store.load_vec::<u64>(&name).unwrap().1, model);
                    let at = i as usize % model.len();
                    assert_eq!(store.getitem::<u64>(&name, &[at as i64]).unwrap()[[0, 0]], model[at]);
                    if t < 2 {
                        let all: Vec<i64> = (0..16).collect();
                        store.replace_rows("shared", &rows_of(value, 16), &all).unwrap();
                    }
                    one_value(&store.load_array("shared").unwrap());
                }
            });
        }
    });
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn processes_append_and_replace_and_no_row_is_lost() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice::<u64>("log", &[], &[0, 2]).unwrap();
    store.save_slice("own", &[0_u64; 32], &[4, 8]).unwrap();
    let workers: Vec<Worker> = (0..4).map(|number| numbered("append", &path, number)).collect();
    workers.into_iter().for_each(Worker::success);
    let (shape, log) = store.load_vec::<u64>("log").unwrap();
    assert_eq!(shape, [1200, 2]);
    let rows: HashSet<(u64, u64)> = log.chunks(2).map(|row| (row[0], row[1])).collect();
    assert_eq!(rows.len(), 1200);
    // Each process sees its own appends in order.
    for number in 0..4 {
        let own: Vec<u64> = log.chunks(2).filter(|row| row[0] == number).map(|row| row[1]).collect();
        assert_eq!(own, (0..300).collect::<Vec<_>>());
    }
    assert_eq!(store.load_vec::<u64>("own").unwrap().1, [300; 32]);
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn a_held_lock_is_an_error_after_the_timeout() {
    let dir = scratch();
    let path = dir.path().join("store");
    let timeout = Duration::from_millis(100);
    let store = OpenOptions::new().lock_timeout(Some(timeout)).open(&path).unwrap();
    store.save_slice("small", &[1_u8], &[1]).unwrap();
    let writer = numbered("save_long", &path, 1);
    // Nearly all of its time the writer is inside a save; stop it until one is caught.
    let mut random = Random::new();
    let mut locked = false;
    for _ in 0..50 {
        thread::sleep(Duration::from_micros(1000 + random.below(30_000)));
        writer.stop();
        let start = Instant::now();
        let result = store.append_slice("small", &[2_u8]);
        let took = start.elapsed();
        // Reading goes on.
        assert_eq!(store.getitem::<u8>("small", &[0]).unwrap()[[0]], 1);
        writer.signal(libc::SIGCONT);
        match result {
            Err(NpkError::Locked { waited, .. }) => {
                assert!(waited >= timeout && took < Duration::from_secs(2), "{waited:?} {took:?}");
                locked = true;
                break;
            }
            other => other.unwrap(),
        }
    }
    assert!(locked, "no stop hit a save");
    // A dead holder's lock is free.
    drop(writer);
    store.append_slice("small", &[3_u8]).unwrap();
    assert_eq!(store.getitem::<u8>("small", &[-1]).unwrap()[[0]], 3);
}

#[test]
fn selections_are_resolved_against_the_commit_they_apply_to() {
    const APPENDS: u64 = 400;
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::new(path.clone()).unwrap();
    store.save_slice("x", &[0_u64; 2 * 1000], &[1000, 2]).unwrap();
    let other = Store::new(path).unwrap();
    let ended = AtomicBool::new(false);
    let (mut masked, mut refused) = (0, 0);
    thread::scope(|scope| {
        let appending = scope.spawn(|| {
            for _ in 0..APPENDS {
                other.append_slice("x", &[7_u64; 2 * 8]).unwrap();
                // All eight of them, wherever they are by now; a slice of seven rows for eight is refused.
                other.replace_slice("x", &[9_u64; 2 * 8], -8..).unwrap();
                let wrong = other.replace_slice("x", &[9_u64; 2 * 8], -7..);
                assert!(matches!(wrong, Err(NpkError::InvalidShape { .. })), "{wrong:?}");
            }
            ended.store(true, Ordering::Release);
        });
        while !ended.load(Ordering::Acquire) {
            let rows = store.get_shape("x").unwrap()[0] as usize;
            if rows < 100 {
                thread::yield_now();
                continue;
            }
            store.drop_rows("x", ..4).unwrap();
            let mut mask = vec![false; rows - 4];
            mask[0] = true;
            match store.drop_rows("x", Selection::Mask(&mask)) {
                Ok(()) => masked += 1,
                Err(NpkError::MaskMismatch { rows, flags }) if rows > flags => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        appending.join().unwrap();
    });
    let dropped = 4 * (masked + refused) + masked;
    assert_eq!(store.get_shape("x").unwrap(), [1000 + 8 * APPENDS - dropped, 2]);
    assert!(store.verify().unwrap().findings.is_empty());
}
