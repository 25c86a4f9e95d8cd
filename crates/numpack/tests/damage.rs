//! Damage to every file of a store: an error that names the file, or exactly the right data. Never a panic,
//! never wrong rows, never an empty store.

#[path = "common/log.rs"]
mod log;

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayD};
use numpack::ndarray;
use numpack::prelude::*;

const LOG: &str = "metadata.npkm";
const CONTROL: &str = "control.npkc";
const LOCK: &str = "writer.lock";

type Contents = Vec<(String, Vec<u64>, Vec<i32>)>;

fn rows(n: usize, first: i32) -> ArrayD<i32> {
    Array2::from_shape_fn((n, 3), |(r, c)| first + (r * 3 + c) as i32).into_dyn()
}

/// A closed store with deleted and replaced rows, and what it holds.
fn sample(path: &Path, first: i32) -> Contents {
    let store = Store::new(path.to_owned()).unwrap();
    let save = |name: &str, n| store.save_arrays(&[(name.to_string(), rows(n, first), DataType::Int32)]);
    save("a", 10).unwrap();
    save("b", 4).unwrap();
    store.append_rows("a", &rows(5, first + 100)).unwrap();
    store.replace_rows("a", &rows(2, first + 200), &[3, -1]).unwrap();
    store.drop_arrays("a", Some(&[0, 1, 7])).unwrap();
    save("gone", 2).unwrap();
    store.clone_array("b", "c").unwrap();
    store.drop_arrays("gone", None).unwrap();
    store.replace_rows("b", &rows(1, first + 300), &[2]).unwrap();
    store.drop_arrays("b", Some(&[0])).unwrap();
    store.append_rows("c", &rows(1, first + 400)).unwrap();
    read(&store).unwrap()
}

fn read(store: &Store) -> NpkResult<Contents> {
    // Asks for new commits with an error, where `list_arrays` has none to give.
    let names: Vec<String> = store.metadata()?.into_iter().map(|array| array.name.to_string()).collect();
    let mut all = Vec::new();
    for name in names {
        let (shape, values) = store.load_vec::<i32>(&name)?;
        let view = store.get_array_view(&name)?.to_array::<i32>()?;
        assert_eq!(view.iter().copied().collect::<Vec<_>>(), values);
        all.push((name, shape, values));
    }
    Ok(all)
}

fn try_read(path: &Path, mode: Mode) -> NpkResult<Contents> {
    read(&OpenOptions::new().mode(mode).open(path)?)
}

fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Tries a damaged folder as a reader and as a writer; each sees the same damage. Returns whether both
/// refused it.
fn check(what: &str, damaged: &Path, work: &Path, expected: &Contents) -> bool {
    let mut refused = 0;
    for mode in [Mode::Read, Mode::Append] {
        copy(damaged, work);
        refused += u8::from(outcome(what, work, mode, expected));
        // What opening mended or left must hold as well.
        outcome(&format!("{what}, opened again"), work, mode, expected);
    }
    refused == 2
}

fn outcome(what: &str, path: &Path, mode: Mode, expected: &Contents) -> bool {
    match try_read(path, mode) {
        Ok(contents) => {
            assert_eq!(&contents, expected, "{what}, mode {mode:?}");
            false
        }
        Err(NpkError::Corrupted { file, .. } | NpkError::UnsupportedVersion { file, .. }) => {
            assert!(file.starts_with(path), "{what}: {file:?}");
            true
        }
        Err(NpkError::Io { path: file, .. }) => {
            assert!(file.starts_with(path), "{what}: {file:?}");
            true
        }
        Err(other) => panic!("{what}, mode {mode:?}: {other}"),
    }
}

/// A closed store in `base`, folders to damage and to work in, and what the store holds.
struct Bench {
    dir: tempfile::TempDir,
    base: PathBuf,
    damaged: PathBuf,
    work: PathBuf,
    contents: Contents,
}

fn bench() -> Bench {
    // Memory: thousands of copies, and a checkpoint each that waits for the disk.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let at = |name| dir.path().join(name);
    let (base, damaged, work) = (at("base"), at("damaged"), at("work"));
    let contents = sample(&base, 0);
    copy(&base, &damaged);
    assert!(!check("nothing", &damaged, &work, &contents));
    Bench { dir, base, damaged, work, contents }
}

