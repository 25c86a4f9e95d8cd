//! `import` and `export`: names, what is there already, what is left behind, signals, bars.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use numpack::prelude::*;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::npy::file;
use super::{command, json_of, names, on_terminal, refused, run, signal, text, wait};

/// `small.npy`: uint8 of shape (3,).
fn small(dir: &Path) {
    fs::write(dir.join("small.npy"), file(1, "'|u1'", false, "(3,)", &[1, 2, 3])).unwrap();
}

/// `large.npy`, of 64 MiB.
fn large(dir: &Path) {
    let bytes = file(1, "'<f8'", false, "(65536, 128)", &vec![1; 64 << 20]);
    fs::write(dir.join("large.npy"), bytes).unwrap();
}

fn store(dir: &Path) -> Store {
    let store = Store::new(dir.join("data.npk")).unwrap();
    store.save_slice("old", &[1.5_f32, 2.5], &[2]).unwrap();
    store.save_slice("other", &[1_i64], &[]).unwrap();
    store
}

/// What a store says of itself.
fn state(dir: &Path) -> Value {
    let mut listed = json_of(dir, &["ls", "data.npk"]);
    assert_eq!(json_of(dir, &["verify", "data.npk"])["sound"], true);
    listed["arrays"].take()
}

#[test]
fn a_new_store_and_one_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let told = json_of(dir.path(), &["import", "small.npy", "deep/new.npk"]);
    assert_eq!(
        told,
        json!({
            "source": "small.npy",
            "format": "npy",
            "store": "deep/new.npk",
            "arrays": [{ "name": "small", "dtype": "uint8", "shape": [3], "bytes": 3 }],
        })
    );
    fs::create_dir(dir.path().join("empty")).unwrap();
    assert!(text(dir.path(), &["import", "small.npy", "empty"]).contains("1 array, 3 B"));
    let there = store(dir.path());
    text(dir.path(), &["import", "small.npy", "data.npk", "--name", "a/b"]);
    assert_eq!(there.list_arrays(), ["old", "other", "a/b"]);
    assert_eq!(there.load_vec::<u8>("a/b").unwrap().1, [1, 2, 3]);
    fs::copy(dir.path().join("small.npy"), dir.path().join("data.bin")).unwrap();
    text(dir.path(), &["import", "data.bin", "data.npk", "--format", "npy"]);
    assert!(there.has_array("data"));
}

#[test]
fn an_array_is_replaced_only_when_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    let there = store(dir.path());
    there.save_slice(".numpack/columns/old", b"{}", &[2]).unwrap();
    let before = state(dir.path());
    let arguments = ["import", "small.npy", "data.npk", "--name", "old"];
    let told = refused(dir.path(), &arguments, 2);
    assert_eq!(told, "numpack: array \"old\" already exists in data.npk: --overwrite replaces it\n");
    assert_eq!(state(dir.path()), before);
    text(dir.path(), &[&arguments[..], &["--overwrite"]].concat());
    assert_eq!(there.load_vec::<u8>("old").unwrap().1, [1, 2, 3]);
    // What was kept of the columns of the old one is gone with it.
    assert_eq!(there.list_arrays(), ["old", "other"]);
}

#[test]
fn a_file_is_replaced_only_when_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let arguments = ["export", "data.npk", "out.npy", "old"];
    let told = json_of(dir.path(), &arguments);
    assert_eq!(
        told,
        json!({
            "store": "data.npk",
            "destination": "out.npy",
            "format": "npy",
            "file_bytes": 136,
            "arrays": [{ "name": "old", "dtype": "float32", "shape": [2], "bytes": 8 }],
        })
    );
    let told = refused(dir.path(), &arguments, 2);
    assert_eq!(told, "numpack: out.npy already exists: --overwrite replaces it\n");
    // Of a link the file behind it is meant.
    std::os::unix::fs::symlink("out.npy", dir.path().join("link.npy")).unwrap();
    let over = ["export", "data.npk", "link.npy", "other", "--overwrite"];
    assert!(text(dir.path(), &over).contains("link.npy: 1 array"));
    assert!(dir.path().join("link.npy").is_symlink());
    text(dir.path(), &["import", "out.npy", "back.npk"]);
    assert_eq!(text(dir.path(), &["head", "back.npk", "out"]), "int64 ()\n1\n");
    assert_eq!(names(dir.path()), ["back.npk", "data.npk", "link.npy", "out.npy"]);
}

