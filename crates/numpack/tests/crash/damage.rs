//! Damage to every file of a store: an error that names the file, or exactly the right data. Never a panic,
//! never wrong rows, never an empty store.

use std::fs;
use std::path::{Path, PathBuf};

use numpack::ndarray::{Array2, ArrayD};
use numpack::prelude::*;

use crate::folder::scratch;
use crate::log_parts::{CONTROL, LOG, record_end, record_starts, used};

const LOCK: &str = "writer.lock";

type Contents = Vec<(String, Vec<u64>, Vec<i32>)>;

fn rows(n: usize, first: i32) -> ArrayD<i32> {
    Array2::from_shape_fn((n, 3), |(r, c)| first + (r * 3 + c) as i32).into_dyn()
}

/// A closed store with deleted and replaced rows, and what it holds.
fn sample(path: &Path, first: i32) -> Contents {
    let store = Store::new(path).unwrap();
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
    let dir = scratch();
    let at = |name| dir.path().join(name);
    let (base, damaged, work) = (at("base"), at("damaged"), at("work"));
    let contents = sample(&base, 0);
    copy(&base, &damaged);
    assert!(!check("nothing", &damaged, &work, &contents));
    Bench { dir, base, damaged, work, contents }
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