/// Bytes of the log up to the last one that is not zero.
fn used(log: &[u8]) -> usize {
    log.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

/// Starts of the log's records, by the lengths in their headers.
fn record_starts(log: &[u8]) -> Vec<usize> {
    let (mut at, mut starts) = (64, Vec::new());
    while at + 40 <= log.len() && log[at..at + 40].iter().any(|&byte| byte != 0) {
        starts.push(at);
        at = record_end(log, at).next_multiple_of(8);
    }
    starts
}

/// The end of the record at `at`, without its padding.
fn record_end(log: &[u8], at: usize) -> usize {
    let payload = u32::from_le_bytes(log[at + 24..at + 28].try_into().unwrap()) as usize;
    let redo = u64::from_le_bytes(log[at + 32..at + 40].try_into().unwrap()) as usize;
    at + 40 + payload + redo
}

#[test]
fn any_byte_of_the_log_flipped() {
    let Bench { base, damaged, work, contents, dir: _dir } = bench();
    let log = fs::read(base.join(LOG)).unwrap();
    for at in 0..(used(&log) + 64).min(log.len()) {
        for flip in [0x01, 0xff] {
            let mut bytes = log.clone();
            bytes[at] ^= flip;
            fs::write(damaged.join(LOG), bytes).unwrap();
            check(&format!("log byte {at} ^ {flip:#x}"), &damaged, &work, &contents);
        }
    }
}

#[test]
fn a_flipped_byte_in_the_middle_of_the_log_is_seen_without_the_control_page() {
    let Bench { base, damaged, work, contents, dir: _dir } = bench();
    let log = fs::read(base.join(LOG)).unwrap();
    let starts = record_starts(&log);
    assert!(starts.len() > 8, "{starts:?}");
    let padding: Vec<usize> = starts
        .iter()
        .flat_map(|&at| record_end(&log, at)..record_end(&log, at).next_multiple_of(8))
        .collect();
    fs::remove_file(damaged.join(CONTROL)).unwrap();
    assert!(!check("no control page", &damaged, &work, &contents));
    for at in 64..*starts.last().unwrap() {
        let mut bytes = log.clone();
        bytes[at] ^= 0x10;
        fs::write(damaged.join(LOG), bytes).unwrap();
        let refused = check(&format!("log byte {at}, no control page"), &damaged, &work, &contents);
        // Padding between records holds nothing that could be damaged.
        assert!(refused || padding.contains(&at), "log byte {at}");
    }
}

#[test]
fn any_byte_of_the_control_page_flipped() {
    let Bench { base, damaged, work, contents, dir: _dir } = bench();
    let page = fs::read(base.join(CONTROL)).unwrap();
    for at in 0..page.len() {
        let mut bytes = page.clone();
        bytes[at] ^= 0x21;
        fs::write(damaged.join(CONTROL), bytes).unwrap();
        check(&format!("control byte {at}"), &damaged, &work, &contents);
    }
}

#[test]
fn log_and_control_page_cut_emptied_or_gone() {
    let Bench { base, damaged, work, contents, dir: _dir } = bench();
    for name in [LOG, CONTROL] {
        let whole = fs::read(base.join(name)).unwrap();
        let end = if name == LOG { used(&whole) } else { whole.len() };
        for len in (0..end).step_by(5) {
            fs::write(damaged.join(name), &whole[..len]).unwrap();
            let refused = check(&format!("{name} of {len} bytes"), &damaged, &work, &contents);
            assert!(refused || name != LOG, "a log of {len} bytes");
        }
        fs::write(damaged.join(name), &whole).unwrap();
    }
    fs::remove_file(damaged.join(CONTROL)).unwrap();
    assert!(!check("control page gone", &damaged, &work, &contents));
    fs::copy(base.join(CONTROL), damaged.join(CONTROL)).unwrap();
    fs::remove_file(damaged.join(LOCK)).unwrap();
    assert!(!check("lock file gone", &damaged, &work, &contents));
    fs::remove_file(damaged.join(LOG)).unwrap();
    for mode in [Mode::Read, Mode::ReadWrite, Mode::Append, Mode::Truncate, Mode::CreateNew] {
        copy(&damaged, &work);
        let error = try_read(&work, mode).unwrap_err();
        assert!(
            matches!(&error, NpkError::Corrupted { file, .. } if file.ends_with(LOG)),
            "{mode:?}: {error}"
        );
    }
}

#[test]
fn files_of_another_store() {
    let Bench { base, damaged, work, contents, dir } = bench();
    let other = dir.path().join("other");
    sample(&other, 1000);
    for name in [LOG, CONTROL] {
        fs::copy(other.join(name), damaged.join(name)).unwrap();
        assert!(check(&format!("{name} of another store"), &damaged, &work, &contents), "{name}");
        fs::copy(base.join(name), damaged.join(name)).unwrap();
    }
}

fn data_files(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".npkd")).collect()
}

