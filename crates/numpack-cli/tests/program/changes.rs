//! Commands that change a store in one call, and what the program counts.

use numpack::prelude::*;
use serde_json::json;

use super::{example, json_of, run, status, text};

fn told(dir: &std::path::Path, arguments: &[&str]) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn arrays_are_dropped_renamed_and_cloned() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    assert_eq!(
        text(dir.path(), &["clone", "data.npk", "numbers", "copy"]),
        "data.npk: copy is a copy of numbers\n"
    );
    assert_eq!(store.load_array::<f32>("copy").unwrap(), store.load_array::<f32>("numbers").unwrap());
    assert_eq!(text(dir.path(), &["rename", "data.npk", "copy", "a/b"]), "data.npk: copy is a/b now\n");
    assert!(store.has_array("a/b") && !store.has_array("copy"));
    for call in [&["clone", "data.npk", "numbers", "a/b"][..], &["rename", "data.npk", "numbers", "a/b"]] {
        assert!(told(dir.path(), call).contains("\"a/b\" already exists in data.npk: "), "{call:?}");
    }
    assert_eq!(status(dir.path(), &["rename", "data.npk", "special", "a/b", "--overwrite"]), 0);
    assert_eq!(store.get_shape("a/b").unwrap(), [4]);
    for call in [&["clone", "data.npk", "numbers", ".numpack/x"][..], &["rename", "data.npk", "numbers", ""]]
    {
        assert!(told(dir.path(), call).contains("invalid array name"), "{call:?}");
    }
    let rows = json_of(dir.path(), &["drop", "data.npk", "numbers", "--rows", "-3:"]);
    assert_eq!(rows, json!({ "array": "numbers", "deleted_rows": 3, "store": "data.npk" }));
    assert_eq!(store.get_shape("numbers").unwrap(), [495, 2]);
    assert_eq!(
        text(dir.path(), &["drop", "data.npk", "numbers", "--rows", "0:1"]),
        "data.npk: 1 row of numbers deleted\n"
    );
    assert_eq!(text(dir.path(), &["drop", "data.npk", "numbers", "a/b"]), "data.npk: 2 arrays dropped\n");
    assert!(!store.has_array("numbers") && !store.has_array("a/b"));
    assert!(told(dir.path(), &["drop", "data.npk", "scalar", "none", "--rows", ":"]).contains("2 are named"));
    let before = store.list_arrays();
    assert!(told(dir.path(), &["drop", "data.npk", "scalar", "missing"]).contains("\"missing\" not found"));
    assert_eq!(store.list_arrays(), before);
    assert_eq!(json_of(dir.path(), &["sync", "data.npk"]), json!({ "store": "data.npk", "synced": true }));
    for command in [&["drop", "none.npk", "x"][..], &["sync", "none.npk"], &["clone", "none.npk", "a", "b"]] {
        assert_eq!(status(dir.path(), command), 2);
        assert!(!dir.path().join("none.npk").exists());
    }
}

#[test]
fn rows_of_a_file_are_appended() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    store.drop_arrays("special", Some(&[0])).unwrap();
    for (name, file) in [("numbers", "n.npy"), ("special", "s.npy"), ("scalar", "0.npy")] {
        assert_eq!(status(dir.path(), &["export", "data.npk", file, name]), 0);
    }
    let told_it = text(dir.path(), &["append", "data.npk", "numbers", "n.npy"]);
    assert_eq!(told_it, "data.npk: 498 rows appended to numbers\n");
    let all = store.load_array::<f32>("numbers").unwrap();
    assert_eq!(all.shape(), [996, 2]);
    assert_eq!((all[[498, 0]], all[[995, 1]]), (all[[0, 0]], 499.5));
    assert_eq!(
        json_of(dir.path(), &["append", "data.npk", "special", "s.npy"]),
        json!({ "array": "special", "appended_rows": 3, "store": "data.npk" })
    );
    for (name, file, why) in [
        ("numbers", "s.npy", "float64 (3,) does not fit array \"numbers\", which is float32 (996, 2)"),
        ("special", "0.npy", "holds a scalar and no rows"),
        ("scalar", "s.npy", "does not fit"),
        ("missing", "s.npy", "\"missing\" not found"),
        ("numbers", "none.npy", "none.npy"),
    ] {
        assert!(told(dir.path(), &["append", "data.npk", name, file]).contains(why), "{name} {file}");
    }
    assert_eq!(store.get_shape("numbers").unwrap(), [996, 2]);
    assert_eq!(status(dir.path(), &["append", "none.npk", "a", "s.npy"]), 2);
    assert!(!dir.path().join("none.npk").exists());
}

