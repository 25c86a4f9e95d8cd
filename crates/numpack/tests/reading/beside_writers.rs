//! Readers beside threads and processes that write: no read is torn, none goes back, nobody waits for a stopped
//! writer.
#![expect(unsafe_code, reason = "reading through a view's pointer")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use numpack::prelude::*;

use crate::folder::scratch;
use crate::procs::{self, child};
use crate::random::Random;
use crate::wide_rows::{WIDE, one_value, rows_of};
use crate::worker::{Worker, ready};

/// Rows of the array that readers look at while it is replaced.
const ROWS: usize = 256;

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    let store = Store::new(path).unwrap();
    ready();
    match role.as_str() {
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
        _ => panic!("no role {role}"),
    }
}

fn writer(role: &str, path: &Path) -> Worker {
    Worker::start(&mut child(module_path!(), role, path))
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
    let store = Store::new(path).unwrap();
    store.save_arrays(&[("wide".into(), rows_of(0, ROWS), DataType::Uint64)]).unwrap();
}

fn readers_of(path: &Path) -> [Store; 2] {
    let reading = OpenOptions::new().mode(Mode::Read).open(path).unwrap();
    [reading, Store::new(path).unwrap()]
}

#[test]
fn readers_see_no_torn_row_while_another_process_replaces() {
    let dir = scratch();
    let path = dir.path().join("store");
    wide_store(&path);
    let readers = readers_of(&path);
    let writer = writer("replace_all", &path);
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
    let writer = writer("replace_all", &path);
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
fn a_view_keeps_its_rows_while_another_process_saves_over_the_array() {
    let dir = scratch();
    let path = dir.path().join("store");
    wide_store(&path);
    for keep_store in [true, false] {
        let store = Store::new(&path).unwrap();
        let view = store.get_array_view("wide").unwrap();
        let before: u64 = one_value(&view.to_array().unwrap());
        let kept = keep_store.then(|| store.clone());
        drop(store);
        let writer = writer("save_over", &path);
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
        let store = Store::new(&path).unwrap();
        assert_eq!(one_value(&store.load_array("wide").unwrap()), 60);
        store.save_arrays(&[("wide".into(), rows_of(7, ROWS), DataType::Uint64)]).unwrap();
        assert!(store.verify().unwrap().findings.is_empty());
    }
}

/// A writer on a handle of its own, whose states a reader can tell: every value of a state is the same.
fn reads_beside(writer: impl Fn(&Store, u64) + Send + 'static, check: impl Fn(&[u64], &[u64])) {
    let dir = scratch();
    let path = dir.path().join("store");
    Store::new(&path).unwrap().save_slice("x", &[1_u64; 8], &[1, 8]).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let own = Store::new(&path).unwrap();
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
                check_selections(store, &check);
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

/// Every way to name rows, of one commit: slices name rows that there are, masks fit or are refused.
fn check_selections(store: &Store, check: impl Fn(&[u64], &[u64])) {
    let rows = |selection| store.getitem::<u64>("x", selection).map(|rows| (rows.shape()[0] as u64, rows));
    let (count, all) = rows(Selection::All).unwrap();
    check(&[count, 8], all.as_slice().unwrap());
    let back = Selection::Slice { start: None, stop: None, step: Some(-3) };
    for (selection, most) in [(Selection::from(-5..), 5), (Selection::from(..7), 7), (back, u64::MAX)] {
        let (count, rows) = rows(selection).unwrap();
        assert!((1..=most).contains(&count), "{count} rows of {selection:?}");
        assert!(rows.iter().all(|value| *value == rows[[0, 0]]), "{selection:?}: {rows}");
    }
    let mask: Vec<bool> = (0..store.get_shape("x").unwrap()[0]).map(|row| row % 3 != 1).collect();
    match rows(Selection::Mask(&mask)) {
        Ok((_, rows)) => assert!(rows.iter().all(|value| *value == rows[[0, 0]]), "{rows}"),
        Err(NpkError::MaskMismatch { rows, flags }) => assert_ne!(rows, flags),
        Err(error) => panic!("{error}"),
    }
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
