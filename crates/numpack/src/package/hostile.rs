//! Packages that nobody's packer writes: made by hand with right checksums, refused for what they say.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::format::{self, BLOCK, Block, Codec, Entry, HEADER};
use super::{UnpackOptions, info, quiet, unpack};
use crate::checksum::crc32c;
use crate::options::Durability;
use crate::rows::run::Run;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

/// An array of one block that is stored as given.
fn entry(name: &str, shape: &[u64], contents: &[u8], codec: Codec, stored: &[u8]) -> (Entry, Vec<u8>) {
    let block = Block { codec, len: stored.len() as u32, crc: crc32c(0, stored) };
    let (name, shape, checksum) = (name.to_owned(), shape.to_vec(), crc32c(0, contents));
    let entry =
        Entry { name, dtype: DataType::Uint8, shape, deleted: Vec::new(), checksum, blocks: vec![block] };
    (entry, stored.to_vec())
}

fn plain(name: &str) -> (Entry, Vec<u8>) {
    entry(name, &[3], b"abc", Codec::Stored, b"abc")
}

fn write(path: &Path, parts: &[(Entry, Vec<u8>)]) {
    let mut bytes = format::header().to_vec();
    parts.iter().for_each(|(_, stored)| bytes.extend_from_slice(stored));
    let entries: Vec<Entry> = parts.iter().map(|(entry, _)| entry.clone()).collect();
    bytes.extend_from_slice(&format::ending(&entries, bytes.len() as u64).unwrap());
    fs::write(path, bytes).unwrap();
}

/// Unpacks a package of these arrays; what fails must leave nothing.
fn try_unpack(parts: &[(Entry, Vec<u8>)]) -> NpkResult<()> {
    let dir = tempfile::tempdir().unwrap();
    let (file, target) = (dir.path().join("x.npkg"), dir.path().join("deep/x.npk"));
    write(&file, parts);
    let result =
        unpack(&file, Some(&target), UnpackOptions::new().durability(Durability::Process), quiet).map(drop);
    if result.is_err() {
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left");
    }
    result
}

fn assert_corrupted(parts: &[(Entry, Vec<u8>)], what: &str) {
    let result = try_unpack(parts);
    assert!(matches!(result, Err(NpkError::Corrupted { .. })), "{what}: {result:?}");
}

fn zeros(len: usize) -> Vec<u8> {
    zstd::bulk::compress(&vec![0; len], 3).unwrap()
}

#[test]
fn names_are_names_and_never_paths() {
    let names = ["../x", "/etc/passwd", "C:\\x", "a/../../b", "..", "metadata.npkm"];
    let mut parts: Vec<_> = names.into_iter().map(plain).collect();
    parts.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let dir = tempfile::tempdir().unwrap();
    let (file, target) = (dir.path().join("x.npkg"), dir.path().join("x.npk"));
    write(&file, &parts);
    unpack(&file, Some(&target), UnpackOptions::new(), quiet).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    let store = crate::Store::new(target.clone()).unwrap();
    assert!(names.iter().all(|name| store.load_array::<u8>(name).unwrap().len() == 3));
    for entry in fs::read_dir(&target).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(crate::disk::FileName::parse(&name).is_some(), "{name}");
    }
}

#[test]
fn names_that_no_array_can_have() {
    for name in ["", "a\0b", &"x".repeat(1025)] {
        assert_corrupted(&[plain(name)], "a bad name");
    }
    assert_corrupted(&[plain("b"), plain("a")], "names out of order");
    assert_corrupted(&[plain("a"), plain("a")], "a name twice");
}

#[test]
fn sizes_that_are_not_true() {
    let one_mib = zeros(BLOCK as usize);
    assert_corrupted(&[entry("a", &[3000], &[], Codec::Zstd, &one_mib)], "more bytes than the shape has");
    assert_corrupted(
        &[entry("a", &[BLOCK], &[], Codec::Zstd, &zeros(1000))],
        "fewer bytes than the shape has",
    );
    assert_corrupted(&[entry("a", &[1 << 40], &[], Codec::Zstd, &one_mib)], "blocks that are not there");
    assert_corrupted(&[entry("a", &[u64::MAX, 8], &[], Codec::Stored, b"abc")], "larger than any address");
    assert_corrupted(&[entry("a", &[4], b"abc", Codec::Stored, b"abc")], "a stored block that is too short");
    assert_corrupted(&[entry("a", &[2], b"abc", Codec::Zstd, b"abc")], "a compressed block that is longer");
    assert_corrupted(&[entry("a", &[300], &[0; 300], Codec::Zstd, b"not zstd")], "something else than zstd");
    assert_corrupted(&[entry("a", &[3], b"abd", Codec::Stored, b"abc")], "another checksum of the array");
    let mut many = plain("a");
    many.0.shape = vec![1; 300];
    assert_corrupted(&[many], "too many dimensions");
}