#[test]
fn deleted_rows_do_not_go_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let rows: Vec<u32> = (0..200_000).collect();
    store.save_slice("rows", &rows, &[100_000, 2]).unwrap();
    let odd: Vec<i64> = (1..100_000).step_by(2).collect();
    store.drop_arrays("rows", Some(&odd)).unwrap();
    text(dir.path(), &["export", "data.npk", "rows.npy", "rows", "--chunk-size", "64K"]);
    text(dir.path(), &["import", "rows.npy", "back.npk"]);
    let back = Store::new(dir.path().join("back.npk")).unwrap();
    assert!(back.load_vec::<u32>("rows").unwrap() == store.load_vec::<u32>("rows").unwrap());
}

#[test]
fn arguments_name_what_is_wrong_with_them() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path());
    store(dir.path());
    fs::create_dir_all(dir.path().join("folder/with")).unwrap();
    let before = (names(dir.path()), state(dir.path()));
    for (arguments, word) in [
        (&["import", "missing.npy", "x.npk"][..], "missing.npy"),
        (&["import", "small.xyz", "x.npk"], "safetensors"),
        (&["import", "small.npy", "x.npk", "--format", "xml"], "xml"),
        (&["import", "small.npy", "x.npk", "--name", ""], "empty"),
        (&["import", "small.npy", "x.npk", "--name", ".numpack/x"], ".numpack/"),
        (&["import", "small.npy", "x.npk", "small"], "--name"),
        (&["import", "small.npy", "x.npk", "a", "b", "--name", "c", "--format", "npz"], "--name"),
        (&["import", "small.npy", "folder"], "folder"),
        (&["import", "small.npy", "small.npy"], "small.npy"),
        (&["import", "folder", "x.npk", "--format", "npy"], "folder"),
        (&["import", "small.npy", "x.npk", "--chunk-size", "0"], "chunk-size"),
        (&["import", "small.npy", "x.npk", "--chunk-size", "many"], "many"),
        (&["export", "missing.npk", "x.npy"], "missing.npk"),
        (&["export", "data.npk", "x.npy"], "\"old\", \"other\""),
        (&["export", "data.npk", "x.npy", "missing"], "\"missing\""),
        (&["export", "data.npk", "x.csv", "old", "other"], "one array"),
        (&["export", "data.npk", "x.npz", "old", "old"], "twice"),
        (&["export", "data.npk", "missing/x.npy", "old"], "missing"),
        (&["export", "data.npk", "folder", "old", "--format", "npy", "--overwrite"], "folder"),
        (&["export", "data.npk", "data.npk/x.npy", "old"], "lies in the store"),
        (&["export", "data.npk", "small.npy/x.npy", "old"], "small.npy/x.npy"),
        (&["export", "data.npk", "x", "old"], "--format"),
    ] {
        let told = refused(dir.path(), arguments, 2);
        assert!(told.contains(word), "{arguments:?}: {told}");
        assert_eq!((names(dir.path()), state(dir.path())), before, "{arguments:?}");
    }
    Store::new(dir.path().join("nothing.npk")).unwrap();
    assert!(refused(dir.path(), &["export", "nothing.npk", "x.npz"], 2).contains("no arrays"));
}

/// An import that has begun, from a pipe that gives nothing more.
fn waiting_import(dir: &Path, target: &str, begun: impl Fn() -> bool) -> (Child, ChildStdin) {
    let arguments = ["import", "/dev/stdin", target, "--format", "npy", "--name", "old", "--overwrite"];
    let mut command = command(dir, &arguments);
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = process.stdin.take().unwrap();
    pipe.write_all(&file(1, "'|u1'", false, "(99999999,)", &[7; 9_000_000])).unwrap();
    wait(&mut process, begun);
    (process, pipe)
}