#[test]
fn hidden_arrays_are_not_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    store.save_slice("a", &[1.0_f32, 2.0], &[2]).unwrap();
    store.save_slice(".numpack/columns/a", b"x", &[1]).unwrap();
    assert!(text(dir.path(), &["pack", "data.npk"]).starts_with("data.npkg: 1 array, "));
    let copy = text(dir.path(), &["unpack", "data.npkg", "copy.npk"]);
    assert!(copy.contains("copy.npk: 1 array, "), "{copy}");
    assert_eq!(json_of(dir.path(), &["unpack", "data.npkg", "other.npk"])["arrays"], 1);
    assert_eq!(json_of(dir.path(), &["pack", "data.npk", "b.npkg"])["arrays"], 1);
    assert!(text(dir.path(), &["info", "data.npkg"]).starts_with("arrays    1 and 1 hidden\n"));
    assert!(text(dir.path(), &["info", "data.npk"]).starts_with("arrays   1 and 1 hidden\n"));
}

#[test]
fn packages_are_listed_as_their_stores_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = example(dir.path());
    store.save_slice(".numpack/columns/a", b"x", &[1]).unwrap();
    assert_eq!(status(dir.path(), &["pack", "data.npk"]), 0);
    assert_eq!(json_of(dir.path(), &["ls", "data.npkg"])["arrays"].as_array().unwrap().len(), 6);
    for more in [&[][..], &["--all"]] {
        let of = |path| text(dir.path(), &[&["ls", path], more].concat());
        let lines = |path| {
            let listed: String = of(path);
            let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
            // A package has its arrays by name, a store by age.
            lines.sort();
            lines
        };
        assert_eq!(lines("data.npkg"), lines("data.npk"));
    }
}

#[test]
fn a_package_is_a_file_on_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    example(dir.path());
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    for (target, why) in [
        ("s3://bucket/data.npkg", "a file on a disk"),
        ("https://host/data.npkg", "a file on a disk"),
        ("new/", "it is a folder"),
        ("folder", "it is a folder"),
    ] {
        assert!(told(dir.path(), &["pack", "data.npk", target]).contains(why), "{target}");
    }
    let left = |name: &str| dir.path().join(name).exists();
    assert!(!left("s3:") && !left("https:") && !left("new") && !left("data.npkg"));
}

#[test]
fn long_rows_are_shortened() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    let values: Vec<u16> = (0..40_000).map(|value| value % 10_000).collect();
    store.save_slice("wide", &values, &[4, 10_000]).unwrap();
    store.save_slice("deep", &values, &[1, 200, 200]).unwrap();
    let wide = text(dir.path(), &["head", "data.npk", "wide"]);
    assert_eq!(wide.lines().count(), 5);
    assert!(wide.contains("498 499 ... 9500 9501") && wide.len() < 30_000);
    let deep = text(dir.path(), &["head", "data.npk", "deep"]);
    assert!(deep.contains("[[0 1 2 ... 197 198 199] [200 201 202 ...") && deep.len() < 500, "{deep}");
    for name in ["wide", "deep"] {
        let full = text(dir.path(), &["head", "data.npk", name, "--full"]);
        assert!(!full.contains("...") && full.split_whitespace().count() > 40_000);
    }
    store.save_slice("long", &vec![7_u8; 5_000_000], &[5_000_000]).unwrap();
    assert_eq!(text(dir.path(), &["head", "data.npk", "long", "-n", "4500000"]).lines().count(), 4_500_001);
}

#[test]
fn stats_of_what_numpy_computes_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("data.npk")).unwrap();
    store.save_slice("x", &[4.0_f64, 1.0, 3.0, 2.0, f64::NAN, 5.0, 9.0], &[7]).unwrap();
    store.save_slice("far", &[9_007_199_254_740_993_i64, -5, i64::MAX, 9_007_199_254_740_995], &[4]).unwrap();
    store.save_slice("large", &[1e200_f64, -1e200], &[2]).unwrap();
    store.save_slice("same", &[7_u8; 5], &[5]).unwrap();
    store.save_slice("none", &[0.0_f32; 0], &[0]).unwrap();
    let of = |name| json_of(dir.path(), &["stats", "data.npk", name, "--bins", "2"])["arrays"][0].clone();
    let x = of("x");
    assert_eq!((&x["mean"], &x["nan"], &x["quartiles"]), (&json!(4.0), &json!(1), &json!([2.0, 3.0, 4.0])));
    assert!((x["std"].as_f64().unwrap() - (40.0_f64 / 6.0).sqrt()).abs() < 1e-12);
    assert_eq!(of("far")["quartiles"][1], json!(9_007_199_254_740_993_i64));
    assert_eq!(of("large")["std"], json!(1e200));
    assert_eq!((&of("none")["std"], &of("none")["quartiles"]), (&json!(null), &json!([])));
    let same = text(dir.path(), &["stats", "data.npk", "same"]);
    assert_eq!(same, "same: uint8 (5,), each element is 7\n\n");
    let shown = text(dir.path(), &["stats", "data.npk", "x", "--bins", "2"]);
    assert!(shown.contains("  25 %  2.0\n") && shown.contains("  std   2.5819"), "{shown}");
    assert!(shown.contains("  1 to 5 ") && shown.contains("  5 to 9 "), "{shown}");
}
