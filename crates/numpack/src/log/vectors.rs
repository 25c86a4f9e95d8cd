//! The test vectors of `docs/on-disk-format.md`, held against the code in both directions.
//!
//! The document was written from the tables in it by another program, not by this code, so a vector that does
//! not fit means that the format has changed or that the document is wrong.

use std::collections::HashMap;
use std::sync::Arc;

use super::codec::{Decoder, Encoder};
use super::op::{self, ArrayRecord, FileRecord, Op, Put};
use super::reader::{Cursor, LogFile, Next};
use super::record::{self, FileHeader, VERSION};
use crate::checksum::crc32c;
use crate::disk::control::{Control, Hints};
use crate::disk::{Access, FileName, Folder, OsFolder};
use crate::rows::run::Run;
use crate::types::dtype::DataType;
use crate::types::error::NpkError;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/on-disk-format.md"));
const TIME: u64 = 1_700_000_000_000_000;
/// The records of the document's first log, in order.
const RECORDS: [&str; 9] = [
    "snapshot-of-nothing",
    "put",
    "append",
    "replace",
    "delete",
    "compact",
    "put-and-remove",
    "reset",
    "moved",
];

/// The bytes of every fenced block whose language is `hex`, by name.
fn vectors() -> HashMap<&'static str, Vec<u8>> {
    let blocks = DOCUMENT.split("```hex ").skip(1).map(|block| {
        let (name, rest) = block.split_once('\n').unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let digits = text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
        (name, digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect())
    });
    blocks.collect()
}

fn store_id() -> [u8; 16] {
    std::array::from_fn(|i| i as u8)
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// What the records of the first log say, with their redo bytes.
fn commits() -> Vec<(Vec<Op>, Vec<u8>)> {
    let data = bytes_of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let live = bytes_of(&[10.0, 20.0, 7.0, 8.0]);
    let redo = bytes_of(&[50.0, 60.0, 10.0, 20.0]);
    let replaced = crc32c(0, &bytes_of(&[10.0, 20.0, 3.0, 4.0, 50.0, 60.0, 7.0, 8.0]));
    let array = Put {
        id: 0,
        generation: 1,
        dtype: DataType::Float32,
        shape: vec![3, 2],
        checksum: Some(crc32c(0, &data[..24])),
        reuses_recycled: false,
        name: "a".into(),
    };
    let scalar = Put {
        generation: 6,
        dtype: DataType::Bool,
        shape: Vec::new(),
        checksum: None,
        reuses_recycled: true,
        name: "λ".into(),
        ..array.clone()
    };
    let runs = vec![Run { start: 2, len: 1 }, Run { start: 0, len: 1 }];
    let checksum = Some(replaced);
    let replace = Op::Replace { id: 0, generation: 1, redo_offset: 0, row_bytes: 8, checksum, runs };
    let compact = Op::Compact { id: 0, generation: 5, rows: 2, checksum: Some(crc32c(0, &live)) };
    let plain = |op| (vec![op], Vec::new());
    vec![
        plain(Op::Snapshot { next_id: 0, recycled: None, arrays: Vec::new() }),
        plain(Op::Put(array)),
        plain(Op::Append { id: 0, rows: 1, checksum: Some(crc32c(0, &data)) }),
        (vec![replace], redo),
        plain(Op::Delete { id: 0, runs: vec![Run { start: 1, len: 2 }] }),
        plain(compact),
        (vec![Op::Put(Put { id: 1, ..scalar }), Op::Remove { id: 0 }], Vec::new()),
        plain(Op::Reset),
        plain(Op::Moved),
    ]
}

fn snapshot() -> Op {
    let put = Put {
        id: 4,
        generation: 7,
        dtype: DataType::Complex128,
        shape: vec![300],
        checksum: None,
        reuses_recycled: false,
        name: "z".into(),
    };
    let deleted = vec![Run { start: 0, len: 1 }, Run { start: 100, len: 200 }];
    let recycled = FileRecord { array: 2, generation: 3, bytes: 2 << 20, retired: 4 };
    let arrays = vec![ArrayRecord { put, modified_us: TIME + 7, deleted }];
    Op::Snapshot { next_id: 5, recycled: Some(recycled), arrays }
}

/// The bytes of a record and the checksum that seeds the next.
fn encoded(seed: u32, seq: u64, ops: &[Op], redo: &[u8]) -> (Vec<u8>, u32) {
    let framed = record::frame(seed, seq, TIME + seq, ops, &[redo]).unwrap();
    let mut bytes = framed.head;
    bytes.extend_from_slice(redo);
    bytes.resize(bytes.len() + framed.padding, 0);
    assert_eq!(bytes.len() as u64, framed.total);
    (bytes, framed.crc)
}

#[test]
fn the_code_writes_the_bytes_of_the_document() {
    let vectors = vectors();
    let header = FileHeader { store_id: store_id(), epoch: 1 };
    assert_eq!(header.encode().as_slice(), vectors["file-header"]);
    let mut seed = header.seed();
    for (seq, ((ops, redo), name)) in (0..).zip(commits().iter().zip(RECORDS)) {
        let (bytes, crc) = encoded(seed, seq, ops, redo);
        assert_eq!(bytes, vectors[name], "{name}");
        seed = crc;
    }
    let header = FileHeader { epoch: 2, ..header };
    assert_eq!(header.encode().as_slice(), vectors["next-file-header"]);
    assert_eq!(encoded(header.seed(), 9, &[snapshot()], &[]).0, vectors["snapshot"]);
    assert_eq!(bytes_of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]), vectors["data"]);
}

