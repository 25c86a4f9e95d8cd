//! A process that dies at any call, and a disk that refuses any call: the store is as before or as after.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use numpack::disk::FileName;
use numpack::prelude::*;

use crate::alone::alone;
use crate::contents::{Contents, contents};
use crate::disk::{Call, Disk, Rule, Verdict};
use crate::folder::scratch;
use crate::scene::{Act, SCENES, copy, ingest, small};
use crate::values::values;

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

/// The system call number `at` after arming fails with `halves` halves of its effect left behind.
#[derive(Debug)]
struct Fail {
    armed: AtomicBool,
    at: usize,
    errno: i32,
    halves: usize,
    /// From that call on, no file can be removed either.
    keeps_files: bool,
    seen: AtomicUsize,
}

impl Fail {
    fn new(at: usize, errno: i32, halves: usize, keeps_files: bool) -> Arc<Fail> {
        let (armed, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Fail { armed, at, errno, halves, keeps_files, seen })
    }

    fn happened(&self) -> bool {
        self.seen.load(Ordering::Relaxed) > self.at
    }
}

impl Rule for Fail {
    fn ask(&self, call: &Call<'_>) -> Verdict {
        // Stores to mapped memory are not system calls.
        let store = matches!(call, Call::Store { .. } | Call::StoreWord { .. });
        if store || !self.armed.load(Ordering::Relaxed) {
            return Verdict::Do;
        }
        let n = self.seen.fetch_add(1, Ordering::Relaxed);
        let kept = self.keeps_files && n > self.at && matches!(call, Call::Remove { .. });
        if n != self.at && !kept {
            return Verdict::Do;
        }
        // Only a write can do a part of its work and fail, and a renaming that went over a network all of it.
        let halves = match call {
            Call::Write { .. } => self.halves,
            Call::Rename { .. } => self.halves / 2 * 2,
            _ => 0,
        };
        Verdict::Cut { halves, error: io::Error::from_raw_os_error(self.errno) }
    }
}

fn plain(path: &Path) -> Store {
    Store::new(path).unwrap()
}

fn seen_by_a_new_core(path: &Path) -> Contents {
    contents(&plain(path)).unwrap()
}

/// Files in a store's folder that neither its state nor its work needs: all but one recycled file, the log,
/// the page and the lock.
fn strays(store: &Store, path: &Path) -> Vec<String> {
    let own = ["metadata.npkm", "control.npkc", "writer.lock"].map(str::to_owned);
    let arrays = store.metadata().unwrap().into_iter().map(|array| array.data_file);
    let named: HashSet<String> = own.into_iter().chain(arrays).collect();
    let mut rest: Vec<String> = names(path).into_iter().filter(|name| !named.contains(name)).collect();
    if let Some(spare) = rest.iter().position(|name| is_large(&path.join(name))) {
        rest.swap_remove(spare);
    }
    rest
}

fn is_large(path: &Path) -> bool {
    std::fs::metadata(path).unwrap().len() >= 1 << 20 && path.extension().is_some_and(|e| e == "npkd")
}

