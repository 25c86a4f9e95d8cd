//! `.npy` files, which the program reads and writes itself: every dtype, order and version, damage, memory.

use std::fs;
use std::path::Path;

use numpack::prelude::*;
use serde_json::json;

use super::{json_of, names, refused, status, text};

/// A `.npy` file as NumPy writes it.
pub(super) fn file(version: u8, descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut dict = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
    let width = if version == 1 { 2 } else { 4 };
    while (8 + width + dict.len() + 1) % 64 != 0 {
        dict.push(' ');
    }
    dict.push('\n');
    let length = (dict.len() as u32).to_le_bytes();
    [b"\x93NUMPY", &[version, 0][..], &length[..width], dict.as_bytes(), data].concat()
}

/// Imports a file and returns what the store then holds.
fn imported(dir: &Path, bytes: &[u8]) -> (DataType, Vec<u64>, Vec<u8>) {
    fs::write(dir.join("a.npy"), bytes).unwrap();
    let told = json_of(dir, &["import", "a.npy", "a.npk", "--overwrite"]);
    let store = Store::new(dir.join("a.npk")).unwrap();
    let array = store.get_array_metadata("a").unwrap();
    assert_eq!(told["arrays"][0]["shape"], json!(array.shape));
    assert_eq!(told["arrays"][0]["dtype"], array.dtype.name());
    let bytes = store.get_array_view("a").unwrap().row_bytes(0..u64::MAX).unwrap();
    assert!(store.verify().unwrap().findings.is_empty());
    (array.dtype, array.shape, bytes)
}

#[test]
fn every_dtype_comes_in_and_goes_out() {
    let dir = tempfile::tempdir().unwrap();
    let codes = ["b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"];
    for (dtype, code) in DataType::ALL.into_iter().zip(codes) {
        let size = dtype.size_bytes();
        let plain: Vec<u8> =
            (0..6 * size).map(|i| if size == 1 { i as u8 & 1 } else { (i as u8).wrapping_mul(7) }).collect();
        let order = if size == 1 { '|' } else { '<' };
        let good = file(1, &format!("'{order}{code}'"), false, "(2, 3)", &plain);
        assert_eq!(imported(dir.path(), &good), (dtype, vec![2, 3], plain.clone()), "{code}");
        text(dir.path(), &["export", "a.npk", "b.npy", "--overwrite"]);
        assert!(fs::read(dir.path().join("b.npy")).unwrap() == good, "{code}");
        // Numbers in the other byte order.
        let number = if code.starts_with('c') { size / 2 } else { size };
        let swapped: Vec<u8> = plain.chunks(number).flat_map(|n| n.iter().rev().copied()).collect();
        for version in 1..=3 {
            let big = file(version, &format!("\">{code}\""), false, "(2, 3)", &swapped);
            assert_eq!(imported(dir.path(), &big).2, plain, "{code} in version {version}");
        }
    }
    // To NumPy any byte but 0 is true.
    assert_eq!(imported(dir.path(), &file(1, "'|b1'", false, "(3,)", &[0, 1, 255])).2, [0, 1, 1]);
}

#[test]
fn every_shape_and_order() {
    let dir = tempfile::tempdir().unwrap();
    for (text, shape) in [("()", vec![]), ("(0,)", vec![0]), ("(0, 3)", vec![0, 3]), ("(3, 0)", vec![3, 0])] {
        let count = shape.iter().product::<u64>() as usize;
        let bytes = vec![5; count];
        for fortran in [false, true] {
            let found = imported(dir.path(), &file(1, "'|u1'", fortran, text, &bytes));
            assert_eq!(found, (DataType::Uint8, shape.clone(), bytes.clone()), "{text}");
        }
    }
    // Each element says where it belongs.
    let (a, b, c) = (5_u16, 3_u16, 4_u16);
    let all = (0..a).flat_map(|i| (0..b).flat_map(move |j| (0..c).map(move |k| i * 100 + j * 10 + k)));
    let in_c: Vec<u8> = all.flat_map(u16::to_le_bytes).collect();
    let all = (0..c).flat_map(|k| (0..b).flat_map(move |j| (0..a).map(move |i| i * 100 + j * 10 + k)));
    let in_fortran: Vec<u8> = all.flat_map(u16::to_le_bytes).collect();
    let found = imported(dir.path(), &file(1, "'<u2'", true, "(5, 3, 4)", &in_fortran));
    assert_eq!(found, (DataType::Uint16, vec![5, 3, 4], in_c.clone()));
    // In blocks of one row, and of two.
    for size in ["1", "200"] {
        let arguments = ["import", "a.npy", "a.npk", "--overwrite", "--chunk-size", size];
        text(dir.path(), &arguments);
        let store = Store::new(dir.path().join("a.npk")).unwrap();
        assert_eq!(store.get_array_view("a").unwrap().row_bytes(0..9).unwrap(), in_c);
        text(dir.path(), &["export", "a.npk", "b.npy", "--overwrite", "--chunk-size", size]);
        assert!(fs::read(dir.path().join("b.npy")).unwrap().ends_with(&in_c));
    }
}

#[test]
fn other_contents_are_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let good = file(1, "'<f4'", false, "(2, 3)", &[7; 24]);
    let pickled = file(1, "'|O'", false, "(1,)", b"\x80\x04");
    for (bytes, expected, word) in [
        (b"".to_vec(), 2, "not a .npy file"),
        (b"name,age\n".to_vec(), 2, "not a .npy file"),
        (pickled, 2, "dtype '|O'"),
        (file(1, "'<U7'", false, "(1,)", &[0; 28]), 2, "dtype '<U7'"),
        (file(1, "[('x', '<f4')]", false, "(1,)", &[0; 4]), 2, "dtype [('x', '<f4')]"),
        (file(9, "'<f4'", false, "(1,)", &[0; 4]), 2, "version 9"),
        (file(1, "'<f4'", false, "(2, 7)", &[7; 24]), 1, "24 bytes of data where 56 should be"),
        (file(1, "'<f4'", false, "'x'", &[]), 1, "cannot be read"),
        (good[..good.len() - 1].to_vec(), 1, "23 bytes of data where 24 should be"),
        (good[..20].to_vec(), 1, "ends in its header"),
    ] {
        fs::write(dir.path().join("a.npy"), bytes).unwrap();
        let told = refused(dir.path(), &["import", "a.npy", "a.npk"], expected);
        assert!(told.contains("a.npy") && told.contains(word), "{told}");
        assert_eq!(names(dir.path()), ["a.npy"]);
    }
    // More bytes than the header says are not the array's.
    fs::write(dir.path().join("a.npy"), [&good[..], b"more"].concat()).unwrap();
    assert_eq!(status(dir.path(), &["import", "a.npy", "a.npk"]), 0);
}
