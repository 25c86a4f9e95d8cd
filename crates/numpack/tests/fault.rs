//! A process that dies at any call, and a disk that refuses any call: the store is as before or as after.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "what is in a call is of interest to other tests")]
mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::disk::{Call, Disk, Rule, Verdict};
use common::scene::{Contents, SCENES, contents, copy, temp_dir, values};
use numpack::prelude::*;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// At the call number `at`, `halves` halves of it happen; from then on nothing does.
#[derive(Debug)]
struct Stop {
    at: usize,
    halves: usize,
    seen: AtomicUsize,
}

impl Stop {
    fn new(at: usize, halves: usize) -> Arc<Stop> {
        Arc::new(Stop { at, halves, seen: AtomicUsize::new(0) })
    }

    fn happened(&self) -> bool {
        self.seen.load(Ordering::Relaxed) > self.at
    }
}

impl Rule for Stop {
    fn ask(&self, call: &Call<'_>) -> Verdict {
        if !call.is_effect() {
            return Verdict::Do;
        }
        let n = self.seen.fetch_add(1, Ordering::Relaxed);
        let error = io::Error::other("the process is dead");
        match n.cmp(&self.at) {
            std::cmp::Ordering::Less => Verdict::Do,
            std::cmp::Ordering::Equal => Verdict::Cut { halves: self.halves, error },
            std::cmp::Ordering::Greater => Verdict::Cut { halves: 0, error },
        }
    }
}

/// The system call number `at` after arming fails, once, with `halves` halves of its effect left behind.
#[derive(Debug)]
struct Fail {
    armed: AtomicBool,
    at: usize,
    errno: i32,
    halves: usize,
    seen: AtomicUsize,
}

impl Fail {
    fn new(at: usize, errno: i32, halves: usize) -> Arc<Fail> {
        Arc::new(Fail { armed: AtomicBool::new(false), at, errno, halves, seen: AtomicUsize::new(0) })
    }

    fn happened(&self) -> bool {
        self.seen.load(Ordering::Relaxed) > self.at
    }
}

impl Rule for Fail {
    fn ask(&self, call: &Call<'_>) -> Verdict {
        // Stores to mapped memory are no system calls.
        let store = matches!(call, Call::Store { .. } | Call::StoreWord { .. });
        if store || !self.armed.load(Ordering::Relaxed) {
            return Verdict::Do;
        }
        let n = self.seen.fetch_add(1, Ordering::Relaxed);
        if n != self.at {
            return Verdict::Do;
        }
        // Only a write can do a part of its work and fail.
        let halves = if matches!(call, Call::Write { .. }) { self.halves } else { 0 };
        Verdict::Cut { halves, error: io::Error::from_raw_os_error(self.errno) }
    }
}

fn plain(path: &Path) -> ParallelIO {
    ParallelIO::new(path.to_owned()).unwrap()
}

fn seen_by_a_new_core(path: &Path) -> Contents {
    contents(&plain(path)).unwrap()
}

/// Opens the store as the next process would; it must hold one of `allowed`, and work.
fn check(path: &Path, boot: Option<u8>, allowed: &[&Contents], what: &str) {
    let store = if boot.is_some() {
        let disk = Disk::new(path, Stop::new(usize::MAX, 0), boot);
        ParallelIO::open_folder(disk, OpenOptions::new())
    } else {
        ParallelIO::new(path.to_owned())
    };
    let store = store.unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut expected = contents(&store).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(allowed.contains(&&expected), "{what}: neither before nor after");
    check_works(&store, &mut expected, what);
    drop(store);
    if boot.is_none() {
        assert_eq!(seen_by_a_new_core(path), expected, "{what}: after one more opening");
    }
}

/// One call of each kind, and a verification.
fn check_works(store: &ParallelIO, expected: &mut Contents, what: &str) {
    let done = || -> NpkResult<()> {
        store.save_slice("later", &values(1, 12), &[3, 4])?;
        store.append_slice("later", &values(20, 4))?;
        store.replace_slice("later", &values(40, 4), &[1])?;
        store.drop_arrays("later", Some(&[0]))
    };
    done().unwrap_or_else(|e| panic!("{what}: {e}"));
    let rows = [values(40, 4), values(9, 4), values(20, 4)].concat();
    expected.insert("later".into(), (vec![3, 4], rows));
    assert_eq!(&contents(store).unwrap(), expected, "{what}: after more calls");
    let report = store.verify().unwrap();
    assert!(report.is_sound(), "{what}: {:?}", report.findings);
}

#[test]
fn a_process_that_dies_anywhere_leaves_before_or_after() {
    let mut deaths = 0;
    for scene in &SCENES {
        let dir = temp_dir();
        let start = dir.path().join("start");
        (scene.setup)(&start);
        let before = seen_by_a_new_core(&start);
        let done = copy(&start, &dir.path().join("done"));
        (scene.act)(&plain(&done)).unwrap();
        let after = seen_by_a_new_core(&done);
        for (n, halves) in (0..).flat_map(|n| [(n, 0), (n, 1), (n, 2)]) {
            let what = format!("{}: death at call {n}, {halves} halves done", scene.name);
            let path = copy(&start, &dir.path().join(format!("{n}-{halves}")));
            let stop = Stop::new(n, halves);
            let store = ParallelIO::open_folder(Disk::new(&path, stop.clone(), None), OpenOptions::new());
            let result = store.and_then(|store| (scene.act)(&store));
            if !stop.happened() {
                result.unwrap();
                break;
            }
            let allowed: &[_] = if result.is_ok() { &[&after] } else { &[&before, &after] };
            check(&path, None, allowed, &what);
            std::fs::remove_dir_all(&path).unwrap();
            deaths += 1;
        }
    }
    assert!(deaths > 300, "{deaths} deaths were played");
}