#[test]
fn a_data_file_cut_or_gone_hurts_its_array_alone() {
    let Bench { base, damaged, work, contents, dir: _dir } = bench();
    let files = data_files(&base);
    assert!(files.len() >= 3, "{files:?}");
    let mut hurt = 0;
    for file in &files {
        for cut in [None, Some(0), Some(11)] {
            copy(&base, &damaged);
            match cut {
                None => fs::remove_file(damaged.join(file)).unwrap(),
                Some(len) => {
                    let bytes = fs::read(base.join(file)).unwrap();
                    fs::write(damaged.join(file), &bytes[..len.min(bytes.len())]).unwrap();
                }
            }
            for mode in [Mode::Read, Mode::Append] {
                copy(&damaged, &work);
                let store = OpenOptions::new().mode(mode).open(&work).unwrap();
                let mut bad = 0;
                for (name, shape, values) in &contents {
                    match store.load_vec::<i32>(name) {
                        Ok(got) => assert_eq!((&got.0, &got.1), (shape, values)),
                        Err(NpkError::Corrupted { file: named, .. }) => {
                            assert!(named.ends_with(file), "{named:?}");
                            assert!(store.get_array_view(name).is_err());
                            assert!(store.read_rows(name, &[0]).is_err());
                            bad += 1;
                        }
                        Err(other) => panic!("{file} {cut:?} {mode:?}: {other}"),
                    }
                }
                assert!(bad <= 1);
                hurt += bad;
            }
        }
    }
    assert_eq!(hurt, contents.len() * 3 * 2);
}

