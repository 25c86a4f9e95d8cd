//! Many threads, instances and processes on one store: no commit is lost, no read is torn, nobody waits for
//! a stopped writer.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unsafe_code, reason = "fork, signals and reading through a view's pointer")]

mod procs;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use numpack::ndarray::{Array2, ArrayD};
use numpack::prelude::*;
use procs::{Random, child, scratch};

/// Elements of a large row: 4 KiB, all of one value.
const WIDE: usize = 512;
/// Rows of the array that readers look at while it is replaced.
const ROWS: usize = 256;
const NUMBER: &str = "NUMPACK_TEST_NUMBER";

fn rows_of(value: u64, rows: usize) -> ArrayD<u64> {
    Array2::from_elem((rows, WIDE), value).into_dyn()
}

/// Kills its process when the test ends, however it ends.
struct Worker(Child);

impl Worker {
    fn start(command: &mut Command) -> Worker {
        let mut process = command.spawn().unwrap();
        let out = process.stdout.take().unwrap();
        let worker = Worker(process);
        let mut lines = BufReader::new(out).lines();
        assert!(lines.any(|line| line.unwrap() == "@ready"), "the child did not get ready");
        // The rest of its output is small and fits the pipe.
        std::mem::forget(lines);
        worker
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: a signal to a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as libc::pid_t, signal) }, 0);
    }

    /// Stops the process and waits until it stands still.
    fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let mut status = 0;
        let pid = self.0.id() as libc::pid_t;
        // SAFETY: waits for a stop of a living child, with a valid place for its status.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) }, pid);
        assert!(libc::WIFSTOPPED(status), "the writer ended with {status:#x}");
    }

    fn success(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

fn ready() {
    let mut out = std::io::stdout().lock();
    out.write_all(b"\n@ready\n").unwrap();
    out.flush().unwrap();
}

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
        "replace_all" => {
            let indexes: Vec<i64> = (0..ROWS as i64).collect();
            for version in 1.. {
                store.replace_rows("wide", &rows_of(version, ROWS), &indexes).unwrap();
            }
        }
        "save_over" => {
            for version in 1..=60 {
                store.save_arrays(&[("wide".into(), rows_of(version, ROWS), DataType::Uint64)]).unwrap();
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
    Worker::start(child(role, path).env(NUMBER, number.to_string()))
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
fn verify_beside_replaces_finds_nothing() {
    let dir = scratch();
    let store = Store::new(dir.path().join("store")).unwrap();
    store.save_slice("a", &[0_u64; 40_000], &[20_000, 2]).unwrap();
    let writing = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0_i64.. {
                let rows: Vec<i64> = (0..200).map(|row| (row * 7919 + i * 31) % 20_000).collect();
                store.replace_slice("a", &[i as u64; 400], &rows).unwrap();
                // A look reads the whole log, which would soon be long.
                thread::sleep(Duration::from_micros(500));
                if i == 0 {
                    writing.store(true, Ordering::Relaxed);
                } else if !writing.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        while !writing.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        let reports: Vec<_> = (0..30).map(|_| store.verify()).collect();
        writing.store(false, Ordering::Relaxed);
        assert!(reports.into_iter().all(|report| report.unwrap().findings.is_empty()));
    });
    assert_eq!(store.verify().unwrap().checksummed, 1);
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

/// The one value of all elements.
fn one_value(array: &ArrayD<u64>) -> u64 {
    let first = *array.iter().next().unwrap();
    let torn = array.iter().position(|&value| value != first);
    assert_eq!(torn, None, "an element differs from {first}: torn read");
    first
}

#[test]
fn processes_append_and_replace_and_no_row_is_lost() {
    let dir = scratch();
    let path = dir.path().join("store");
    let store = Store::new(path.clone()).unwrap();
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

/// Looks at the array in every way; returns the value found and checks that no read took longer than `limit`.
fn look(store: &Store, random: &mut Random, limit: Duration) -> u64 {
    let timed = |read: &mut dyn FnMut() -> u64| {
        let start = Instant::now();
        let value = read();
        assert!(start.elapsed() < limit, "a read took {:?}", start.elapsed());
        value
    };
    let loaded = timed(&mut || one_value(&store.load_array("wide").unwrap()));
    let indexes: Vec<i64> = (0..20).map(|_| random.below(ROWS as u64) as i64).collect();
    let got = timed(&mut || one_value(&store.getitem("wide", &indexes).unwrap()));
    let mut newest = got;
    for batch in store.stream_load::<u64>("wide", 100).unwrap() {
        let value = one_value(&batch.unwrap());
        assert!(value >= newest, "the stream went back from {newest} to {value}");
        newest = value;
    }
    assert!(loaded <= got, "the reader went back from {loaded} to {got}");
    newest
}

fn wide_store(path: &Path) {
    let store = Store::new(path.to_owned()).unwrap();
    store.save_arrays(&[("wide".into(), rows_of(0, ROWS), DataType::Uint64)]).unwrap();
}

fn readers_of(path: &Path) -> [Store; 2] {
    let reading = OpenOptions::new().mode(Mode::Read).open(path).unwrap();
    [reading, Store::new(path.to_owned()).unwrap()]
}

#[test]
fn readers_see_no_torn_row_while_another_process_replaces() {
    let dir = scratch();
    let path = dir.path().join("store");
    wide_store(&path);
    let readers = readers_of(&path);
    let writer = numbered("replace_all", &path, 0);
    let (mut random, start) = (Random::new(), Instant::now());
    let (mut looks, mut newest) = (0, 0);
    while start.elapsed() < Duration::from_secs(10) {
        let now = look(&readers[looks % 2], &mut random, Duration::from_secs(5));
        assert!(now >= newest);
        newest = now;
        looks += 1;
    }
    drop(writer);
    println!("{looks} looks, {newest} versions");
    assert!(newest > 10 && looks > 10);
}

#[test]
fn a_stopped_writer_blocks_no_reader() {
    let dir = scratch();
    let path = dir.path().join("store");
    wide_store(&path);
    let readers = readers_of(&path);
    let writer = numbered("replace_all", &path, 0);
    let mut random = Random::new();
    let mut newest = 0;
    for stop in 0..80 {
        thread::sleep(Duration::from_micros(random.below(20_000)));
        writer.stop();
        let reader = &readers[stop % 2];
        let now = look(reader, &mut random, Duration::from_secs(1));
        assert!(now >= newest);
        // The writer stands still: two looks agree, and the two kinds of reader do.
        thread::sleep(Duration::from_millis(2));
        let still = look(reader, &mut random, Duration::from_secs(1));
        assert_eq!(look(&readers[(stop + 1) % 2], &mut random, Duration::from_secs(1)), still);
        // A reader that opens now is not kept waiting either.
        let start = Instant::now();
        let opened = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
        assert_eq!(one_value(&opened.load_array("wide").unwrap()), still);
        assert!(start.elapsed() < Duration::from_secs(1));
        newest = still;
        writer.signal(libc::SIGCONT);
    }
    assert!(newest > 10);
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
fn a_view_keeps_its_rows_while_another_process_saves_over_the_array() {
    let dir = scratch();
    let path = dir.path().join("store");
    wide_store(&path);
    for keep_store in [true, false] {
        let store = Store::new(path.clone()).unwrap();
        let view = store.get_array_view("wide").unwrap();
        let before: u64 = one_value(&view.to_array().unwrap());
        let kept = keep_store.then(|| store.clone());
        drop(store);
        let writer = numbered("save_over", &path, 0);
        let bytes = view.as_ptr().unwrap().cast::<u64>();
        let same = || {
            for i in 0..ROWS * WIDE {
                // SAFETY: the view lives, its shape says that many elements, and a mapping is page-aligned.
                assert_eq!(unsafe { bytes.add(i).read_volatile() }, before, "element {i} of a kept view");
            }
        };
        (0..20).for_each(|_| same());
        writer.success();
        same();
        assert_eq!(one_value(&view.to_array().unwrap()), before);
        if let Some(kept) = kept {
            assert_eq!(one_value(&kept.load_array("wide").unwrap()), 60);
        }
        // The generation goes with the view: the next file is used again or removed.
        drop(view);
        let store = Store::new(path.clone()).unwrap();
        assert_eq!(one_value(&store.load_array("wide").unwrap()), 60);
        store.save_arrays(&[("wide".into(), rows_of(7, ROWS), DataType::Uint64)]).unwrap();
        assert!(store.verify().unwrap().findings.is_empty());
    }
}

/// A writer on a handle of its own, whose states a reader can tell: every value of a state is the same.
fn reads_beside(writer: impl Fn(&Store, u64) + Send + 'static, check: impl Fn(&[u64], &[u64])) {
    let dir = scratch();
    let path = dir.path().join("store");
    Store::new(path.clone()).unwrap().save_slice("x", &[1_u64; 8], &[1, 8]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let own = Store::new(path.clone()).unwrap();
    let writing = thread::spawn(move || {
        (1..).take_while(|_| !ended.load(Ordering::Relaxed)).for_each(|i| writer(&own, i));
    });
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        for store in &readers_of(&path) {
            for _ in 0..200 {
                let (shape, values) = store.load_vec::<u64>("x").unwrap();
                check(&shape, &values);
                let last = store.getitem::<u64>("x", &[0, -1]).unwrap();
                assert_eq!(last[[0, 0]], last[[1, 7]], "{last}");
                for batch in store.stream_load::<u64>("x", 1000).unwrap() {
                    let batch = batch.unwrap();
                    assert!(batch.iter().all(|value| *value == batch[[0, 0]]), "{batch}");
                }
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
}

#[test]
fn deleted_rows_and_values_are_of_one_commit() {
    let writer = |store: &Store, i: u64| {
        let rows = store.get_shape("x").unwrap()[0];
        if rows == 1 {
            store.save_slice("x", &[i; 64 * 8], &[64, 8]).unwrap();
            return;
        }
        let all: Vec<i64> = (0..rows as i64).collect();
        store.replace_slice("x", &vec![i; rows as usize * 8], &all).unwrap();
        store.drop_arrays("x", Some(&[0])).unwrap();
    };
    reads_beside(writer, |_, values| {
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    });
}

#[test]
fn appended_rows_and_values_are_of_one_commit() {
    // With `i` in every row there are `i` or `i + 1` of them.
    let writer = |store: &Store, i: u64| {
        let i = i % 400 + 1;
        if i == 1 {
            return store.save_slice("x", &[1_u64; 8], &[1, 8]).unwrap();
        }
        store.append_slice("x", &[i - 1; 8]).unwrap();
        store.replace_slice("x", &vec![i; i as usize * 8], &(0..i as i64).collect::<Vec<_>>()).unwrap();
    };
    reads_beside(writer, |shape, values| {
        assert!(values.iter().all(|value| *value == values[0]), "{shape:?}: {values:?}");
        assert!(shape[0] == values[0] || shape[0] == values[0] + 1, "{} rows of {}", shape[0], values[0]);
    });
}
