//! Forked children: they work with their parent's handle, hang on none of its locks and keep none alive.
#![expect(unsafe_code, reason = "fork, signals and waiting for children")]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use numpack::Existing;
use numpack::ndarray::Array1;
use numpack::prelude::*;

use crate::alone::alone;
use crate::folder::scratch;
use crate::procs::{self, child};
use crate::random::Random;

/// Forks, runs `work` in the child and returns its process id.
fn fork_and(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs `work` and leaves by `_exit`. It may allocate: the C library takes care of that.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let ok = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: ends the child at once; nothing of the parent's test harness runs in it.
        unsafe { libc::_exit(if ok { 0 } else { 1 }) };
    }
    pid
}

/// Waits for a child up to `limit`; a child that hangs is killed and fails the test.
fn wait_for(pid: libc::pid_t, limit: Duration) {
    let start = Instant::now();
    let mut status = 0;
    // SAFETY: waits for a child of this process, with a valid place for its status.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == 0 {
        if start.elapsed() > limit {
            // SAFETY: the child has not been waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            // SAFETY: as above.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            panic!("the forked child hangs");
        }
        thread::sleep(Duration::from_millis(1));
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the child ended with {status:#x}");
}

#[test]
fn a_forked_child_leaves_its_parents_ingest_alone() {
    alone(module_path!(), "a_forked_child_leaves_its_parents_ingest_alone", |dir| {
        let store = Store::new(dir.join("store")).unwrap();
        let mut ingest = store.ingest().unwrap();
        let mut writer = ingest.array("a", DataType::Uint8, &[6]).unwrap();
        writer.write(&[1, 2, 3]).unwrap();
        let mut added = ingest.array("b", DataType::Uint8, &[1]).unwrap();
        added.write(&[7]).unwrap();
        ingest.add(added).unwrap();
        let parts = RefCell::new(Some((writer, ingest)));
        let pid = fork_and(|| {
            let (mut writer, mut ingest) = parts.take().unwrap();
            assert!(matches!(writer.write(&[9]), Err(NpkError::InvalidArgument { argument: "ingest", .. })));
            assert!(ingest.commit(Existing::Keep).is_err());
            drop((writer, ingest));
            // As any writer does, it looks for ingests whose maker has died.
            store.save_slice("child", &[1_u8], &[1]).unwrap();
            assert_eq!(store.verify().unwrap().findings, []);
        });
        wait_for(pid, Duration::from_secs(20));
        let (mut writer, mut ingest) = parts.take().unwrap();
        writer.write(&[4, 5, 6]).unwrap();
        ingest.add(writer).unwrap();
        ingest.commit(Existing::Keep).unwrap();
        assert_eq!(store.load_vec::<u8>("a").unwrap().1, [1, 2, 3, 4, 5, 6]);
        assert_eq!(store.list_arrays(), ["child", "b", "a"]);
    });
}

#[test]
fn a_forked_child_works_with_its_parents_handle() {
    alone(module_path!(), "a_forked_child_works_with_its_parents_handle", |dir| {
        let store = Store::new(dir.join("store")).unwrap();
        // Large enough for several threads, so that the pool is there when the process forks.
        let large: Vec<u64> = (0..4 << 20).collect();
        store.save_slice("large", &large, &[large.len() as u64]).unwrap();
        assert!(store.load_vec::<u64>("large").unwrap().1 == large);
        for round in 0..3_u64 {
            let (store, large) = (store.clone(), &large);
            let work = store.clone();
            let pid = fork_and(move || {
                assert!(work.load_vec::<u64>("large").unwrap().1 == *large);
                work.save_arrays(&[(
                    "child".into(),
                    Array1::from_elem(5, round).into_dyn(),
                    DataType::Uint64,
                )])
                .unwrap();
                work.append_slice("child", &[round + 100]).unwrap();
                work.replace_slice("child", &[round + 50], &[0]).unwrap();
                work.save_slice("large2", large, &[large.len() as u64]).unwrap();
            });
            wait_for(pid, Duration::from_secs(20));
            assert_eq!(
                store.load_vec::<u64>("child").unwrap().1,
                [round + 50, round, round, round, round, round + 100]
            );
            assert!(store.load_vec::<u64>("large2").unwrap().1 == *large);
            store.append_slice("child", &[9_u64]).unwrap();
            assert_eq!(store.get_shape("child").unwrap(), [7]);
        }
        assert!(store.verify().unwrap().is_intact());
    });
}

#[test]
fn a_forked_child_of_a_moved_store_writes_into_it_and_never_into_one_that_took_its_path() {
    let name = "a_forked_child_of_a_moved_store_writes_into_it_and_never_into_one_that_took_its_path";
    alone(module_path!(), name, |dir| {
        let (path, moved) = (dir.join("store"), dir.join("moved"));
        let store = Store::new(&path).unwrap();
        store.save_slice("a", &[1_u8], &[1]).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        let work = store.clone();
        let pid = fork_and(move || work.append_slice("a", &[2_u8]).unwrap());
        wait_for(pid, Duration::from_secs(60));
        Store::new(&path).unwrap().save_slice("other", &[1_u8], &[1]).unwrap();
        let work = store.clone();
        let pid = fork_and(move || assert!(work.append_slice("a", &[3_u8]).is_err()));
        wait_for(pid, Duration::from_secs(60));
        assert_eq!(store.load_vec::<u8>("a").unwrap().1, [1, 2]);
        assert_eq!(Store::new(&moved).unwrap().load_vec::<u8>("a").unwrap().1, [1, 2]);
        assert_eq!(Store::new(&path).unwrap().list_arrays(), ["other"]);
    });
}

#[test]
fn children_forked_while_another_thread_writes_do_not_hang() {
    alone(module_path!(), "children_forked_while_another_thread_writes_do_not_hang", |dir| {
        let store = Store::new(dir.join("store")).unwrap();
        store.save_slice("busy", &[0_u64; 64], &[8, 8]).unwrap();
        store.save_slice::<u64>("log", &[], &[0]).unwrap();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let stop_at_end = StopAtEnd(&stop);
            scope.spawn(|| {
                for i in 1_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    store.replace_slice("busy", &[i; 64], &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
                }
            });
            for round in 0..40_u64 {
                let work = store.clone();
                let pid = fork_and(move || {
                    let rows = work.load_vec::<u64>("busy").unwrap().1;
                    assert!(rows.iter().all(|value| *value == rows[0]));
                    work.append_slice("log", &[round]).unwrap();
                });
                wait_for(pid, Duration::from_secs(10));
            }
            drop(stop_at_end);
        });
        assert_eq!(store.load_vec::<u64>("log").unwrap().1, (0..40).collect::<Vec<_>>());
        assert!(store.verify().unwrap().is_intact());
    });
}