fn names(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The most files that one call may leave when its process dies: an ingest in place of four arrays, and its anchor.
const ONE_CALL: usize = 5;

/// Opens the store as the next process would; it must hold one of `allowed`, and work.
fn check(path: &Path, boot: Option<u8>, allowed: &[&Contents], what: &str) {
    let store = if boot.is_some() {
        let disk = Disk::new(path, Stop::new(usize::MAX, 0), boot);
        Store::open_folder(disk, OpenOptions::new())
    } else {
        Store::new(path)
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
fn check_works(store: &Store, expected: &mut Contents, what: &str) {
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
    assert!(report.is_intact(), "{what}: {:?}", report.findings);
    // Files that a power cut could bring back wait for a sync; it may report what an earlier call could not.
    drop(store.sync_metadata());
    assert_eq!(strays(store, store.path()), [""; 0], "{what}: files without use");
}

#[test]
fn a_process_that_dies_anywhere_leaves_before_or_after() {
    // A child that another test starts shares the lock of an ingest until it runs its program.
    alone(module_path!(), "a_process_that_dies_anywhere_leaves_before_or_after", |_dir| {
        let mut deaths = 0;
        for scene in &SCENES {
            let dir = scratch();
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
                let store = Store::open_folder(Disk::new(&path, stop.clone(), None), OpenOptions::new());
                let result = store.and_then(|store| (scene.act)(&store));
                if !stop.happened() {
                    result.unwrap();
                    break;
                }
                let allowed: &[_] = if result.is_ok() { &[&after] } else { &[&before, &after] };
                let left = strays(&OpenOptions::new().mode(Mode::Read).open(&path).unwrap(), &path);
                assert!(left.len() <= ONE_CALL, "{what}: {left:?}");
                check(&path, None, allowed, &what);
                std::fs::remove_dir_all(&path).unwrap();
                deaths += 1;
            }
        }
        assert!(deaths > 300, "{deaths} deaths were played");
    });
}

/// Deaths during the opening that follows a death, in the same boot or after a power cut that lost nothing.
#[test]
fn a_process_that_dies_in_recovery_too_leaves_before_or_after() {
    // A child that another test starts shares the lock of an ingest until it runs its program.
    alone(module_path!(), "a_process_that_dies_in_recovery_too_leaves_before_or_after", |_dir| {
        deaths_in_recovery()
    });
}

fn deaths_in_recovery() {
    for scene in &SCENES {
        let dir = scratch();
        let start = dir.path().join("start");
        (scene.setup)(&start);
        let before = seen_by_a_new_core(&start);
        let done = copy(&start, &dir.path().join("done"));
        (scene.act)(&plain(&done)).unwrap();
        let after = seen_by_a_new_core(&done);
        for n in 0.. {
            let dead = copy(&start, &dir.path().join(format!("dead-{n}")));
            let stop = Stop::new(n, 1);
            let store = Store::open_folder(Disk::new(&dead, stop.clone(), None), OpenOptions::new());
            drop(store.and_then(|store| (scene.act)(&store)));
            for boot in [None, Some(9)] {
                for m in 0.. {
                    let what = format!("{}: death at {n}, again at {m}, boot {boot:?}", scene.name);
                    let path = copy(&dead, &dir.path().join("again"));
                    let again = Stop::new(m, m % 3);
                    drop(Store::open_folder(Disk::new(&path, again.clone(), boot), OpenOptions::new()));
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
    let dir = scratch();
    for (n, halves) in (0..).flat_map(|n| [(n, 0), (n, 1), (n, 2)]) {
        let path = dir.path().join(format!("{n}-{halves}"));
        std::fs::create_dir(&path).unwrap();
        let stop = Stop::new(n, halves);
        drop(Store::open_folder(Disk::new(&path, stop.clone(), None), OpenOptions::new()));
        check(&path, None, &[&Contents::new()], &format!("death at call {n}, {halves} halves done"));
        if !stop.happened() {
            break;
        }
    }
}

/// Every kind of refusal.
const REFUSALS: [(i32, usize, bool); 5] =
    [(EIO, 0, false), (EIO, 2, false), (EIO, 0, true), (ENOSPC, 0, false), (ENOSPC, 1, false)];

#[test]
fn a_call_that_the_disk_refuses_anywhere_is_undone_or_done_and_the_store_goes_on() {
    for scene in &SCENES {
        let dir = scratch();
        let start = dir.path().join("start");
        (scene.setup)(&start);
        let before = seen_by_a_new_core(&start);
        let done = copy(&start, &dir.path().join("done"));
        (scene.act)(&plain(&done)).unwrap();
        let after = seen_by_a_new_core(&done);
        for (n, (errno, halves, keeps)) in (0..).flat_map(|n| REFUSALS.map(|refusal| (n, refusal))) {
            let what = format!(
                "{}: call {n} fails with {errno}, {halves} halves done, files kept: {keeps}",
                scene.name
            );
            let path = copy(&start, &dir.path().join(format!("{n}-{errno}-{halves}-{keeps}")));
            let fail = Fail::new(n, errno, halves, keeps);
            let store = Store::open_folder(Disk::new(&path, fail.clone(), None), OpenOptions::new());
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
                Err(_) => {
                    assert_eq!(got, before, "{what}: undone");
                    let left = strays(&store, &path);
                    assert!(keeps || left.is_empty(), "{what}: {left:?} left by a refused call");
                    assert!(left.len() <= ONE_CALL, "{what}: {left:?}");
                }
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
    let dir = scratch();
    let start = dir.path().join("start");
    small(&start);
    let before = seen_by_a_new_core(&start);
    for boot in [None, Some(9)] {
        for n in 0.. {
            let what = format!("call {n} fails, boot {boot:?}");
            let path = copy(&start, &dir.path().join("copy"));
            let fail = Fail::new(n, EIO, 0, false);
            fail.armed.store(true, Ordering::Relaxed);
            let disk = Disk::new(&path, fail.clone(), boot);
            let opened = Store::open_folder(disk, OpenOptions::new());
            fail.armed.store(false, Ordering::Relaxed);
            if let Ok(store) = opened {
                assert_eq!(contents(&store).unwrap(), before, "{what}");
            }
            assert!(!names(&path).contains(&"metadata.npkm.new".to_owned()), "{what}: a log without use");
            check(&path, boot, &[&before], &what);
            std::fs::remove_dir_all(&path).unwrap();
            if !fail.happened() {
                break;
            }
        }
    }
}

#[test]
fn a_refusal_while_making_a_store_leaves_none_or_an_empty_one() {
    let dir = scratch();
    for n in 0.. {
        let what = format!("call {n} fails");
        let path = dir.path().join(n.to_string());
        std::fs::create_dir(&path).unwrap();
        let fail = Fail::new(n, EIO, 0, false);
        fail.armed.store(true, Ordering::Relaxed);
        let opened = Store::open_folder(Disk::new(&path, fail.clone(), None), OpenOptions::new());
        assert!(!names(&path).contains(&"metadata.npkm.new".to_owned()), "{what}: {:?}", names(&path));
        drop(opened);
        check(&path, None, &[&Contents::new()], &what);
        if !fail.happened() {
            break;
        }
    }
}

#[test]
fn the_scenes_reuse_a_file_and_replace_the_log_as_their_names_say() {
    alone(module_path!(), "the_scenes_reuse_a_file_and_replace_the_log_as_their_names_say", |dir| {
        let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
        let scene = |name: &str| SCENES.iter().find(|scene| scene.name == name).unwrap();

        let path = dir.join("spare");
        (scene("save into a recycled file").setup)(&path);
        let store = plain(&path);
        let file = |store: &Store| {
            store.metadata().unwrap().into_iter().find(|array| array.name == "big").unwrap().data_file
        };
        let current = file(&store);
        let spare =
            names(&path).into_iter().find(|name| *name != current && is_large(&path.join(name))).unwrap();
        let before = inode(&path.join(spare));
        (scene("save into a recycled file").act)(&store).unwrap();
        assert_eq!(inode(&path.join(file(&store))), before, "the recycled file was not used again");

        let path = dir.join("checkpoint");
        (scene("checkpoint").setup)(&path);
        let before = inode(&path.join("metadata.npkm"));
        (scene("checkpoint").act)(&plain(&path)).unwrap();
        assert_ne!(inode(&path.join("metadata.npkm")), before, "the log was not replaced");
    });
}

/// A disk on which the newest file of rows finds no room until an old one is removed.
#[derive(Debug, Default)]
struct Full {
    armed: AtomicBool,
    synced: AtomicBool,
    made: AtomicU64,
}

impl Rule for Full {
    fn ask(&self, call: &Call<'_>) -> Verdict {
        let full = || Verdict::Cut { halves: 0, error: io::Error::from_raw_os_error(ENOSPC) };
        match call {
            Call::Create { name: FileName::Data { .. } | FileName::Incoming { .. }, file } => {
                self.made.store(*file, Ordering::Relaxed);
            }
            Call::Write { file, .. } | Call::Allocate { file, .. }
                if self.armed.load(Ordering::Relaxed) && *file == self.made.load(Ordering::Relaxed) =>
            {
                return full();
            }
            Call::Sync { .. } | Call::SyncTogether => self.synced.store(true, Ordering::Relaxed),
            Call::Remove { name: FileName::Data { generation, .. } } if *generation <= 4 => {
                assert!(self.synced.load(Ordering::Relaxed), "a power cut could have needed the file");
                self.armed.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
        Verdict::Do
    }
}

#[test]
fn a_call_that_finds_the_disk_full_gives_back_what_waits_for_a_sync_and_goes_on() {
    let acts: [Act; 5] = [
        |s| s.save_slice("a", &values(1, 90), &[90]),
        |s| ingest(s, "a"),
        |s| s.append_slice("e", &values(1, 90)),
        |s| s.compact_array("c"),
        |s| s.clone_array("c", "d"),
    ];
    for (i, act) in acts.into_iter().enumerate() {
        let dir = scratch();
        let store = plain(dir.path());
        for name in ["a", "b", "c"] {
            store.save_slice(name, &values(0, 40), &[40]).unwrap();
        }
        store.drop_arrays("c", Some(&[1])).unwrap();
        store.sync_metadata().unwrap();
        // Durable, so its file waits for the next sync.
        store.drop_arrays("b", None).unwrap();
        drop(store);
        let rule = Arc::new(Full::default());
        let store =
            Store::open_folder(Disk::new(dir.path(), rule.clone(), None), OpenOptions::new()).unwrap();
        store.save_slice("e", &values(0, 4), &[4]).unwrap();
        rule.synced.store(false, Ordering::Relaxed);
        rule.armed.store(true, Ordering::Relaxed);
        act(&store).unwrap_or_else(|e| panic!("call {i}: {e}"));
        assert!(rule.synced.load(Ordering::Relaxed), "call {i} found room");
        store.sync_metadata().unwrap();
        assert_eq!(strays(&store, dir.path()), [""; 0]);
    }
}

/// Holds the call that gives a new log its name until it is told to go on.
#[derive(Debug, Default)]
struct Hold {
    armed: AtomicBool,
    reached: AtomicBool,
}

impl Rule for Hold {
    fn ask(&self, call: &Call<'_>) -> Verdict {
        if matches!(call, Call::Rename { to: FileName::Log, .. }) {
            self.reached.store(true, Ordering::Release);
            while self.armed.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Verdict::Do
    }
}

/// Whoever reads the old log to its very end before the new one has the name must still find the new one.
#[test]
fn a_log_read_to_its_end_just_before_a_new_one_takes_its_place_is_left() {
    let checkpoint = SCENES.iter().find(|scene| scene.name == "checkpoint").unwrap();
    let open = |path: &Path, mode| {
        let disk = Disk::new(path, Stop::new(usize::MAX, 0), None);
        Store::open_folder(disk, OpenOptions::new().mode(mode)).unwrap()
    };
    for (opened_before, writes) in [(true, true), (true, false), (false, true), (false, false)] {
        let dir = scratch();
        let path = dir.path().join("store");
        (checkpoint.setup)(&path);
        let hold = Arc::new(Hold { armed: AtomicBool::new(true), ..Hold::default() });
        let writer = Store::open_folder(Disk::new(&path, hold.clone(), None), OpenOptions::new()).unwrap();
        let mode = if writes { Mode::ReadWrite } else { Mode::Read };
        let before = opened_before.then(|| open(&path, mode));
        let other = std::thread::scope(|scope| {
            scope.spawn(|| (checkpoint.act)(&writer).unwrap());
            while !hold.reached.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            let other = before.unwrap_or_else(|| open(&path, mode));
            // Reads the record of the commit, and the one behind it.
            contents(&other).unwrap();
            hold.armed.store(false, Ordering::Release);
            other
        });
        if writes {
            other.save_slice("theirs", &[1_f32], &[1]).unwrap();
        }
        writer.save_slice("ours", &[2_f32], &[1]).unwrap();
        let all = seen_by_a_new_core(&path);
        assert_eq!((all.contains_key("theirs"), all.contains_key("ours")), (writes, true));
        for store in [&other, &writer] {
            assert_eq!(contents(store).unwrap(), all);
            assert!(store.metadata().is_ok());
        }
    }
}