#[test]
fn a_folder_in_the_place_of_a_file() {
    let Bench { base, damaged, work, contents, dir: _dir } = bench();
    for name in data_files(&base).into_iter().chain([LOG, CONTROL, LOCK].map(str::to_owned)) {
        for mode in [Mode::Read, Mode::Append] {
            copy(&base, &damaged);
            copy(&base, &work);
            fs::remove_file(work.join(&name)).unwrap();
            fs::create_dir(work.join(&name)).unwrap();
            outcome(&format!("{name} is a folder"), &work, mode, &contents);
            assert!(work.join(&name).is_dir(), "{name}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let Bench { base, damaged: _, work, contents, dir } = bench();
    let outside = dir.path().join("outside");
    for name in data_files(&base).into_iter().chain([LOG, CONTROL, LOCK].map(str::to_owned)) {
        // To a file of other bytes, to the very bytes, to nothing.
        for target in [Some(b"not yours".to_vec()), Some(fs::read(base.join(&name)).unwrap()), None] {
            for mode in [Mode::Read, Mode::Append] {
                copy(&base, &work);
                fs::remove_file(work.join(&name)).unwrap();
                match &target {
                    Some(bytes) => fs::write(&outside, bytes).unwrap(),
                    None => fs::remove_file(&outside).unwrap_or_default(),
                }
                std::os::unix::fs::symlink(&outside, work.join(&name)).unwrap();
                outcome(&format!("{name} is a link"), &work, mode, &contents);
                if let Ok(store) = OpenOptions::new().mode(mode).open(&work) {
                    // May fail; must not reach outside.
                    let replaced = store.replace_rows("a", &rows(1, 7), &[0]);
                    let appended = store.append_rows("a", &rows(1, 7));
                    let saved = store.save_arrays(&[("c".to_string(), rows(1, 7), DataType::Int32)]);
                    assert!(mode != Mode::Read || (replaced.is_err() && appended.is_err() && saved.is_err()));
                }
                assert_eq!(fs::read(&outside).ok(), target, "{name}, {mode:?}");
            }
        }
    }
}

/// A store of one array of three rows whose log ends with a hostile commit: `ops` under sound checksums.
fn with_commit(path: &Path, ops: &[u8], redo: &[u8]) {
    let store = Store::new(path.to_owned()).unwrap();
    store.save_arrays(&[("a".into(), rows(3, 0), DataType::Int32)]).unwrap();
    drop(store);
    let whole = fs::read(path.join(LOG)).unwrap();
    let mut bytes = [&whole[..used(&whole).next_multiple_of(8)], &log::record(ops, redo)].concat();
    log::repair(&mut bytes);
    fs::write(path.join(LOG), bytes).unwrap();
    fs::remove_file(path.join(CONTROL)).unwrap();
}

/// An operation: its kind, then little-endian words, then more bytes.
fn op(kind: u16, words: &[u64], more: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    body.extend_from_slice(more);
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    [bytes, body].concat()
}

/// The body of a Put of int32 behind its id and generation.
fn put(shape: &[u64], name: &str) -> Vec<u8> {
    let dims = shape.iter().flat_map(|dim| dim.to_le_bytes());
    let head = [7, 0, 0, 0, 0, 0, 0, shape.len() as u8];
    head.into_iter().chain(dims).chain([name.len() as u8]).chain(name.bytes()).collect()
}

#[test]
fn operations_that_cannot_be_are_damage_however_sound_their_checksums() {
    let huge = 1 << 47;
    let hostile: [(&str, Vec<u8>); 9] = [
        ("a file named by an earlier commit", op(2, &[7, 1], &put(&[3], "b"))),
        ("a file named by a later commit", op(2, &[7, 9], &put(&[3], "b"))),
        ("a compaction into the file there is", op(6, &[0, 1, 3], &[0; 5])),
        ("an id without a next one", op(2, &[u64::MAX, 2], &put(&[3], "b"))),
        ("a next id without a next one", op(1, &[u64::MAX], &[0, 0])),
        ("a spare file that is in use", {
            let spare = [0, 1, 36, 1_u64].into_iter().flat_map(u64::to_le_bytes);
            let array = [vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], put(&[3, 3], "a")].concat();
            let body: Vec<u8> = [1].into_iter().chain(spare).chain(array).chain([0; 9]).collect();
            op(1, &[1], &body)
        }),
        ("a row deleted so far out that memory for it is wasted", {
            [
                op(2, &[7, 2], &put(&[huge, 0], "b")),
                op(5, &[7], &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 1]),
            ]
            .concat()
        }),
        ("more replaced rows than can be counted", {
            let far = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
            let runs: Vec<u8> = [0; 5].into_iter().chain([1, 0]).chain(far).collect();
            op(4, &[0, 1, 0, 12], &runs)
        }),
        (
            "rows replaced in a file that is no longer the array's",
            op(4, &[0, 0, 0, 12], &[0, 0, 0, 0, 0, 1, 0, 1]),
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    for (i, (what, ops)) in hostile.iter().enumerate() {
        let path = dir.path().join(i.to_string());
        with_commit(&path, ops, &[0; 12]);
        for mode in [Mode::Read, Mode::Append] {
            let error = OpenOptions::new().mode(mode).open(&path).expect_err(what);
            assert!(
                matches!(&error, NpkError::Corrupted { file, .. } if file.ends_with(LOG)),
                "{what}: {error}"
            );
        }
    }
}

#[test]
fn a_length_in_the_log_is_checked_against_the_file_before_memory_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    with_commit(&path, &op(2, &[7, 2], &put(&[1 << 30, 1 << 10], "b")), &[]);
    fs::write(path.join("7.2.npkd"), [0; 100]).unwrap();
    let store = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
    let refused = |result: NpkResult<()>| {
        let error = result.unwrap_err();
        assert!(matches!(&error, NpkError::Corrupted { file, .. } if file.ends_with("7.2.npkd")), "{error}");
    };
    refused(store.load_vec::<i32>("b").map(drop));
    refused(store.read_rows("b", &[0; 4]).map(drop));
    refused(store.getitem::<i32>("b", &[1, -1]).map(drop));
    refused(store.get_array_view("b").map(drop));
    refused(store.stream_load::<i32>("b", 1 << 29).unwrap().next().unwrap().map(drop));
    assert_eq!(store.load_array::<i32>("a").unwrap(), rows(3, 0));
}

/// A store whose one commit has this number.
fn with_number(path: &Path, seq: u64) {
    with_commit(path, &op(8, &[], &[]), &[]);
    let mut bytes = fs::read(path.join(LOG)).unwrap();
    bytes[64 + 8..64 + 16].copy_from_slice(&seq.to_le_bytes());
    bytes.truncate(record_starts(&bytes)[1]);
    log::repair(&mut bytes);
    fs::write(path.join(LOG), bytes).unwrap();
}

#[test]
fn a_writer_gives_no_number_that_a_reader_refuses() {
    let dir = tempfile::tempdir().unwrap();
    for left in 0..6 {
        let path = dir.path().join(left.to_string());
        with_number(&path, (1 << 48) - 1 - left);
        let mut saved = Vec::new();
        for i in 0..8 {
            let name = i.to_string();
            let outcome = Store::new(path.clone()).and_then(|store| {
                store.save_slice(&name, &[i], &[1])?;
                saved.push(i);
                store.append_slice(&name, &[i])
            });
            if let Err(error) = outcome {
                assert!(matches!(error, NpkError::Corrupted { .. }), "{left}: {error}");
            }
        }
        assert!(saved.len() as u64 <= left, "{left}: {saved:?}");
        // Opening a store that has lost its control page may take one, too.
        assert!(!saved.is_empty() || left < 2, "{left}");
        let store = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
        for i in saved {
            assert_eq!(store.load_vec::<i32>(&i.to_string()).unwrap().1[0], i, "{left}");
        }
    }
}

#[test]
fn a_log_whose_numbers_run_out_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    for (i, seq) in [1 << 48, u64::MAX - 1, u64::MAX].into_iter().enumerate() {
        let path = dir.path().join(i.to_string());
        with_number(&path, seq);
        for mode in [Mode::Read, Mode::Append] {
            let error = OpenOptions::new().mode(mode).open(&path).unwrap_err();
            assert!(matches!(error, NpkError::Corrupted { .. }), "{seq}: {error}");
        }
    }
}

#[test]
fn rows_of_no_elements_may_be_many() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    store.save_slice::<i32>("a", &[], &[1 << 40, 1 << 40, 0]).unwrap();
    assert_eq!(store.load_vec::<i32>("a").unwrap(), (vec![1 << 40, 1 << 40, 0], vec![]));
    assert!(store.read_rows("a", &[0, -1]).unwrap().is_empty());
    store.save_slice::<i32>("b", &[], &[1 << 47, 0]).unwrap();
    let error = store.drop_arrays("b", Some(&[-1])).unwrap_err();
    assert!(matches!(error, NpkError::InvalidArgument { .. }), "{error}");
    store.drop_arrays("b", Some(&[0, 2])).unwrap();
    assert_eq!(store.get_shape("b").unwrap(), [(1 << 47) - 2, 0]);
}

#[test]
fn writing_on_does_not_make_a_short_file_look_whole() {
    let Bench { damaged, contents, dir: _dir, .. } = bench();
    for file in data_files(&damaged) {
        let bytes = fs::read(damaged.join(&file)).unwrap();
        fs::write(damaged.join(&file), &bytes[..bytes.len() - 13]).unwrap();
    }
    let store = OpenOptions::new().mode(Mode::Append).open(&damaged).unwrap();
    for (name, ..) in &contents {
        let refused = |result: NpkResult<()>| match result.unwrap_err() {
            NpkError::Corrupted { file, .. } => {
                assert!(file.extension().is_some_and(|e| e == "npkd"), "{file:?}")
            }
            other => panic!("{name}: {other}"),
        };
        refused(store.append_rows(name, &rows(2, 0)));
        refused(store.replace_rows(name, &rows(1, 0), &[0]));
        refused(store.clone_array(name, "copy"));
        refused(store.load_array::<i32>(name).map(drop));
        // Nothing but its own rows is lost.
        store.drop_arrays(name, None).unwrap();
    }
    assert!(store.verify().unwrap().findings.is_empty());
}
