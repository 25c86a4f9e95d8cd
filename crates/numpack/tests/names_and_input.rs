//! Names that look like paths, arguments that no store can accept, folders that are none, and full disks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use numpack::HIDDEN_PREFIX;
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
        let store = Store::new(path.clone()).unwrap();
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
    let store = Store::new(path.clone()).unwrap();
    assert_eq!(store.list_arrays(), names);
    for (i, name) in names.iter().enumerate() {
        assert_eq!(store.load_vec::<u64>(name).unwrap().1, [i as u64, 7], "{name:?}");
    }
    let outside: Vec<_> = tree(dir.path()).into_keys().filter(|p| !p.starts_with(&path)).collect();
    assert_eq!(outside, [dir.path().join("x")]);
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), b"stays");
    for file in tree(&path).into_keys() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(numpack::disk::FileName::parse(name).is_some(), "{name:?}");
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
    let store = Store::new(path.clone()).unwrap();
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
    Store::new(path.clone()).unwrap().save_slice("a", &[1u8, 2], &[2]).unwrap();
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

/// Set for a test that runs itself again in another process: the folder to work in.
#[cfg(unix)]
const CHILD: &str = "NUMPACK_TEST_CHILD";

/// Runs `command` as the child part of the test `name` and expects it to pass.
#[cfg(unix)]
fn run_child(mut command: std::process::Command, name: &str, dir: &Path) {
    let output = command.args(["--exact", name, "--nocapture"]).env(CHILD, dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[cfg(unix)]
fn limit_files(bytes: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(limit.maximum), maximum: limit.maximum }).unwrap();
}

/// A write beyond the limit on the size of files fails as one on a full disk does.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    if let Some(dir) = std::env::var_os(CHILD) {
        return full_disk(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    // An ignored signal stays ignored in what the shell becomes.
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    run_child(shell, "a_full_disk", dir.path());
}

#[cfg(unix)]
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

/// Root may write anywhere: the test runs its second half as nobody then.
#[cfg(unix)]
#[test]
fn a_folder_without_permission_to_write() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if let Some(dir) = std::env::var_os(CHILD) {
        return without_permission(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(dir.path(), 0o755);
    let program = dir.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    mode(&program, 0o755);
    for name in ["whole", "without-page"] {
        let path = dir.path().join(name);
        let store = Store::new(path.clone()).unwrap();
        store.save_slice("a", &[1u8, 2, 3], &[3]).unwrap();
        store.replace_slice("a", &[9u8], &[1]).unwrap();
        drop(store);
        if name != "whole" {
            fs::remove_file(path.join("control.npkc")).unwrap();
        }
        tree(&path).keys().for_each(|file| mode(file, 0o444));
        mode(&path, 0o555);
    }
    mode(dir.path(), 0o555);
    let before = tree(dir.path());
    let mut command = std::process::Command::new(&program);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    run_child(command, "a_folder_without_permission_to_write", dir.path());
    assert!(tree(dir.path()) == before);
    mode(dir.path(), 0o755);
    ["whole", "without-page"].iter().for_each(|name| mode(&dir.path().join(name), 0o755));
}

#[cfg(unix)]
fn without_permission(dir: &Path) {
    let probe = fs::write(dir.join("probe"), "").unwrap_err();
    assert_eq!(probe.kind(), std::io::ErrorKind::PermissionDenied);
    let denied: fn(&NpkError) -> bool =
        |e| matches!(e, NpkError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
    for name in ["whole", "without-page"] {
        let path = dir.join(name);
        let reader = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
        assert_eq!(reader.load_vec::<u8>("a").unwrap().1, [1, 9, 3]);
        assert_eq!(reader.get_array_view("a").unwrap().to_array::<u8>().unwrap()[1], 9);
        for mode in [Mode::ReadWrite, Mode::Append, Mode::Truncate] {
            refused(OpenOptions::new().mode(mode).open(&path), denied, &[path.to_str().unwrap()]);
        }
    }
    refused(Store::new(dir.join("new")), denied, &["new"]);
}

#[test]
fn hidden_arrays_are_listed_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    let hidden = format!("{HIDDEN_PREFIX}columns/a");
    store.save_slice("a", &[1_u8], &[1]).unwrap();
    store.save_slice(&hidden, &[2_u8], &[1]).unwrap();
    assert_eq!(store.list_arrays(), ["a"]);
    assert_eq!(store.list_all_arrays(), ["a", hidden.as_str()]);
    assert!(store.has_array(&hidden));
    assert_eq!(store.metadata().unwrap().iter().filter(|array| array.is_hidden()).count(), 1);
    store.reset().unwrap();
    assert!(store.list_all_arrays().is_empty());
}

#[test]
fn a_sync_of_a_removed_store_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::new(path.clone()).unwrap();
    store.save_slice("a", &[1_u8], &[1]).unwrap();
    store.sync_metadata().unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = store.sync_metadata().unwrap_err().to_string();
    assert!(error.contains("folder was removed"), "{error}");
}