/// Deaths during the opening that follows a death, in the same boot or after a power cut that lost nothing.
#[test]
fn a_process_that_dies_in_recovery_too_leaves_before_or_after() {
    for scene in SCENES.iter().filter(|scene| !["checkpoint", "save into a spare file"].contains(&scene.name))
    {
        let dir = temp_dir();
        let start = dir.path().join("start");
        (scene.setup)(&start);
        let before = seen_by_a_new_core(&start);
        let done = copy(&start, &dir.path().join("done"));
        (scene.act)(&plain(&done)).unwrap();
        let after = seen_by_a_new_core(&done);
        for n in 0.. {
            let dead = copy(&start, &dir.path().join(format!("dead-{n}")));
            let stop = Stop::new(n, 1);
            let store = ParallelIO::open_folder(Disk::new(&dead, stop.clone(), None), OpenOptions::new());
            drop(store.and_then(|store| (scene.act)(&store)));
            for boot in [None, Some(9)] {
                for m in 0.. {
                    let what = format!("{}: death at {n}, again at {m}, boot {boot:?}", scene.name);
                    let path = copy(&dead, &dir.path().join("again"));
                    let again = Stop::new(m, m % 3);
                    drop(ParallelIO::open_folder(Disk::new(&path, again.clone(), boot), OpenOptions::new()));
                    check(&path, boot, &[&before, &after], &what);
                    std::fs::remove_dir_all(&path).unwrap();
                    if !again.happened() {
                        break;
                    }
                }
            }
            if !stop.happened() {
                break;
            }
        }
    }
}

#[test]
fn a_process_that_dies_while_making_a_store_leaves_none_or_an_empty_one() {
    let dir = temp_dir();
    for (n, halves) in (0..).flat_map(|n| [(n, 0), (n, 1), (n, 2)]) {
        let path = dir.path().join(format!("{n}-{halves}"));
        std::fs::create_dir(&path).unwrap();
        let stop = Stop::new(n, halves);
        drop(ParallelIO::open_folder(Disk::new(&path, stop.clone(), None), OpenOptions::new()));
        check(&path, None, &[&Contents::new()], &format!("death at call {n}, {halves} halves done"));
        if !stop.happened() {
            break;
        }
    }
}

/// Every kind of refusal.
const REFUSALS: [(i32, usize); 4] = [(EIO, 0), (EIO, 2), (ENOSPC, 0), (ENOSPC, 1)];

#[test]
fn a_call_that_the_disk_refuses_anywhere_is_undone_or_done_and_the_store_goes_on() {
    for scene in &SCENES {
        let dir = temp_dir();
        let start = dir.path().join("start");
        (scene.setup)(&start);
        let before = seen_by_a_new_core(&start);
        let done = copy(&start, &dir.path().join("done"));
        (scene.act)(&plain(&done)).unwrap();
        let after = seen_by_a_new_core(&done);
        for (n, (errno, halves)) in (0..).flat_map(|n| REFUSALS.map(|refusal| (n, refusal))) {
            let what = format!("{}: call {n} fails with {errno}, {halves} halves done", scene.name);
            let path = copy(&start, &dir.path().join(format!("{n}-{errno}-{halves}")));
            let fail = Fail::new(n, errno, halves);
            let store = ParallelIO::open_folder(Disk::new(&path, fail.clone(), None), OpenOptions::new());
            let store = store.unwrap();
            fail.armed.store(true, Ordering::Relaxed);
            let result = (scene.act)(&store);
            fail.armed.store(false, Ordering::Relaxed);
            if !fail.happened() {
                result.unwrap();
                break;
            }
            let mut got = contents(&store).unwrap_or_else(|e| panic!("{what}: {e}"));
            match &result {
                Ok(()) => assert_eq!(got, after, "{what}: done"),
                Err(NpkError::Poisoned { .. }) => {
                    assert!([&before, &after].contains(&&got), "{what}: poisoned");
                }
                Err(_) => assert_eq!(got, before, "{what}: undone"),
            }
            // A failed sync also poisons where it came after the commit and the call was done.
            let poisoned = matches!(store.save_slice("x", &[1_f32], &[1]), Err(NpkError::Poisoned { .. }));
            if !poisoned {
                store.drop_arrays("x", None).unwrap_or_else(|e| panic!("{what}: {e}"));
                check_works(&store, &mut got, &what);
            }
            drop(store);
            check(&path, None, &[&got], &what);
            std::fs::remove_dir_all(&path).unwrap();
        }
    }
}

#[test]
fn a_refusal_while_opening_is_an_error_or_nothing() {
    let dir = temp_dir();
    let start = dir.path().join("start");
    common::scene::small(&start);
    let before = seen_by_a_new_core(&start);
    for boot in [None, Some(9)] {
        for n in 0.. {
            let what = format!("call {n} fails, boot {boot:?}");
            let path = copy(&start, &dir.path().join("copy"));
            let fail = Fail::new(n, EIO, 0);
            fail.armed.store(true, Ordering::Relaxed);
            let disk = Disk::new(&path, fail.clone(), boot);
            if let Ok(store) = ParallelIO::open_folder(disk, OpenOptions::new()) {
                fail.armed.store(false, Ordering::Relaxed);
                assert_eq!(contents(&store).unwrap(), before, "{what}");
            }
            check(&path, boot, &[&before], &what);
            std::fs::remove_dir_all(&path).unwrap();
            if !fail.happened() {
                break;
            }
        }
    }
}
