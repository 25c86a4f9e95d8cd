//! What can be opened and how: modes, folders that are not stores, newer formats, missing permission.

use std::fs;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use numpack::prelude::*;

#[cfg(unix)]
use crate::alone;
use crate::refused::{array, refused, tree};

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
            let expected = |e: &NpkError| matches!(e, NpkError::Io { .. } | NpkError::NotAStore { .. });
            refused(options.open(&path), expected, &[path.to_str().unwrap()]);
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
    Store::new(&path).unwrap().save_slice("a", &[1u8, 2], &[2]).unwrap();
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

/// Root may write anywhere: the test runs its second half as nobody then.
#[cfg(unix)]
#[test]
fn a_folder_without_permission_to_write() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if let Some(dir) = alone::folder() {
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
        let store = Store::new(&path).unwrap();
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
    alone::pass(command, module_path!(), "a_folder_without_permission_to_write", dir.path());
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
fn a_sync_of_a_removed_store_fails() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &[1_u8], &[1]).unwrap();
    store.sync_metadata().unwrap();
    fs::remove_dir_all(&path).unwrap();
    let error = store.sync_metadata().unwrap_err().to_string();
    assert!(error.contains("folder was removed"), "{error}");
}

#[test]
fn new_files_of_a_store_are_as_private_as_its_old_ones() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &[1_u8; 100], &[100]).unwrap();
    let files = || std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    for mode in [0o600, 0o660] {
        let set = |file| std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        files().for_each(set);
        for i in 0..3 {
            store.save_slice("a", &[1_u8; 100], &[100]).unwrap();
            store.save_slice(&format!("{mode}.{i}"), &[1_u8; 100], &[100]).unwrap();
            store.drop_rows("a", 0..3).unwrap();
            store.compact_array("a").unwrap();
            let mut ingest = store.ingest().unwrap();
            let mut writer = ingest.array("b", DataType::Uint8, &[2]).unwrap();
            writer.write(&[1, 2]).unwrap();
            ingest.add(writer).unwrap();
            ingest.commit(numpack::Existing::Replace).unwrap();
        }
        // A log that begins with this has a name of its own, and takes the old one's.
        store.save_slice(&"n".repeat(1000), &[1_u8; 1 << 20], &[1 << 20]).unwrap();
        let view = store.writable_view("a").unwrap();
        drop(view);
        for file in files() {
            let found = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{}: {found:o}", file.display());
        }
    }
}

#[test]
fn a_writer_notices_that_what_writers_share_was_removed_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    for (i, (file, replaced, known)) in ["writer.lock", "metadata.npkm", "control.npkc"]
        .into_iter()
        .flat_map(|file| [(file, false), (file, true)])
        .flat_map(|(file, replaced)| [(file, replaced, false), (file, replaced, true)])
        .enumerate()
    {
        let path = dir.path().join(i.to_string());
        let store = Store::new(&path).unwrap();
        store.save_slice("a", &[1_u8], &[1]).unwrap();
        if known {
            // By now the folder's time tells the writer that all names are as it has checked them.
            std::thread::sleep(Duration::from_millis(150));
            (0..2).for_each(|_| store.replace_slice("a", &[1_u8], &[0]).unwrap());
        }
        let bytes = std::fs::read(path.join(file)).unwrap();
        std::fs::rename(path.join(file), dir.path().join("gone")).unwrap();
        if replaced {
            std::fs::write(path.join(file), bytes).unwrap();
        }
        let error = store.append_slice("a", &[2_u8]).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("open it again"), "{error}");
        assert_eq!(store.load_vec::<u8>("a").unwrap().1, [1]);
        drop(store);
        if file != "metadata.npkm" || replaced {
            let store = Store::new(&path).unwrap();
            store.append_slice("a", &[3_u8]).unwrap();
            assert_eq!(store.load_vec::<u8>("a").unwrap().1, [1, 3]);
        }
    }
}

#[test]
fn a_writer_for_power_cuts_notices_that_another_folder_took_its_stores_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = OpenOptions::new().durability(Durability::Power).open(&path).unwrap();
    store.save_slice("a", &[1_u8], &[1]).unwrap();
    std::fs::rename(&path, dir.path().join("moved")).unwrap();
    store.append_slice("a", &[2_u8]).unwrap();
    Store::new(&path).unwrap();
    for call in [store.append_slice("a", &[3_u8]), store.sync_metadata()] {
        let error = call.unwrap_err().to_string();
        assert!(error.contains("another folder took the place"), "{error}");
    }
    assert_eq!(store.load_vec::<u8>("a").unwrap().1, [1, 2]);
}
