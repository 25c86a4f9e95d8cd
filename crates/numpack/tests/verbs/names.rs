//! Names of arrays: any text that is no path, hidden ones, and those of columns, which follow their array.

use std::fs;

use numpack::prelude::*;
use numpack::{HIDDEN_PREFIX, RawArray};

use crate::refused::tree;

#[test]
#[expect(clippy::too_many_lines, reason = "a list of names")]
fn names_are_not_paths() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "stays").unwrap();
    let path = dir.path().join("store");
    let absolute = dir.path().join("abs").to_str().unwrap().to_owned();
    let names = [
        "../x",
        "../../x",
        "/abs",
        absolute.as_str(),
        "a/b",
        "a\\b",
        ".",
        "..",
        "...",
        "~",
        "-",
        " ",
        "a ",
        " a",
        "metadata.npkm",
        "control.npkc",
        "writer.lock",
        "1.1.npkd",
        "0.1.npkd",
        "CON",
        "a:b",
        "line\nbreak",
        "tab\t",
        "\u{7f}\u{1b}[0m",
        "A",
        "a",
        "Ä",
        "ä",
        "\u{e9}",
        "e\u{301}",
        "\u{fb01}",
        "fi",
        "日本語",
        "🦀",
        "\u{202e}rtl",
        "\u{feff}a",
        "%2e%2e",
        "*",
        "?",
        "\"",
        "'",
        "{}",
    ];
    let long = "é".repeat(512);
    let names: Vec<&str> = names.into_iter().chain([long.as_str()]).collect();
    {
        let store = Store::new(&path).unwrap();
        for (i, name) in names.iter().enumerate() {
            store.save_slice(name, &[i as u64, 7], &[2]).unwrap();
        }
        for name in ["x".repeat(1025), "é".repeat(512) + "x", String::new(), "a\0b".into(), "\0".into()] {
            for error in [
                store.save_slice(&name, &[1u8], &[1]).unwrap_err(),
                store.clone_array("a", &name).unwrap_err(),
            ] {
                assert!(matches!(&error, NpkError::InvalidName { name: n, .. } if *n == name), "{error}");
                assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
            }
            assert!(!store.has_array(&name));
        }
        store.clone_array("..", "../clone").unwrap();
        store.drop_arrays("../clone", None).unwrap();
    }
    let store = Store::new(&path).unwrap();
    assert_eq!(store.list_arrays(), names);
    for (i, name) in names.iter().enumerate() {
        assert_eq!(store.load_vec::<u64>(name).unwrap().1, [i as u64, 7], "{name:?}");
    }
    let outside: Vec<_> = tree(dir.path()).into_keys().filter(|p| !p.starts_with(&path)).collect();
    assert_eq!(outside, [dir.path().join("x")]);
    assert_eq!(fs::read(dir.path().join("x")).unwrap(), b"stays");
    for file in tree(&path).into_keys() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(numpack::disk::FileName::parse(name).is_some(), "{name:?}");
        assert_eq!(file.parent(), Some(path.as_path()));
    }
}

#[test]
fn hidden_arrays_are_listed_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    let hidden = format!("{HIDDEN_PREFIX}columns/a");
    store.save_slice("a", &[1_u8], &[1]).unwrap();
    store.save_slice(&hidden, &[2_u8], &[1]).unwrap();
    assert_eq!(store.list_arrays(), ["a"]);
    assert_eq!(store.list_all_arrays(), ["a", hidden.as_str()]);
    assert!(store.has_array(&hidden));
    assert_eq!(store.metadata().unwrap().iter().filter(|array| array.is_hidden()).count(), 1);
    store.reset().unwrap();
    assert!(store.list_all_arrays().is_empty());
}

fn store(dir: &tempfile::TempDir) -> Store {
    Store::new(dir.path().join("data.npk")).unwrap()
}

fn save(store: &Store, names: &[&str], value: u8, rows: usize) {
    let (bytes, shape) = (vec![value; rows], [rows as u64]);
    let raw = |name| RawArray { name, dtype: DataType::Uint8, shape: &shape, bytes: &bytes };
    store.save_raw(&names.iter().copied().map(raw).collect::<Vec<_>>()).unwrap();
}

#[test]
fn names_of_columns_go_where_their_array_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir);
    let columns = |name: &str| format!(".numpack/columns/{name}");
    save(&store, &["a", &columns("a"), "b", &columns("b"), "plain"], 1, 1);
    store.rename_array("a", "c").unwrap();
    assert!(store.has_array(&columns("c")) && !store.has_array(&columns("a")));
    store.rename_many(&[("c", "b")], true).unwrap();
    let mut names = store.list_all_arrays();
    names.sort();
    assert_eq!(names, [columns("b").as_str(), "b", "plain"]);
    store.rename_many(&[("plain", "b")], true).unwrap();
    assert_eq!(store.list_all_arrays(), ["b"]);
    save(&store, &[&columns("b")], 1, 1);
    store.drop_many(&["b", &columns("b")]).unwrap();
    save(&store, &["b", &columns("b")], 1, 1);
    store.drop_many(&["b"]).unwrap();
    assert!(store.list_all_arrays().is_empty());
}
