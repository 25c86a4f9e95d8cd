//! Ingest: arrays come piece by piece and appear in one commit, whole or not at all, whatever the source does.

use std::fs::{self, File};
use std::path::Path;

use numpack::prelude::*;
use numpack::{Existing, Ingest, Mode};

const U8: DataType = DataType::Uint8;

/// Names of the files in a folder of a store that hold rows.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = names.filter(|name| name.ends_with(".npkd") || name.ends_with(".npki")).collect();
    found.sort();
    found
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    (dir, store)
}

fn add(ingest: &mut Ingest, name: &str, bytes: &[u8]) {
    let mut writer = ingest.rows(name, U8, &[]).unwrap();
    writer.write(bytes).unwrap();
    ingest.add(writer).unwrap();
}

fn load(store: &Store, name: &str) -> Vec<u8> {
    store.load_vec(name).unwrap().1
}

#[test]
fn pieces_of_any_size_make_one_array() {
    let (_dir, store) = store();
    let bytes: Vec<u8> = (0..10_000_000_u32).map(|i| (i % 251) as u8).collect();
    let mut ingest = store.ingest().unwrap();
    for size in [1 << 8, 999, 1 << 20, 9_000_001, 20_000_000] {
        let mut whole = ingest.array(&format!("by {size}"), U8, &[2000, 5000]).unwrap();
        let mut counted = ingest.rows(&format!("rows by {size}"), U8, &[50, 100]).unwrap();
        for piece in bytes.chunks(size) {
            whole.write(piece).unwrap();
            counted.write(piece).unwrap();
        }
        assert_eq!(whole.written(), 10_000_000);
        ingest.add(whole).unwrap();
        ingest.add(counted).unwrap();
    }
    for (name, shape) in [("none", &[0, 7][..]), ("empty rows", &[5, 0])] {
        let writer = ingest.array(name, U8, shape).unwrap();
        ingest.add(writer).unwrap();
    }
    let no_rows = ingest.rows("no rows", DataType::Float64, &[7]).unwrap();
    ingest.add(no_rows).unwrap();
    let mut scalar = ingest.array("scalar", U8, &[]).unwrap();
    scalar.write(&[7]).unwrap();
    ingest.add(scalar).unwrap();
    assert_eq!(store.list_arrays(), [""; 0], "nothing is shown before the commit");
    ingest.commit(Existing::Keep).unwrap();
    for size in [1 << 8, 999, 1 << 20, 9_000_001, 20_000_000] {
        let whole = store.load_vec::<u8>(&format!("by {size}")).unwrap();
        assert!(whole == (vec![2000, 5000], bytes.clone()), "{size}");
        let counted = store.load_vec::<u8>(&format!("rows by {size}")).unwrap();
        assert!(counted == (vec![2000, 50, 100], bytes.clone()), "{size}");
    }
    assert_eq!(store.get_shape("none").unwrap(), [0, 7]);
    assert_eq!(store.get_shape("empty rows").unwrap(), [5, 0]);
    assert_eq!(store.get_shape("no rows").unwrap(), [0, 7]);
    assert_eq!(store.get_array_view("scalar").unwrap().row_bytes(0..1).unwrap(), [7]);
    let report = store.verify().unwrap();
    assert_eq!((report.findings.len(), report.checksummed), (0, 14));
}

#[test]
fn what_becomes_of_arrays_that_are_there() {
    let (_dir, store) = store();
    let all = |store: &Store| -> Vec<_> {
        store.list_all_arrays().into_iter().map(|name| (name.clone(), load(store, &name))).collect()
    };
    store.save_slice("a", &[1_u8, 2], &[2]).unwrap();
    store.save_slice("b", &[3_u8], &[1]).unwrap();
    store.save_slice(".numpack/columns/a", &[4_u8], &[1]).unwrap();
    let before = all(&store);
    let mut ingest = store.ingest().unwrap();
    add(&mut ingest, "a", &[9]);
    add(&mut ingest, "c", &[8]);
    let refused = ingest.commit(Existing::Keep);
    assert!(matches!(refused, Err(NpkError::ArrayExists(name)) if name == "a"));
    assert_eq!(all(&store), before);
    ingest.commit(Existing::Replace).unwrap();
    assert_eq!(store.list_all_arrays(), ["a", "b", "c"], "the names of old columns go");
    assert_eq!((load(&store, "a"), load(&store, "c")), (vec![9], vec![8]));
    assert!(matches!(ingest.commit(Existing::Keep), Err(NpkError::InvalidArgument { .. })));
    assert!(ingest.array("late", U8, &[]).is_err() && ingest.rows("late", U8, &[]).is_err());
    let mut ingest = store.ingest().unwrap();
    add(&mut ingest, "d", &[7, 6]);
    add(&mut ingest, ".numpack/columns/d", &[5]);
    ingest.commit(Existing::RemoveAll).unwrap();
    assert_eq!(store.list_all_arrays(), ["d", ".numpack/columns/d"]);
    assert_eq!(load(&store, "d"), [7, 6]);
    store.ingest().unwrap().commit(Existing::RemoveAll).unwrap();
    assert_eq!(store.list_all_arrays(), [""; 0]);
    store.sync_metadata().unwrap();
    assert_eq!(files(store.path()), [""; 0]);
}

