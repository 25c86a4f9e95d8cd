//! Names that look like paths, arguments that no store can accept, folders that are none, and full disks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use numpack::ndarray;
use numpack::prelude::*;

fn array<T: Clone>(shape: &[usize], value: T) -> ArrayD<T> {
    ArrayD::from_elem(IxDyn(shape), value)
}

/// Every path below `path`, with the bytes of files.
fn tree(path: &Path) -> BTreeMap<std::path::PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(tree(&path));
            all.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap();
            all.insert(path, Some(bytes));
        }
    }
    all
}

#[test]
fn names_are_not_paths() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "stays").unwrap();
    let path = dir.path().join("store");
    let absolute = dir.path().join("abs").to_str().unwrap().to_owned();
    let names = [
        "../x",
        "../../x",
        "/abs",
        absolute.as_str(),
        "a/b",
        "a\\b",
        ".",
        "..",
        "...",
        "~",
        "-",
        " ",
        "a ",
        " a",
        "metadata.npkm",
        "control.npkc",
        "writer.lock",
        "1.1.npkd",
        "0.1.npkd",
        "CON",
        "a:b",
        "line\nbreak",
        "tab\t",
        "\u{7f}\u{1b}[0m",
        "A",
        "a",
        "Ä",
        "ä",
        "\u{e9}",
        "e\u{301}",
        "\u{fb01}",
        "fi",
        "日本語",
        "🦀",
        "\u{202e}rtl",
        "\u{feff}a",
        "%2e%2e",
        "*",
        "?",
        "\"",
        "'",
        "{}",
    ];
    let long = "é".repeat(512);
    let names: Vec<&str> = names.into_iter().chain([long.as_str()]).collect();
    {
        let store = ParallelIO::new(path.clone()).unwrap();
        for (i, name) in names.iter().enumerate() {
            store.save_slice(name, &[i as u64, 7], &[2]).unwrap();
        }
        for name in ["x".repeat(1025), "é".repeat(512) + "x", String::new(), "a\0b".into(), "\0".into()] {
            for error in [
                store.save_slice(&name, &[1u8], &[1]).unwrap_err(),
                store.clone_array("a", &name).unwrap_err(),
            ] {
                assert!(matches!(&error, NpkError::InvalidName { name: n, .. } if *n == name), "{error}");
                assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
            }
            assert!(!store.has_array(&name));
        }
        store.clone_array("..", "../clone").unwrap();
        store.drop_arrays("../clone", None).unwrap();
    }
    let store = ParallelIO::new(path.clone()).unwrap();
    assert_eq!(store.list_arrays(), names);
    for (i, name) in names.iter().enumerate() {
        assert_eq!(store.load_vec::<u64>(name).unwrap().1, [i as u64, 7], "{name:?}");
    }
    let outside: Vec<_> = tree(dir.path()).into_keys().filter(|p| !p.starts_with(&path)).collect();
    assert_eq!(outside, [dir.path().join("x")]);
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), b"stays");
    for file in tree(&path).into_keys() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(numpack::storage::FileName::parse(name).is_some(), "{name:?}");
        assert_eq!(file.parent(), Some(path.as_path()));
    }
}

/// A call must fail as expected, with these values in its message.
fn refused<T>(result: NpkResult<T>, expected: fn(&NpkError) -> bool, values: &[&str]) {
    let error = result.map(drop).unwrap_err();
    assert!(expected(&error), "{error:?}");
    for value in values {
        assert!(error.to_string().contains(value), "{value:?} is not in: {error}");
    }
}