/// The operations and redo bytes of the log that consists of these blocks.
fn read_log(blocks: &[&str]) -> Vec<(Vec<Op>, Vec<u8>)> {
    let vectors = vectors();
    let bytes: Vec<u8> = blocks.iter().flat_map(|name| vectors[name].clone()).collect();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FileName::Log.to_string()), bytes).unwrap();
    let folder = OsFolder::open(dir.path()).unwrap();
    let log = LogFile::open(&folder, Access::Read).unwrap();
    let mut cursor = Cursor::new(&log, log.start()).unwrap();
    let mut commits = Vec::new();
    loop {
        match cursor.next().unwrap() {
            Next::Record(record) => {
                assert_eq!(record.time_us, TIME + record.seq);
                let redo = log.redo(&record).unwrap().unwrap();
                commits.push((record.ops, redo));
            }
            Next::End => return commits,
            Next::Bad(reason) => panic!("record {}: {reason}", commits.len()),
        }
    }
}

#[test]
fn the_code_reads_the_bytes_of_the_document() {
    assert_eq!(read_log(&[&["file-header"], &RECORDS[..]].concat()), commits());
    assert_eq!(read_log(&["next-file-header", "snapshot"]), [(vec![snapshot()], Vec::new())]);
}

#[test]
fn every_changed_bit_of_a_record_is_noticed() {
    let vectors = vectors();
    let seed = FileHeader { store_id: store_id(), epoch: 1 }.seed();
    let good = &vectors["snapshot-of-nothing"];
    let checksum = |bytes: &[u8]| record::chain(seed, bytes[..40].try_into().unwrap(), &bytes[40..]);
    let stored = |bytes: &[u8]| u32::from_le_bytes(bytes[..4].try_into().unwrap());
    // The padding of a record is in no checksum; its payload of 18 bytes ends at byte 58.
    let payload_end = 40 + usize::from(good[24]);
    assert_eq!(checksum(&good[..payload_end]), stored(good));
    for bit in 0..payload_end * 8 {
        let mut bad = good[..payload_end].to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(checksum(&bad), stored(&bad), "bit {bit}");
    }
}

#[test]
fn runs_are_as_the_document_shows() {
    let run = |start, len| Run { start, len };
    let runs = [run(10, 5), run(3, 2), run(5, 1), run(1000, 1)];
    let mut out = Encoder::default();
    out.runs(&runs);
    assert_eq!(*out.since(0), vectors()["runs"]);
    assert_eq!(Decoder::new(out.since(0)).runs().unwrap(), runs);
}

#[test]
fn a_rename_is_as_the_document_shows() {
    let rename = [Op::Rename { id: 1, name: "b".into() }];
    assert_eq!(op::encode(&rename).unwrap(), vectors()["rename"]);
    assert_eq!(op::decode(&vectors()["rename"]), Ok(rename.to_vec()));
}

#[test]
fn the_mark_of_a_durable_commit_is_as_the_document_shows() {
    let bytes = &vectors()["durable"];
    assert_eq!(op::encode(&[Op::Durable]).unwrap(), *bytes);
    assert_eq!(op::decode(bytes), Ok(vec![Op::Durable]));
}

#[test]
fn operations_of_later_versions_are_stepped_over_or_refused() {
    let vectors = vectors();
    assert_eq!(op::decode(&vectors["may-ignore"]), Ok(Vec::new()));
    assert!(op::decode(&vectors["must-understand"]).is_err());
}

#[test]
fn a_newer_version_and_unknown_flags_are_refused() {
    for at in [8, 12] {
        let mut bytes: [u8; 64] = vectors()["file-header"].as_slice().try_into().unwrap();
        bytes[at] += 1;
        let crc = crc32c(0, &bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FileName::Log.to_string()), bytes).unwrap();
        let error = LogFile::open(&OsFolder::open(dir.path()).unwrap(), Access::Read).unwrap_err();
        assert!(
            matches!(error, NpkError::UnsupportedVersion { supported: VERSION, found, .. } if found > VERSION)
        );
    }
}

#[test]
fn the_control_page_is_as_the_document_shows() {
    let vectors = vectors();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FileName::Control.to_string());
    let mut page = vectors["control"].clone();
    page.resize(4096, 0);
    for (hint, at) in vectors["hints"].chunks(8).zip([64, 128, 192, 256, 320]) {
        page[at..at + 8].copy_from_slice(hint);
    }
    std::fs::write(&path, &page).unwrap();
    let folder = Arc::new(OsFolder::open(dir.path()).unwrap());
    let read = Control::open(&*folder, &store_id(), false).unwrap().unwrap();
    assert_eq!(read.boot_id().to_vec(), (0xf0..=0xff).collect::<Vec<u8>>());
    assert_eq!((read.committed(), read.applied(), read.synced()), (Some(0x1234_5678_9abc), Some(70_000), 9));
    assert_eq!((read.is_busy(), read.ingests()), (false, Some(0)));
    drop(read);
    let hints = Hints { committed: 0x1234_5678_9abc, applied: 70_000, synced: 9, busy: false };
    let control = Control::create(&*folder, &store_id(), hints, []).unwrap();
    // The boot is another one and so is the checksum over it; everything else is the same.
    page[32..48].copy_from_slice(&folder.boot_id());
    let crc = crc32c(crc32c(0, &page[..12]), &page[16..64]);
    page[12..16].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(std::fs::read(&path).unwrap(), page);
    // Sequence words: array 449 shares that of array 1.
    control.set_replacing(449, true).unwrap();
    page[512 + 8..512 + 16].copy_from_slice(&1_u64.to_le_bytes());
    assert_eq!(std::fs::read(&path).unwrap(), page);
}