/// Lets a looping thread end also when the test panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_open_reader_sees_the_next_commit_of_a_forked_writer_at_once() {
    alone(module_path!(), "an_open_reader_sees_the_next_commit_of_a_forked_writer_at_once", |dir| {
        let path = dir.join("store");
        let store = Store::new(&path).unwrap();
        let reader = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
        for round in 0..10_u64 {
            let work = store.clone();
            let pid = fork_and(move || {
                let name = format!("n{round}");
                work.save_slice(&name, &[round; 3], &[3]).unwrap();
                work.append_slice(&name, &[round]).unwrap();
            });
            wait_for(pid, Duration::from_secs(10));
            let name = format!("n{round}");
            assert!(reader.has_array(&name));
            assert_eq!(reader.load_vec::<u64>(&name).unwrap().1, [round; 4]);
            assert_eq!(reader.list_arrays().len() as u64, round + 1);
        }
    });
}

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((_, path)) = procs::role() else { return };
    let store = Store::new(path).unwrap();
    store.save_slice("small", &[1_u8], &[1]).unwrap();
    let pid = fork_and(|| {
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    });
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n@child {pid}\n").as_bytes()).unwrap();
    out.flush().unwrap();
    let large = vec![7_u8; 32 << 20];
    loop {
        store.save_slice("large", &large, &[large.len() as u64]).unwrap();
    }
}

/// A process that is killed when the test ends, however it ends.
struct Process(libc::pid_t);

impl Process {
    fn signal(&self, signal: libc::c_int) {
        // SAFETY: a signal to a process that only this test ends.
        unsafe { libc::kill(self.0, signal) };
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
    }
}

#[test]
fn a_lock_ends_with_its_holder_and_not_with_the_holders_children() {
    let dir = scratch();
    let path = dir.path().join("store");
    let mut parent = child(module_path!(), "fork and write", &path).spawn().unwrap();
    let parent_process = Process(parent.id() as libc::pid_t);
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let forked = |line: std::io::Result<String>| line.unwrap().strip_prefix("@child ")?.trim().parse().ok();
    let grandchild = Process(lines.into_iter().find_map(forked).unwrap());
    let open = |millis| OpenOptions::new().lock_timeout(Some(Duration::from_millis(millis))).open(&path);
    // Nearly all of its time the parent is inside a save; stop it until it is caught there.
    let mut random = Random::new();
    let caught = (0..100).any(|_| {
        thread::sleep(Duration::from_micros(1000 + random.below(7000)));
        parent_process.signal(libc::SIGSTOP);
        let store = open(50).unwrap();
        let held = matches!(store.append_slice("small", &[2_u8]), Err(NpkError::Locked { .. }));
        if !held {
            parent_process.signal(libc::SIGCONT);
        }
        held
    });
    assert!(caught, "no stop hit a save");
    parent_process.signal(libc::SIGKILL);
    parent.wait().unwrap();
    // SAFETY: signal 0 only asks whether the process is there.
    assert_eq!(unsafe { libc::kill(grandchild.0, 0) }, 0, "the grandchild lives");
    let store = open(3000).unwrap();
    store.append_slice("small", &[3_u8]).unwrap();
    assert!(store.verify().unwrap().is_intact());
}