#[test]
fn bad_arguments_are_named_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = ParallelIO::new(path.clone()).unwrap();
    store.save_slice("a", &[1i32, 2, 3, 4, 5, 6], &[3, 2]).unwrap();
    store.save_slice("scalar", &[1i32], &[]).unwrap();
    store.save_slice("empty", &[0i32; 0], &[0, 2]).unwrap();
    let before = tree(&path);

    let dtype: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidDtype { .. });
    let types = ["\"a\"", "int32", "float32"];
    refused(store.load_array::<f32>("a"), dtype, &types);
    refused(store.load_vec::<f32>("a"), dtype, &types);
    refused(store.getitem::<f32>("a", &[0]), dtype, &types);
    refused(store.stream_load::<f32>("a", 1), dtype, &types);
    refused(store.get_array_view("a").unwrap().to_array::<f32>(), dtype, &types);
    refused(store.append_rows("a", &array(&[1, 2], 0f32)), dtype, &types);
    refused(store.replace_rows("a", &array(&[1, 2], 0f32), &[0]), dtype, &types);
    refused(store.save_arrays(&[("a".into(), array(&[1], 0i32), DataType::Float32)]), dtype, &types);

    let shape: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidShape { .. });
    refused(store.append_rows("a", &array(&[1, 3], 0i32)), shape, &["\"a\"", "(.., 2)", "[1, 3]"]);
    refused(store.append_rows("a", &array(&[2], 0i32)), shape, &["\"a\"", "[2]"]);
    refused(store.append_rows("a", &array(&[], 0i32)), shape, &["\"a\"", "[]"]);
    refused(store.append_slice("a", &[1i32, 2, 3]), shape, &["\"a\"", "[3]"]);
    refused(store.replace_rows("a", &array(&[1, 3], 0i32), &[0]), shape, &["\"a\"", "(.., 2)", "[1, 3]"]);
    refused(store.replace_rows("a", &array(&[2, 2], 0i32), &[0]), shape, &["\"a\"", "1 rows", "[2, 2]"]);
    refused(store.save_slice("a", &[1i32, 2], &[3]), shape, &["\"a\"", "[3]"]);
    refused(store.save_slice("a", &[1i32], &[u64::MAX, u64::MAX]), shape, &["\"a\"", "18446744073709551615"]);
    refused(store.save_slice("a", &[0i32; 0], &[1 << 62, 0]), shape, &["\"a\"", "4611686018427387904"]);
    refused(store.save_slice("a", &[1u8], &[1; 256]), shape, &["\"a\""]);
    refused(store.getitem::<i32>("scalar", &[0]), shape, &["\"scalar\""]);
    refused(store.drop_arrays("scalar", Some(&[0])), shape, &["\"scalar\""]);
    refused(store.append_rows("scalar", &array(&[1], 0i32)), shape, &["\"scalar\""]);

    let bounds: fn(&NpkError) -> bool = |e| matches!(e, NpkError::IndexOutOfBounds { .. });
    for index in [3, -4, i64::MIN, i64::MAX, i64::MIN + 1, 1 << 32, 1 << 48] {
        let text = index.to_string();
        let values = [text.as_str(), "3 rows"];
        refused(store.getitem::<i32>("a", &[0, index]), bounds, &values);
        refused(store.read_rows("a", &[index]), bounds, &values);
        refused(store.replace_rows("a", &array(&[2, 2], 0i32), &[0, index]), bounds, &values);
        refused(store.drop_arrays("a", Some(&[0, index])), bounds, &values);
        refused(store.get_array_view("a").unwrap().gather::<i32>(&[index]), bounds, &values);
    }
    refused(store.getitem::<i32>("empty", &[0]), bounds, &["index 0", "0 rows"]);
    refused(store.getitem::<i32>("empty", &[-1]), bounds, &["index -1", "0 rows"]);
    refused(store.get_array_view("a").unwrap().rows::<i32>(2..5), bounds, &["5", "3 rows"]);
    refused(store.get_array_view("a").unwrap().rows::<i32>(0..u64::MAX), bounds, &["3 rows"]);

    let unknown: fn(&NpkError) -> bool = |e| matches!(e, NpkError::ArrayNotFound(_));
    let name = ["\"b\""];
    refused(store.load_array::<i32>("b"), unknown, &name);
    refused(store.getitem::<i32>("b", &[0]), unknown, &name);
    refused(store.stream_load::<i32>("b", 1), unknown, &name);
    refused(store.get_array_view("b"), unknown, &name);
    refused(store.get_shape("b"), unknown, &name);
    refused(store.get_array_metadata("b"), unknown, &name);
    refused(store.append_rows("b", &array(&[1, 2], 0i32)), unknown, &name);
    refused(store.replace_rows("b", &array(&[1, 2], 0i32), &[0]), unknown, &name);
    refused(store.drop_arrays("b", None), unknown, &name);
    refused(store.drop_arrays("b", Some(&[0])), unknown, &name);
    refused(store.drop_many(&["a", "b"]), unknown, &name);
    refused(store.compact_array("b"), unknown, &name);
    refused(store.clone_array("b", "c"), unknown, &name);
    assert_eq!(store.get_modify_time("b"), None);

    refused(store.clone_array("a", "empty"), |e| matches!(e, NpkError::ArrayExists(_)), &["\"empty\""]);
    refused(store.clone_array("a", "a"), |e| matches!(e, NpkError::ArrayExists(_)), &["\"a\""]);
    let argument: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidArgument { .. });
    refused(store.stream_load::<i32>("a", 0), argument, &["rows", "0"]);
    refused(store.drop_many(&["a", "a"]), argument, &["\"a\""]);
    let rows = array(&[1, 2], 0i32);
    refused(store.append_many(&[("a", &rows), ("a", &rows)]), argument, &["\"a\""]);
    refused(store.replace_many(&[("a", &rows, &[0]), ("a", &rows, &[1])]), argument, &["\"a\""]);
    let twice = [("a".into(), rows.clone(), DataType::Int32), ("a".into(), rows.clone(), DataType::Int32)];
    refused(store.save_arrays(&twice), argument, &["\"a\""]);
    // One bad part refuses the whole call.
    refused(store.append_many(&[("a", &rows), ("b", &rows)]), unknown, &name);
    refused(store.replace_many(&[("a", &rows, &[0]), ("empty", &rows, &[0])]), bounds, &["0 rows"]);

    let files = |tree: &BTreeMap<std::path::PathBuf, Option<Vec<u8>>>| {
        // The control page counts attempts of writers; the log and the rows are the store.
        tree.clone().into_iter().filter(|(path, _)| !path.ends_with("control.npkc")).collect::<Vec<_>>()
    };
    assert!(files(&tree(&path)) == files(&before));
    assert_eq!(store.load_vec::<i32>("a").unwrap(), (vec![3, 2], vec![1, 2, 3, 4, 5, 6]));
}

