//! Any bytes as the log of a store: opening it and reading every array may fail and must not panic.
//!
//! The input is tried as it is, and as the tail of a sound log whose data files are there.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use numpack::prelude::*;

/// Folder of this run, in memory where there is such a file system, and the sound log.
struct Bench {
    _dir: tempfile::TempDir,
    store: PathBuf,
    log: Vec<u8>,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let dir = dir.expect("a folder for the run");
        let store = dir.path().join("store");
        fill(&store).expect("a sound store");
        let log = fs::read(store.join("metadata.npkm")).expect("its log");
        let used = log.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        fs::remove_file(store.join("control.npkc")).expect("its control page");
        Bench { _dir: dir, store, log: log[..used.next_multiple_of(8)].to_vec() }
    })
}

fn fill(path: &Path) -> NpkResult<()> {
    let store = ParallelIO::new(path.to_owned())?;
    store.save_slice("a", &[1i32, 2, 3, 4, 5, 6], &[3, 2])?;
    store.save_slice("b", &[true, false], &[2])?;
    store.append_slice("a", &[7i32, 8])?;
    store.replace_slice("a", &[9i32, 9], &[-1])?;
    store.drop_arrays("a", Some(&[0]))?;
    store.clone_array("a", "c")
}

fn read_all(path: &Path) -> NpkResult<()> {
    let store = OpenOptions::new().mode(Mode::Read).open(path)?;
    for array in store.metadata()? {
        let name = array.name.to_string();
        // Each may fail for itself.
        let _ = store.load_vec::<i32>(&name);
        let _ = store.load_vec::<bool>(&name);
        let _ = store.read_rows(&name, &[0, -1]);
        let _ = store.get_array_view(&name).map(|view| view.to_array::<i32>());
    }
    let _ = store.verify();
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let bench = bench();
    let log = bench.store.join("metadata.npkm");
    let tail = [&bench.log, data].concat();
    // Every byte of the input as a change to the sound log, where it is not zero.
    let mut changed = bench.log.clone();
    changed.iter_mut().zip(data).for_each(|(byte, change)| *byte ^= change);
    for bytes in [data, &tail, &changed] {
        fs::write(&log, bytes).expect("a log");
        // An error is the right answer to most of them.
        let _ = read_all(&bench.store);
    }
});