#[test]
fn a_killed_import_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let there = store(dir.path());
    let before = state(dir.path());
    let files = || names(&dir.path().join("data.npk")).len();
    let count = files();
    let (mut process, pipe) = waiting_import(dir.path(), "data.npk", || files() > count);
    // Readers do not wait.
    assert_eq!(state(dir.path()), before);
    signal(&process, Signal::KILL);
    process.wait().unwrap();
    drop(pipe);
    assert_eq!(state(dir.path()), before);
    there.save_slice("more", &[1_u8], &[1]).unwrap();
    assert_eq!(files(), count + 1, "the next writer has swept");
    // Nobody sees a new store.
    let hidden = || names(dir.path()).len() > 1;
    let (mut process, pipe) = waiting_import(dir.path(), "new.npk", hidden);
    signal(&process, Signal::KILL);
    process.wait().unwrap();
    drop(pipe);
    small(dir.path());
    assert!(!dir.path().join("new.npk").exists());
    text(dir.path(), &["import", "small.npy", "new.npk"]);
    assert_eq!(names(dir.path()), ["data.npk", "new.npk", "small.npy"]);
}

#[test]
fn an_interrupt_ends_a_conversion_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let there = store(dir.path());
    let before = state(dir.path());
    let count = names(&dir.path().join("data.npk")).len();
    for target in ["data.npk", "new.npk"] {
        let begun = || names(&dir.path().join("data.npk")).len() > count || names(dir.path()).len() > 1;
        let (process, mut pipe) = waiting_import(dir.path(), target, begun);
        signal(&process, Signal::INT);
        // The block that it waits for.
        pipe.write_all(&vec![7; 8 << 20]).unwrap_or_default();
        drop(pipe);
        let output = process.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        assert_eq!(output.stderr, b"numpack: interrupted\n");
        assert_eq!(names(dir.path()), ["data.npk"]);
        assert_eq!(names(&dir.path().join("data.npk")).len(), count);
    }
    assert_eq!(state(dir.path()), before);
    there.save_slice("long", &vec![0_u8; 64 << 20], &[64 << 20, 1]).unwrap();
    let arguments = ["export", "data.npk", "out.npy", "long", "--chunk-size", "16"];
    let mut process = command(dir.path(), &arguments).spawn().unwrap();
    wait(&mut process, || names(dir.path()).len() > 1);
    signal(&process, Signal::INT);
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert_eq!(names(dir.path()), ["data.npk"]);
}

#[test]
fn a_pipe_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    large(dir.path());
    let arguments = ["import", "/dev/stdin", "data.npk", "--format", "npy"];
    let mut process = command(dir.path(), &arguments).stdin(Stdio::piped()).spawn().unwrap();
    let bytes = fs::read(dir.path().join("large.npy")).unwrap();
    process.stdin.take().unwrap().write_all(&bytes).unwrap();
    assert!(process.wait().unwrap().success());
    text(dir.path(), &["export", "data.npk", "out.npy"]);
    assert!(fs::read(dir.path().join("out.npy")).unwrap() == bytes);
    // Of one that is turned every part is needed at once.
    let mut process = command(dir.path(), &[&arguments[..], &["--overwrite"]].concat())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let turned = file(1, "'|u1'", true, "(1, 1152921504606846976)", &[]);
    process.stdin.take().unwrap().write_all(&turned).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Fortran"));
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.npy");
    let header = file(1, "'<f8'", false, "(262144, 128)", &[]);
    let sparse = File::create(&path).unwrap();
    (&sparse).write_all(&header).unwrap();
    sparse.set_len(header.len() as u64 + (256 << 20)).unwrap();
    let fortran = file(1, "'<f8'", true, "(262144, 128)", &[]);
    for header in [header, fortran] {
        let file = File::options().write(true).open(&path).unwrap();
        (&file).write_all(&header).unwrap();
        let mut limited = std::process::Command::new("sh");
        // Address space, in KiB: far below the 256 MiB of the file.
        let script = r#"ulimit -v 200000; exec "$0" import large.npy data.npk --overwrite"#;
        limited.args(["-c", script, env!("CARGO_BIN_EXE_numpack")]).current_dir(dir.path());
        let output = limited.env("RAYON_NUM_THREADS", "2").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn a_bar_is_shown_on_a_terminal_alone() {
    let dir = tempfile::tempdir().unwrap();
    large(dir.path());
    let shown = on_terminal(dir.path(), 60, &["import", "large.npy", "data.npk", "--chunk-size", "4K"]);
    assert!(shown.contains("importing") && shown.contains("64.0 MiB"), "{shown:?}");
    let shown = on_terminal(dir.path(), 60, &["export", "data.npk", "out.npy", "--chunk-size", "4K"]);
    assert!(shown.contains("exporting"), "{shown:?}");
    let output = run(dir.path(), &["export", "data.npk", "two.npy"]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
