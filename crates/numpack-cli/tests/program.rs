//! The program through real processes: on pipes, on terminals of several widths, with signals.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use numpack::prelude::*;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numpack"));
    command.current_dir(dir).args(arguments).stdin(Stdio::null());
    command
}

fn run(dir: &Path, arguments: &[&str]) -> Output {
    command(dir, arguments).output().unwrap()
}

fn status(dir: &Path, arguments: &[&str]) -> i32 {
    run(dir, arguments).status.code().unwrap()
}

/// What the program prints, which must end well and without a word on the standard error.
fn text(dir: &Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(dir: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(dir, &[arguments, &["--json"]].concat())).unwrap()
}

/// What the program writes to a terminal of so many columns.
fn on_terminal(dir: &Path, columns: u16, arguments: &[&str]) -> String {
    let leader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&leader).unwrap();
    unlockpt(&leader).unwrap();
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let name = ptsname(&leader, Vec::new()).unwrap().into_string().unwrap();
    let follower = File::options().read(true).write(true).open(name).unwrap();
    tcsetwinsize(&follower, size).unwrap();
    let mut command = command(dir, arguments);
    command.stdout(follower.try_clone().unwrap()).stderr(follower);
    let mut process = command.spawn().unwrap();
    drop(command);
    let mut bytes = Vec::new();
    // The last writer gone is an error on a terminal.
    File::from(leader).read_to_end(&mut bytes).unwrap_err();
    assert!(process.wait().unwrap().success());
    String::from_utf8(bytes).unwrap()
}

/// A store with deleted rows, NaN, infinity, a scalar and a name that would turn a terminal red.
fn example(dir: &Path) -> ParallelIO {
    let store = ParallelIO::new(dir.join("data.npk")).unwrap();
    let numbers: Vec<f32> = (0..1000).map(|i| i as f32 / 2.0).collect();
    store.save_slice("numbers", &numbers, &[500, 2]).unwrap();
    store.drop_arrays("numbers", Some(&[0, 3])).unwrap();
    store.save_slice("special", &[f64::NAN, f64::INFINITY, -1.5, 2.5], &[4]).unwrap();
    store.save_slice("scalar", &[7_u64 << 60], &[]).unwrap();
    store.save_slice("\u{1b}[31mred", &[true, false], &[2, 1]).unwrap();
    store.save_slice("complex", &[num_complex::Complex32::new(1.0, -2.0)], &[1]).unwrap();
    store.save_slice::<i16>("none", &[], &[0, 3]).unwrap();
    store
}

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
    // A damaged package is a finding.
    let mut bytes = fs::read(dir.path().join("data.npkg")).unwrap();
    bytes[30] ^= 1;
    fs::write(dir.path().join("data.npkg"), bytes).unwrap();
    assert_eq!(status(dir.path(), &["unpack", "data.npkg", "x.npk"]), 1);
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
    for name in ["ls", "info", "head", "stats", "verify", "compact", "pack", "unpack"] {
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

/// What is left on the screen: bars are drawn over and cleared, which takes escape sequences and returns.
fn strip_bars(printed: &str) -> String {
    let lines =
        printed.lines().map(|line| line.rsplit(['\r', '\u{7}']).find(|part| !part.is_empty()).unwrap_or(""));
    let clean = lines
        .map(|line| line.rsplit_once('K').filter(|_| line.contains('\u{1b}')).map_or(line, |(_, rest)| rest));
    clean.collect::<Vec<_>>().join("\n")
}

/// A store whose packing takes a while at the highest level.
fn slow_to_pack(dir: &Path) {
    let store = ParallelIO::new(dir.join("data.npk")).unwrap();
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
    let names = || fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let start = Instant::now();
    while names().len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert_eq!(names(), ["data.npk"]);
}