/// A thousand bytes for each one of the file: refused at the first block, without memory or disk for more.
#[test]
fn a_bomb() {
    let stored = zeros(200 << 20);
    let ratio = (200 << 20) / stored.len();
    assert!(ratio > 1000, "{ratio}");
    let small = [0; 100_000];
    assert_corrupted(&[entry("a", &[100_000], &small, Codec::Zstd, &stored)], "a bomb");
    let mut false_frame = zeros(100_000);
    // The frame's own size field says less than it holds.
    false_frame.extend_from_slice(&zeros(BLOCK as usize));
    assert_corrupted(&[entry("a", &[100_000], &small, Codec::Zstd, &false_frame)], "two frames");
}

#[test]
fn deleted_rows_that_are_not_there() {
    let run = |start, len| Run { start, len };
    let twice = vec![run(0, 1), run(0, 1)];
    for runs in [vec![run(2, 2)], vec![run(1 << 47, 1)], vec![run(0, 0)], vec![run(1, 1), run(0, 1)], twice] {
        let mut part = plain("a");
        part.0.deleted = runs;
        assert_corrupted(&[part], "deleted rows");
    }
    let mut scalar = entry("a", &[], b"x", Codec::Stored, b"x");
    scalar.0.deleted = vec![Run { start: 0, len: 1 }];
    assert_corrupted(&[scalar], "a deleted row of a scalar");
}

#[test]
fn later_versions_and_other_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npkg");
    write(&path, &[plain("a")]);
    let good = fs::read(&path).unwrap();
    for field in [20, 24] {
        let (mut bytes, start) = (good.clone(), good.len() - 40);
        bytes[start + field] = 2;
        let crc = crc32c(0, &bytes[start..start + 28]).to_le_bytes();
        bytes[start + 28..start + 32].copy_from_slice(&crc);
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(info(&path), Err(NpkError::UnsupportedVersion { found: 2, .. })), "{field}");
    }
    fs::write(&path, "PK\x03\x04 a zip file of some length, that ends nowhere in particular").unwrap();
    assert!(matches!(info(&path), Err(NpkError::InvalidArgument { .. })));
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(matches!(info(&path), Err(NpkError::Corrupted { .. })));
}

/// The bytes of the fenced block `name` of the format document.
fn vector(name: &str) -> Vec<u8> {
    const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/on-disk-format.md"));
    let (_, rest) = DOCUMENT.split_once(&format!("```hex {name}\n")).unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let digits = text.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// What the document's package holds.
fn documented() -> Entry {
    let stored = [1_u8, 0, 2, 0, 3, 0];
    let block = Block { codec: Codec::Stored, len: 6, crc: crc32c(0, &stored) };
    Entry {
        name: "a".into(),
        dtype: DataType::Int16,
        shape: vec![3],
        deleted: vec![Run { start: 1, len: 1 }],
        checksum: crc32c(0, &stored),
        blocks: vec![block],
    }
}

#[test]
fn the_bytes_of_the_document() {
    let mut bytes = format::header().to_vec();
    bytes.extend_from_slice(&[1, 0, 2, 0, 3, 0]);
    bytes.extend_from_slice(&format::ending(&[documented()], HEADER + 6).unwrap());
    let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bytes, vector("package"), "{}", text.join(" "));
    let dir = tempfile::tempdir().unwrap();
    let (file, target) = (dir.path().join("x.npkg"), dir.path().join("x.npk"));
    fs::write(&file, vector("package")).unwrap();
    unpack(&file, Some(&target), UnpackOptions::new(), quiet).unwrap();
    let store = crate::Store::new(target).unwrap();
    assert_eq!(store.load_vec::<i16>("a").unwrap(), (vec![2], vec![1, 3]));
    let packed = super::PackOptions::new().keep_deleted(true).overwrite(true);
    super::pack(store.path(), Some(&file), packed, quiet).unwrap();
    assert_eq!(fs::read(&file).unwrap(), vector("package"));
}

proptest! {
    /// Any index is an error or a description, and takes no more memory than the file has bytes.
    #[test]
    fn any_bytes_for_an_index(index in proptest::collection::vec(any::<u8>(), 0..300)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npkg");
        let mut bytes = format::header().to_vec();
        bytes.extend_from_slice(&index);
        let mut trailer = Vec::new();
        trailer.extend_from_slice(&HEADER.to_le_bytes());
        trailer.extend_from_slice(&(index.len() as u64).to_le_bytes());
        trailer.extend_from_slice(&crc32c(0, &index).to_le_bytes());
        trailer.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        trailer.extend_from_slice(&crc32c(0, &trailer).to_le_bytes());
        bytes.extend_from_slice(&trailer);
        bytes.extend_from_slice(b"NPKGEND\x01");
        fs::write(&path, bytes).unwrap();
        if let Err(error) = info(&path) {
            prop_assert!(matches!(error, NpkError::Corrupted { .. }), "{error:?}");
        }
    }
}
