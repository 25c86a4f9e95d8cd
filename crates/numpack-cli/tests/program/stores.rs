//! Looking into stores, checking them, compacting, packing and unpacking.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use numpack::prelude::*;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{command, example, json_of, names, on_terminal, run, signal, status, strip_bars, text, wait};

#[test]
fn ls_and_info() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    let listed = text(dir.path(), &["ls", "data.npk"]);
    assert!(listed.starts_with("NAME"), "{listed}");
    assert!(listed.contains("(498, 2)") && listed.contains("float32"), "{listed}");
    assert!(listed.contains("\\u{1b}[31mred") && !listed.contains('\u{1b}'), "{listed}");
    let arrays = json_of(dir.path(), &["ls", "data.npk"])["arrays"].as_array().unwrap().clone();
    assert_eq!(arrays.len(), 6);
    assert_eq!(arrays[0]["name"], "numbers");
    assert_eq!(arrays[0]["shape"], json!([498, 2]));

    let info = json_of(dir.path(), &["info", "data.npk", "--files"]);
    assert_eq!(info["deleted_bytes"], 16);
    let live: u64 = store.metadata().unwrap().iter().map(|array| array.size_bytes).sum();
    assert_eq!(info["live_bytes"], live);
    assert_eq!(info["arrays"][0]["file"], store.get_array_metadata("numbers").unwrap().data_file);
    assert!(text(dir.path(), &["info", "data.npk", "--files"]).contains(".npkd"));
}

#[test]
fn head_prints_rows() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path());
    let lines = text(dir.path(), &["head", "data.npk", "numbers", "-n", "2"]);
    assert_eq!(lines, "float32 (498, 2)\n[1.0 1.5]\n[2.0 2.5]\n");
    assert_eq!(text(dir.path(), &["head", "data.npk", "scalar"]), "uint64 ()\n8070450532247928832\n");
    assert_eq!(text(dir.path(), &["head", "data.npk", "complex"]), "complex64 (1,)\n1.0-2.0j\n");
    assert_eq!(text(dir.path(), &["head", "data.npk", "none"]), "int16 (0, 3)\n");
    let head = json_of(dir.path(), &["head", "data.npk", "special"]);
    assert_eq!(head["data"], json!(["nan", "inf", -1.5, 2.5]));
    assert_eq!(status(dir.path(), &["head", "data.npk", "missing"]), 2);
}

#[test]
fn stats_measures() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path());
    let stats = json_of(dir.path(), &["stats", "data.npk", "--bins", "4"]);
    let of = |name: &str| {
        let arrays = stats["arrays"].as_array().unwrap();
        arrays.iter().find(|array| array["name"] == name).unwrap().clone()
    };
    let numbers = of("numbers");
    assert_eq!((&numbers["min"], &numbers["max"]), (&json!(1.0), &json!(499.5)));
    assert_eq!(numbers["count"], 996);
    let counts: u64 =
        numbers["histogram"]["counts"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(counts, 996);
    let special = of("special");
    assert_eq!(special["nan"], 1);
    assert_eq!(
        (&special["min"], &special["max"], &special["mean"]),
        (&json!(-1.5), &json!("inf"), &json!("inf"))
    );
    assert_eq!(special["histogram"]["counts"], json!([1, 0, 0, 1]));
    assert_eq!(of("scalar")["max"], json!(7_u64 << 60));
    assert_eq!(of("complex")["mean"], json!([1.0, -2.0]));
    assert_eq!(of("complex")["min"], Value::Null);
    assert_eq!(of("none")["mean"], Value::Null);
    assert!(text(dir.path(), &["stats", "data.npk", "numbers"]).contains('█'));
}