#[test]
fn what_is_refused_leaves_nothing() {
    let (_dir, store) = store();
    store.save_slice("a", &[1_u8, 2], &[2]).unwrap();
    let before = files(store.path());
    let mut ingest = store.ingest().unwrap();
    let mut short = ingest.array("a", U8, &[1000]).unwrap();
    short.write(&[5; 999]).unwrap();
    let long = short.write(&[5; 2]);
    assert!(matches!(long, Err(NpkError::InvalidArgument { argument: "bytes", .. })));
    assert!(matches!(ingest.add(short), Err(NpkError::InvalidShape { .. })));
    let mut ragged = ingest.rows("a", U8, &[10]).unwrap();
    ragged.write(&[5; 999]).unwrap();
    assert!(matches!(ingest.add(ragged), Err(NpkError::InvalidShape { .. })));
    for shape in [&[1 << 48][..], &[1 << 40, 1 << 40], &[1; 256]] {
        assert!(matches!(ingest.array("x", U8, shape), Err(NpkError::InvalidShape { .. })), "{shape:?}");
    }
    for row in [&[0][..], &[1 << 40, 1 << 40], &[3, 0, 2]] {
        assert!(matches!(ingest.rows("x", U8, row), Err(NpkError::InvalidShape { .. })), "{row:?}");
    }
    assert!(matches!(ingest.array("", U8, &[1]), Err(NpkError::InvalidName { .. })));
    add(&mut ingest, "twice", &[1]);
    let again = ingest.array("twice", U8, &[0]).unwrap();
    assert!(matches!(ingest.add(again), Err(NpkError::InvalidArgument { argument: "arrays", .. })));
    let left = ingest.array("left", U8, &[7]).unwrap();
    drop(ingest);
    drop(left);
    assert_eq!(files(store.path()), before);
    assert_eq!(store.list_arrays(), ["a"]);
    let reader = OpenOptions::new().mode(Mode::Read).open(store.path()).unwrap();
    assert!(matches!(reader.ingest(), Err(NpkError::ReadOnly { .. })));
}

#[test]
fn bytes_come_out_of_a_file() {
    let (dir, store) = store();
    let bytes: Vec<u8> = (0..20_000_003_u32).map(|i| (i % 251) as u8).collect();
    let path = dir.path().join("source");
    fs::write(&path, &bytes).unwrap();
    let file = File::open(&path).unwrap();
    let mut ingest = store.ingest().unwrap();
    let mut writer = ingest.array("a", U8, &[20_000_007]).unwrap();
    writer.write(&[7; 5]).unwrap();
    writer.copy(&file, &path, 3, 20_000_000).unwrap();
    writer.copy(&file, &path, 3, 0).unwrap();
    let error = writer.copy(&file, &path, 20_000_002, 2).unwrap_err().to_string();
    assert!(error.contains("source") && error.contains("cut off"), "{error}");
    assert!(writer.copy(&file, &path, 0, 3).is_err(), "there is no room");
    // What a short file wrote does not count.
    writer.copy(&file, &path, 0, 2).unwrap();
    ingest.add(writer).unwrap();
    ingest.commit(Existing::Keep).unwrap();
    let found = load(&store, "a");
    assert_eq!(found[..5], [7; 5]);
    assert!(found[5..20_000_005] == bytes[3..] && found[20_000_005..] == bytes[..2]);
    assert!(store.verify().unwrap().is_intact());
}

