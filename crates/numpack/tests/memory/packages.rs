//! Packing and unpacking an array takes memory for a few blocks of it.

use std::fs;

use numpack::RawArray;
use numpack::package::{PackOptions, UnpackOptions, pack, quiet, unpack};
use numpack::prelude::*;

use crate::procs::{self, child};

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    assert_eq!(role, "memory");
    let file = |name: &str| path.join(name);
    let plain = PackOptions::new().compressed(false);
    pack(file("large.npk"), None, plain, quiet).unwrap();
    let file = pack(file("large.npk"), None, PackOptions::new().overwrite(true), quiet).unwrap();
    unpack(&file, Some(&path.join("copy.npk")), UnpackOptions::new().durability(Durability::Process), quiet)
        .unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("\n{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}

/// Bytes that look like numbers: some planes alike, some not.
fn bytes(len: usize, seed: u32) -> Vec<u8> {
    let noise = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761).rotate_left(11);
    (0..len).map(|i| if i % 4 == 1 { noise(i) as u8 & 1 } else { (i >> 12) as u8 & 1 }).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_large_array_takes_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("large.npk")).unwrap();
    let rows: Vec<u8> = bytes(10 << 20, 7);
    store
        .save_raw(&[RawArray { name: "x", dtype: DataType::Float32, shape: &[65_536, 40], bytes: &rows }])
        .unwrap();
    for _ in 1..30 {
        store
            .append_raw(&[RawArray {
                name: "x",
                dtype: DataType::Float32,
                shape: &[65_536, 40],
                bytes: &rows,
            }])
            .unwrap();
    }
    let output = child(module_path!(), "memory", dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_else(|| panic!("{text}"));
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib < 150 << 10, "{line}");
}
