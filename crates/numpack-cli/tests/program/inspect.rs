//! Looking into stores: their arrays, rows and figures.

use serde_json::{Value, json};

use super::{example, json_of, run, status, text};

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