#[test]
fn with_power_nothing_of_it_needs_another_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = OpenOptions::new().durability(Durability::Power).open(dir.path().join("data.npk")).unwrap();
    let mut ingest = store.ingest().unwrap();
    (0..100_u8).for_each(|i| add(&mut ingest, &format!("{i}"), &[i; 100]));
    ingest.commit(Existing::Keep).unwrap();
    assert_eq!(store.list_arrays().len(), 100);
    assert_eq!(load(&store, "77"), [77; 100]);
}

/// Everything in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_store_that_is_not_there_appears_with_its_arrays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/deep/data.npk");
    for durability in [Durability::Process, Durability::Power] {
        let mut ingest = OpenOptions::new().durability(durability).ingest(&path).unwrap();
        add(&mut ingest, "a", &[1, 2]);
        assert!(!path.exists());
        drop(ingest);
        assert_eq!(names(dir.path()), [""; 0], "folders that were made for it go");
        let mut ingest = OpenOptions::new().durability(durability).ingest(&path).unwrap();
        add(&mut ingest, "a", &[1, 2]);
        ingest.commit(Existing::Keep).unwrap();
        assert_eq!(files(&path), ["0.1.npkd"]);
        drop(ingest);
        let store = Store::new(&path).unwrap();
        assert_eq!((store.list_arrays(), load(&store, "a")), (vec!["a".to_owned()], vec![1, 2]));
        assert_eq!(store.verify().unwrap().findings, []);
        assert_eq!(names(path.parent().unwrap()), ["data.npk"]);
        fs::remove_dir_all(dir.path().join("new")).unwrap();
    }
    let missing = OpenOptions::new().mode(Mode::ReadWrite).ingest(&path);
    assert!(matches!(missing, Err(NpkError::Io { .. })));
}

#[test]
fn an_empty_folder_is_filled_and_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npk");
    // As a mounted file system looks that nobody has used yet.
    for inside in [None, Some("lost+found")] {
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o2750)).unwrap();
        inside.iter().for_each(|name| fs::create_dir(path.join(name)).unwrap());
        let mut ingest = OpenOptions::new().ingest(&path).unwrap();
        add(&mut ingest, "a", &[1, 2]);
        ingest.commit(Existing::Keep).unwrap();
        drop(ingest);
        let store = Store::new(&path).unwrap();
        assert_eq!((load(&store, "a"), store.verify().unwrap().findings), (vec![1, 2], vec![]));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o2750);
        assert_eq!(names(&path).contains(&"lost+found".to_owned()), inside.is_some());
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letter.txt"), "keep me").unwrap();
    let refused = OpenOptions::new().ingest(&path);
    assert!(matches!(refused, Err(NpkError::InvalidArgument { argument: "path", .. })));
    assert_eq!(names(&path), ["letter.txt"]);
    assert!(OpenOptions::new().ingest(path.join("letter.txt")).is_err());
}

#[test]
fn arrays_go_into_a_store_that_comes_in_between() {
    let dir = tempfile::tempdir().unwrap();
    for (mode, existing, expected) in [
        (Mode::Append, Existing::Replace, Ok(vec!["other", "a", "b"])),
        (Mode::Append, Existing::RemoveAll, Ok(vec!["a", "b"])),
        (Mode::Append, Existing::Keep, Err(())),
        (Mode::CreateNew, Existing::RemoveAll, Err(())),
    ] {
        let path = dir.path().join("data.npk");
        let mut ingest = OpenOptions::new().mode(mode).ingest(&path).unwrap();
        add(&mut ingest, "a", &[1, 2]);
        add(&mut ingest, "b", &[]);
        let store = Store::new(&path).unwrap();
        store.save_slice("other", &[7_u8], &[1]).unwrap();
        store.save_slice("a", &[7_u8], &[1]).unwrap();
        let committed = ingest.commit(existing);
        match expected {
            Ok(names) => {
                committed.unwrap();
                store.get_shape("a").unwrap();
                let mut found = store.list_arrays();
                found.sort_by_key(|name| names.iter().position(|known| known == name));
                assert_eq!(found, names);
                assert_eq!((load(&store, "a"), load(&store, "b")), (vec![1, 2], vec![]));
            }
            Err(()) => {
                committed.unwrap_err();
                assert_eq!(store.list_arrays(), ["other", "a"]);
                assert_eq!(load(&store, "a"), [7]);
            }
        }
        drop(ingest);
        assert_eq!(names(dir.path()), ["data.npk"]);
        fs::remove_dir_all(&path).unwrap();
    }
}
