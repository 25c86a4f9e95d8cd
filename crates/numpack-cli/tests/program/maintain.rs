//! Checking stores, compacting, packing and unpacking them.

use std::fs;
use std::path::Path;

use numpack::prelude::*;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{command, example, json_of, names, run, signal, status, text, wait};

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
fn repair_tells_what_is_missing_by_its_status() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    let file = dir.path().join("data.npk").join(store.get_array_metadata("special").unwrap().data_file);
    drop(store);
    let whole = json_of(dir.path(), &["repair", "data.npk", "whole.npk"]);
    assert_eq!((&whole["complete"], &whole["left_out"]), (&json!(true), &json!([])));
    let arrays = |store| {
        let mut listing = json_of(dir.path(), &["ls", store]);
        let arrays = listing["arrays"].as_array_mut().unwrap();
        arrays.iter_mut().for_each(|array| array["modified_us"] = Value::Null);
        listing["arrays"].take()
    };
    assert_eq!(arrays("whole.npk"), arrays("data.npk"));
    assert_eq!(status(dir.path(), &["repair", "data.npk", "whole.npk"]), 2, "it exists");
    assert_eq!(status(dir.path(), &["repair", "missing.npk", "x.npk"]), 2);
    let mut bytes = fs::read(&file).unwrap();
    bytes[3] ^= 1;
    fs::write(&file, bytes).unwrap();
    let output = run(dir.path(), &["repair", "data.npk", "part.npk", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["left_out"][0]["name"], "special");
    let told = run(dir.path(), &["repair", "data.npk", "again.npk"]);
    assert!(String::from_utf8(told.stdout).unwrap().contains("left out: array \"special\": the checksum of"));
    // A store that does not open says what helps.
    let log = dir.path().join("data.npk/metadata.npkm");
    let mut bytes = fs::read(&log).unwrap();
    bytes[20] ^= 1;
    fs::write(&log, bytes).unwrap();
    let output = run(dir.path(), &["ls", "data.npk"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("numpack repair"));
    let output = run(dir.path(), &["repair", "data.npk", "third.npk", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["recovered"].as_array().unwrap().len() + 1,
        whole["recovered"].as_array().unwrap().len()
    );
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

/// A store whose packing takes a while at the highest level.
pub(super) fn slow_to_pack(dir: &Path) {
    let store = Store::new(dir.join("data.npk")).unwrap();
    let noise = |i: u32| i.wrapping_mul(2_654_435_761).rotate_left(i % 31) % 1000;
    let numbers: Vec<u32> = (0..16 << 20).map(noise).collect();
    store.save_slice("numbers", &numbers, &[numbers.len() as u64]).unwrap();
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
