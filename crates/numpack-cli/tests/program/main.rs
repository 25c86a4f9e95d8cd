//! The program through real processes: on pipes, on terminals of several widths, with signals.
#![cfg(unix)]

mod changes;
mod import_export;
mod inspect;
mod interpreter;
mod maintain;
mod npy;
mod search;
mod terminal;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use numpack::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

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
fn example(dir: &Path) -> Store {
    let store = Store::new(dir.join("data.npk")).unwrap();
    let numbers: Vec<f32> = (0..1000).map(|i| i as f32 / 2.0).collect();
    store.save_slice("numbers", &numbers, &[500, 2]).unwrap();
    store.drop_arrays("numbers", Some(&[0, 3])).unwrap();
    store.save_slice("special", &[f64::NAN, f64::INFINITY, -1.5, 2.5], &[4]).unwrap();
    store.save_slice("scalar", &[7_u64 << 60], &[]).unwrap();
    store.save_slice("\u{1b}[31mred", &[true, false], &[2, 1]).unwrap();
    store.save_slice("complex", &[numpack::num_complex::Complex32::new(1.0, -2.0)], &[1]).unwrap();
    store.save_slice::<i16>("none", &[], &[0, 3]).unwrap();
    store
}

/// What is left on the screen: bars are drawn over and cleared, which takes escape sequences and returns.
fn strip_bars(printed: &str) -> String {
    let lines =
        printed.lines().map(|line| line.rsplit(['\r', '\u{7}']).find(|part| !part.is_empty()).unwrap_or(""));
    let clean = lines
        .map(|line| line.rsplit_once('K').filter(|_| line.contains('\u{1b}')).map_or(line, |(_, rest)| rest));
    clean.collect::<Vec<_>>().join("\n")
}

/// What the program says on the standard error when it ends with this status, without a result.
fn refused(dir: &Path, arguments: &[&str], status: i32) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    text
}

/// Names of everything in a folder, sorted.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

/// Waits until `ready`, and fails when it never is or the process ends before.
fn wait(process: &mut Child, ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(process.try_wait().unwrap().is_none(), "the process ended too early");
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}
