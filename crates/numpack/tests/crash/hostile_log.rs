//! Logs whose checksums match and whose records no writer makes: damage, and never more memory than the files fill.

use std::fs;
use std::path::Path;

use numpack::prelude::*;

use crate::log;
use crate::log_parts::{CONTROL, LOG, record_starts, used};

/// The values of array "a", three rows of three.
const ROWS: [i32; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/// A store of one array of three rows whose log ends with a hostile commit: `ops` under valid checksums.
fn with_commit(path: &Path, ops: &[u8], redo: &[u8]) {
    let store = Store::new(path).unwrap();
    store.save_slice("a", &ROWS, &[3, 3]).unwrap();
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
        ("a recycled file that is in use", {
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
    assert_eq!(store.load_vec::<i32>("a").unwrap().1, ROWS);
}

#[test]
fn a_log_of_holes_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for (i, tail) in
        [&b""[..], b"neither zeros nor a record, which are the two things that end a log"].iter().enumerate()
    {
        let path = dir.path().join(i.to_string());
        with_commit(&path, &op(8, &[], &[]), &[]);
        let mut bytes = fs::read(path.join(LOG)).unwrap();
        bytes.truncate(used(&bytes).next_multiple_of(8));
        bytes.extend_from_slice(tail);
        fs::write(path.join(LOG), bytes).unwrap();
        fs::File::options().write(true).open(path.join(LOG)).unwrap().set_len(15 << 40).unwrap();
        for mode in [Mode::Read, Mode::Append] {
            let error = OpenOptions::new().mode(mode).open(&path).unwrap_err();
            assert!(error.to_string().contains("are on the disk"), "{error}");
        }
    }
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
            let outcome = Store::new(&path).and_then(|store| {
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
