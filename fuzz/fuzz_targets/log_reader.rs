//! Any bytes as the log of a store: opening it, reading every array and writing on may fail and must not
//! panic, hang, ask for memory that the files cannot fill, or disagree with themselves.
//!
//! The first byte of an input says how the rest becomes a log (`How`) and who opens it. Most ways repair the
//! checksums, so that hostile lengths and operations get past them to the code that has to refuse them.

#![no_main]

#[path = "../../crates/numpack/tests/support/log.rs"]
mod log;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use numpack::prelude::*;
use tempfile::TempDir;

const LOG: &str = "metadata.npkm";
const CONTROL: &str = "control.npkc";

/// How an input becomes a log.
#[derive(Clone, Copy)]
enum How {
    /// The input is the log.
    Whole,
    /// The input stands behind an intact log.
    Tail,
    /// The input changes an intact log: every byte that is not zero flips bits.
    Changed,
    /// The input is the operations of one more commit.
    Operations,
}

/// The files of an intact store.
struct Intact {
    log: Vec<u8>,
    data: Vec<(String, Vec<u8>)>,
}

fn intact() -> &'static Intact {
    static INTACT: OnceLock<Intact> = OnceLock::new();
    INTACT.get_or_init(|| {
        let dir = scratch();
        let path = dir.path().join("store");
        fill(&path).expect("an intact store");
        let log = fs::read(path.join(LOG)).expect("its log");
        let used = log.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        let names = fs::read_dir(&path).expect("its folder").map(|entry| entry.expect("a file").file_name());
        let names = names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".npkd"));
        let data = names.map(|name| (name.clone(), fs::read(path.join(name)).expect("a data file"))).collect();
        Intact { log: log[..used.next_multiple_of(8)].to_vec(), data }
    })
}

/// A folder in memory where there is such a file system. It goes when it is dropped, so only an input that
/// ends the process leaves one: what it did to the store can be looked at there.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("numpack-fuzz-");
    if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }.expect("a folder")
}

fn fill(path: &Path) -> NpkResult<()> {
    let store = Store::new(path.to_owned())?;
    store.save_slice("a", &[1i32, 2, 3, 4, 5, 6], &[3, 2])?;
    store.save_slice("b", &[true, false], &[2])?;
    store.append_slice("a", &[7i32, 8])?;
    store.replace_slice("a", &[9i32, 9], &[-1])?;
    store.drop_arrays("a", Some(&[0]))?;
    store.clone_array("a", "c")
}

/// The log that an input stands for, with or without valid checksums.
fn log_of(how: How, repaired: bool, input: &[u8]) -> Vec<u8> {
    let intact = &intact().log;
    let mut bytes = match how {
        How::Whole => input.to_vec(),
        How::Tail => [intact, input].concat(),
        How::Changed => {
            let mut changed = intact.clone();
            changed.iter_mut().zip(input).for_each(|(byte, change)| *byte ^= change);
            changed
        }
        // The same bytes are the new rows, should the operations be about some.
        How::Operations => [intact, log::record(input, input).as_slice()].concat(),
    };
    if repaired {
        log::repair(&mut bytes);
    }
    bytes
}

/// A folder with these files and the intact data files, without a control page.
fn store_with(log: &[u8], dir: &TempDir) -> PathBuf {
    let path = dir.path().to_owned();
    for (name, bytes) in &intact().data {
        fs::write(path.join(name), bytes).expect("a data file");
    }
    fs::write(path.join(LOG), log).expect("a log");
    path
}

fn open(path: &Path, mode: Mode) -> NpkResult<Store> {
    OpenOptions::new().mode(mode).open(path)
}

/// Reads every array in every way; each may fail for itself, and those that do not agree.
fn read_all(store: &Store) -> NpkResult<()> {
    for array in store.metadata()? {
        let name = array.name.to_string();
        let whole = store.load_vec::<i32>(&name);
        let view = store.get_array_view(&name).and_then(|view| view.to_array::<i32>());
        if let (Ok((shape, values)), Ok(view)) = (&whole, &view) {
            assert!(view.iter().eq(values), "a view of {name:?} differs from the array");
            let ends = store.getitem::<i32>(&name, &[0, -1]);
            let row: u64 = shape.iter().skip(1).product();
            if let Ok(ends) = ends
                && shape[0] > 0
            {
                let (first, last) = (&values[..row as usize], &values[values.len() - row as usize..]);
                assert!(ends.iter().eq(first.iter().chain(last)), "rows of {name:?} differ");
            }
        }
        let _ = store.load_vec::<bool>(&name);
        let _ = store.read_rows(&name, &[0, -1]);
    }
    Ok(())
}

/// Writes on: whatever opens takes every kind of call or refuses it, and holds what it took.
fn write_on(path: &Path) -> NpkResult<()> {
    let store = open(path, Mode::ReadWrite)?;
    for array in store.metadata()? {
        let name = array.name.to_string();
        let _ = store.replace_slice(&name, &[1i32, 2], &[0]);
        let _ = store.drop_arrays(&name, Some(&[-1]));
        let _ = store.compact_array(&name);
        let _ = store.append_slice(&name, &[3i32, 4]);
    }
    store.save_slice("fuzz", &[5i32, 6, 7], &[3])?;
    drop(store);
    let again = open(path, Mode::Read).expect("what was written on opens again");
    let saved = again.load_vec::<i32>("fuzz").expect("what was saved can be read");
    assert_eq!(saved, (vec![3], vec![5, 6, 7]));
    read_all(&again)
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, input)) = data.split_first() else { return };
    let how = [How::Whole, How::Tail, How::Changed, How::Operations][usize::from(choice & 3)];
    let log = log_of(how, choice & 4 != 0, input);
    let dir = scratch();
    let path = store_with(&log, &dir);
    // An error is the right answer to most of them.
    if let Ok(store) = open(&path, Mode::Read) {
        let _ = read_all(&store);
        let _ = store.verify();
    }
    assert!(!path.join(CONTROL).exists(), "a reader made a page");
    if choice & 8 != 0 {
        let _ = write_on(&path);
    }
});