#[test]
fn paths_that_are_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let folder = dir.path().join("folder");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let before = tree(dir.path());
    let missing = dir.path().join("missing");
    for mode in [Mode::Read, Mode::ReadWrite, Mode::Append, Mode::Truncate, Mode::CreateNew] {
        let options = OpenOptions::new().mode(mode);
        for path in [file.clone(), file.join("below")] {
            refused(options.open(&path), |e| matches!(e, NpkError::Io { .. }), &[path.to_str().unwrap()]);
        }
        let expected: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidArgument { .. });
        refused(options.open(&folder), expected, &[folder.to_str().unwrap()]);
        if matches!(mode, Mode::Read | Mode::ReadWrite) {
            refused(
                options.open(&missing),
                |e| matches!(e, NpkError::Io { .. }),
                &[missing.to_str().unwrap()],
            );
        }
    }
    assert!(tree(dir.path()) == before);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(
        OpenOptions::new().mode(Mode::Read).open(&empty),
        |e| matches!(e, NpkError::Io { .. }),
        &["empty"],
    );
    assert!(tree(&empty).is_empty());
}

#[test]
fn modes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let open = |mode| OpenOptions::new().mode(mode).open(&path);
    open(Mode::CreateNew).unwrap().save_slice("a", &[1u8, 2], &[2]).unwrap();
    let exists: fn(&NpkError) -> bool =
        |e| matches!(e, NpkError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists);
    refused(open(Mode::CreateNew), exists, &[path.to_str().unwrap()]);
    let before = tree(&path);
    {
        let reader = open(Mode::Read).unwrap();
        let read_only: fn(&NpkError) -> bool = |e| matches!(e, NpkError::ReadOnly { .. });
        let at = [path.to_str().unwrap()];
        let rows = array(&[1], 1u8);
        refused(reader.save_slice("a", &[1u8], &[1]), read_only, &at);
        refused(reader.append_rows("a", &rows), read_only, &at);
        refused(reader.replace_rows("a", &rows, &[0]), read_only, &at);
        refused(reader.drop_arrays("a", Some(&[0])), read_only, &at);
        refused(reader.drop_arrays("a", None), read_only, &at);
        refused(reader.compact_array("a"), read_only, &at);
        refused(reader.clone_array("a", "b"), read_only, &at);
        refused(reader.sync_metadata(), read_only, &at);
        refused(reader.reset(), read_only, &at);
        assert_eq!(reader.load_vec::<u8>("a").unwrap().1, [1, 2]);
    }
    assert!(tree(&path) == before, "a reader changed the store");
    assert_eq!(open(Mode::ReadWrite).unwrap().load_vec::<u8>("a").unwrap().1, [1, 2]);
    assert_eq!(open(Mode::Append).unwrap().load_vec::<u8>("a").unwrap().1, [1, 2]);
    assert!(open(Mode::Truncate).unwrap().list_arrays().is_empty());
    assert!(open(Mode::Append).unwrap().list_arrays().is_empty());
}

/// CRC-32C, bit by bit: the test makes a header of its own.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    ParallelIO::new(path.clone()).unwrap().save_slice("a", &[1u8, 2], &[2]).unwrap();
    let log = path.join("metadata.npkm");
    let mut bytes = fs::read(&log).unwrap();
    bytes[8] = 9;
    let crc = crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&log, &bytes).unwrap();
    let before = tree(&path);
    for mode in [Mode::Read, Mode::ReadWrite, Mode::Append, Mode::Truncate, Mode::CreateNew] {
        refused(
            OpenOptions::new().mode(mode).open(&path),
            |e| matches!(e, NpkError::UnsupportedVersion { found: 9, .. }),
            &["metadata.npkm", "9", "1"],
        );
    }
    assert!(tree(&path) == before);
}