#[test]
fn verify_tells_damage_by_its_status() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    assert_eq!(json_of(dir.path(), &["verify", "data.npk"])["sound"], true);
    let file = dir.path().join("data.npk").join(store.get_array_metadata("special").unwrap().data_file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[3] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = run(dir.path(), &["verify", "data.npk", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["sound"], false);
    assert!(report["findings"][0]["text"].as_str().unwrap().contains("special"));
    drop(store);
    // The header of the log.
    let log = dir.path().join("data.npk/metadata.npkm");
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, bytes).unwrap();
    let output = run(dir.path(), &["verify", "data.npk"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn compact_pack_and_unpack() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path());
    let packed = json_of(dir.path(), &["pack", "data.npk", "--keep-deleted"]);
    assert_eq!(packed["arrays"], 6);
    assert_eq!(status(dir.path(), &["pack", "data.npk"]), 2, "it exists");
    assert_eq!(status(dir.path(), &["compact", "data.npk", "missing"]), 2);
    assert_eq!(json_of(dir.path(), &["compact", "data.npk"])["freed_bytes"], 16);
    assert_eq!(json_of(dir.path(), &["compact", "data.npk"])["freed_bytes"], 0);
    let info = json_of(dir.path(), &["info", "data.npkg"]);
    assert_eq!(info["arrays"].as_array().unwrap().len(), 6);
    assert!(text(dir.path(), &["unpack", "data.npkg", "deep/copy.npk"]).contains("6 arrays"));
    assert_eq!(json_of(dir.path(), &["info", "deep/copy.npk"])["deleted_bytes"], 16);
    assert_eq!(status(dir.path(), &["unpack", "data.npkg"]), 2);
    assert_eq!(status(dir.path(), &["unpack", "data.npkg", "--overwrite"]), 0);
    assert_eq!(json_of(dir.path(), &["info", "data.npk"])["deleted_bytes"], 16);
    assert_eq!(json_of(dir.path(), &["verify", "data.npkg"])["sound"], true);
    assert!(text(dir.path(), &["verify", "data.npkg"]).contains("6 arrays"));
    // A damaged package is a finding.
    let mut bytes = fs::read(dir.path().join("data.npkg")).unwrap();
    bytes[30] ^= 1;
    fs::write(dir.path().join("data.npkg"), bytes).unwrap();
    assert_eq!(status(dir.path(), &["unpack", "data.npkg", "x.npk"]), 1);
    let output = run(dir.path(), &["verify", "data.npkg", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["sound"], &report["package"]), (&json!(false), &json!("data.npkg")));
    assert!(report["findings"][0]["text"].as_str().unwrap().contains("checksum of a block"));
    assert_eq!(names(dir.path()), ["data.npk", "data.npkg", "deep"]);
}

#[test]
fn arguments_that_cannot_be_followed() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path());
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["ls"],
        &["ls", "missing.npk"],
        &["head", "data.npk"],
        &["stats", "data.npk", "--bins", "x"],
        &["pack", "data.npk", "--level", "3", "--no-compression"],
        &["pack", "data.npk", "x.npkg", "--level", "99"],
        &["unpack", "data.npk/metadata.npkm"],
        &["verify", "data.npk/metadata.npkm"],
    ] {
        let output = run(dir.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_has_examples_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    assert!(text(dir.path(), &["--help"]).contains("Exit status"));
    for name in
        ["ls", "info", "head", "stats", "search", "verify", "compact", "pack", "unpack", "import", "export"]
    {
        assert!(text(dir.path(), &[name, "--help"]).contains("Example"), "{name}");
    }
    assert!(text(dir.path(), &["--version"]).starts_with("numpack "));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    store.save_slice("long", &vec![0_u8; 200_000], &[200_000]).unwrap();
    let mut command = command(dir.path(), &["head", "data.npk", "long", "-n", "200000"]);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(process.stdout.take());
    let output = process.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}

#[test]
fn a_narrow_terminal_gets_narrow_lines_and_a_pipe_gets_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    let long = "a name that is longer than any narrow terminal is wide, by far";
    store.save_slice(long, &[1_u8], &[1]).unwrap();
    for columns in [40, 60] {
        for arguments in [&["ls", "data.npk"][..], &["stats", "data.npk"], &["head", "data.npk", "numbers"]] {
            let printed = on_terminal(dir.path(), columns, arguments);
            let text: String = strip_bars(&printed);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(columns), "{arguments:?} at {columns}: {text}");
        }
        assert!(on_terminal(dir.path(), columns, &["ls", "data.npk"]).contains('…'));
    }
    assert!(text(dir.path(), &["ls", "data.npk"]).contains(long));
    assert!(on_terminal(dir.path(), 200, &["ls", "data.npk"]).contains(long));
}

/// A store whose packing takes a while at the highest level.
fn slow_to_pack(dir: &Path) {
    let store = Store::new(dir.join("data.npk")).unwrap();
    let noise = |i: u32| i.wrapping_mul(2_654_435_761).rotate_left(i % 31) % 1000;
    let numbers: Vec<u32> = (0..16 << 20).map(noise).collect();
    store.save_slice("numbers", &numbers, &[numbers.len() as u64]).unwrap();
}

#[test]
fn bars_are_for_terminals() {
    let dir = tempfile::tempdir().unwrap();
    slow_to_pack(dir.path());
    let shown = on_terminal(dir.path(), 80, &["pack", "data.npk", "--level", "12"]);
    assert!(shown.contains("packing"), "{shown:?}");
    let output = run(dir.path(), &["pack", "data.npk", "--overwrite"]);
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn an_interrupt_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    slow_to_pack(dir.path());
    let mut process = command(dir.path(), &["pack", "data.npk", "--level", "19"]).spawn().unwrap();
    wait(&mut process, || names(dir.path()).len() > 1);
    signal(&process, Signal::INT);
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert_eq!(names(dir.path()), ["data.npk"]);
}
