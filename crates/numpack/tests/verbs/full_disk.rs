//! A disk without room: a call that finds none is undone, and the store goes on when there is room again.

use std::fs;
use std::path::Path;

use numpack::prelude::*;

use crate::alone;
use crate::refused::{array, refused, tree};

fn limit_files(bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(limit.maximum), maximum: limit.maximum }).unwrap();
}

/// A write beyond the limit on the size of files fails as one on a full disk does.
#[test]
fn a_full_disk() {
    if let Some(dir) = alone::folder() {
        return full_disk(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    // An ignored signal stays ignored in what the shell becomes.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    alone::pass(shell, module_path!(), "a_full_disk", dir.path());
}

fn full_disk(dir: &Path) {
    let full: fn(&NpkError) -> bool = |e| matches!(e, NpkError::Io { .. });
    for durability in [Durability::Process, Durability::Power] {
        let path = dir.join(format!("{durability:?}"));
        let store = OpenOptions::new().durability(durability).open(&path).unwrap();
        let old = array(&[100, 64], 1u8);
        let big = array(&[20_000, 64], 2u8);
        store.save_arrays(&[("a".into(), old.clone(), DataType::Uint8)]).unwrap();
        store.clone_array("a", "b").unwrap();
        store.drop_arrays("b", Some(&[0])).unwrap();
        let files = || tree(&path).into_keys().collect::<Vec<_>>();
        let before = files();

        limit_files(Some(4096));
        let at = [path.to_str().unwrap()];
        refused(store.save_arrays(&[("a".into(), big.clone(), DataType::Uint8)]), full, &at);
        refused(store.save_arrays(&[("new".into(), big.clone(), DataType::Uint8)]), full, &at);
        refused(store.append_rows("a", &big), full, &at);
        refused(store.append_many(&[("b", &array(&[1, 64], 3u8)), ("a", &big)]), full, &at);
        refused(store.compact_array("b"), full, &at);
        assert_eq!(store.load_array::<u8>("a").unwrap(), old);
        assert_eq!(store.get_shape("b").unwrap(), [99, 64]);
        assert_eq!(store.list_arrays(), ["a", "b"]);
        assert_eq!(files(), before, "a failed call left files");

        limit_files(None);
        store.append_rows("a", &big).unwrap();
        store.append_rows("b", &array(&[1, 64], 4u8)).unwrap();
        store.compact_array("b").unwrap();
        assert_eq!(store.get_shape("a").unwrap(), [20_100, 64]);
        assert_eq!(store.getitem::<u8>("a", &[99, 100]).unwrap()[[1, 0]], 2);
        assert_eq!(store.getitem::<u8>("b", &[98, 99]).unwrap()[[1, 63]], 4);

        // No room in the log: what was acknowledged stays, the rest never was.
        limit_files(Some(fs::metadata(path.join("metadata.npkm")).unwrap().len()));
        let mut last = 0u8;
        let error = loop {
            match store.replace_rows("b", &array(&[50, 64], last + 1), &(0..50).collect::<Vec<_>>()) {
                Ok(()) => last += 1,
                Err(error) => break error,
            }
            assert!(last < 250, "the log never filled up");
        };
        assert!(full(&error), "{error}");
        let check = |store: &Store, value: u8| {
            let got = store.load_array::<u8>("b").unwrap();
            assert!((0..50).all(|row| got[[row, 0]] == value && got[[row, 63]] == value));
            assert_eq!((got[[50, 0]], got[[99, 0]]), (1, 4));
        };
        check(&store, last);
        limit_files(None);
        store.replace_rows("b", &array(&[50, 64], 251u8), &(0..50).collect::<Vec<_>>()).unwrap();
        check(&store, 251);
        drop(store);
        check(&Store::new(path).unwrap(), 251);
    }
}
