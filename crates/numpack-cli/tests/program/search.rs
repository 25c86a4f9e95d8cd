//! `search`: queries from everywhere, tables and JSON, what cannot be asked.

use std::fs;
use std::path::Path;

use numpack::prelude::*;
use serde_json::{Value, json};

use super::npy::file;
use super::{json_of, on_terminal, refused, text};

/// `data.npk` with points on a line, one of them deleted, and sets.
fn points(dir: &Path) {
    let store = Store::new(dir.join("data.npk")).unwrap();
    let points: Vec<f32> = (0..100).flat_map(|i| [i as f32, 1.0]).collect();
    store.save_slice("points", &points, &[100, 2]).unwrap();
    store.drop_arrays("points", Some(&[3])).unwrap();
    store.save_slice("sets", &[0b1111_u8, 0, 0b1000, 0, 0, 0b1], &[3, 2]).unwrap();
    store.save_slice("flags", &[true, false, true, true], &[2, 2]).unwrap();
    store.save_slice("flat", &[1.0_f32], &[1]).unwrap();
}

fn rows(found: &Value, query: usize) -> Vec<(u64, f64)> {
    let hits = found["queries"][query]["hits"].as_array().unwrap();
    let ranks: Vec<u64> = hits.iter().map(|hit| hit["rank"].as_u64().unwrap()).collect();
    assert!(ranks.into_iter().eq(1..=hits.len() as u64));
    hits.iter().map(|hit| (hit["row"].as_u64().unwrap(), hit["score"].as_f64().unwrap())).collect()
}

#[test]
fn queries_come_from_text_rows_and_files() {
    let dir = tempfile::tempdir().unwrap();
    points(dir.path());
    let search = |arguments: &[&str]| json_of(dir.path(), &[&["search", "data.npk"], arguments].concat());
    // Deleted rows do not count: row 3 is the point 4.
    let found = search(&["points", "--query", "4.25, 1", "-k", "3", "--metric", "l2"]);
    assert_eq!(rows(&found, 0), [(3, 0.25), (4, 0.75), (5, 1.75)]);
    assert_eq!((&found["metric"], &found["k"], &found["array"]), (&json!("l2"), &json!(3), &json!("points")));
    let near = search(&["points", "--row", "3", "-k", "3", "--metric", "euclidean"]);
    assert_eq!(rows(&near, 0), [(3, 0.0), (4, 1.0), (2, 2.0)]);
    let last = search(&["points", "--row", "-1", "-k", "1", "--metric", "l2sq"]);
    assert_eq!(rows(&last, 0), [(98, 0.0)]);
    let negative = search(&["points", "--query", "-7,1", "-k", "1", "--metric", "l2"]);
    assert_eq!(rows(&negative, 0), [(0, 7.0)]);
    let some = search(&["points", "--query", "0 1", "-k", "2", "--metric", "l2", "--where", "-9::4"]);
    assert_eq!(rows(&some, 0).iter().map(|hit| hit.0).collect::<Vec<_>>(), [90, 94]);
    let queries: Vec<u8> = [10.0_f64, 1.0, 20.0, 1.0].iter().flat_map(|n| n.to_be_bytes()).collect();
    fs::write(dir.path().join("q.npy"), file(1, "'>f8'", false, "(2, 2)", &queries)).unwrap();
    let found = search(&["points", "--query-file", "q.npy", "-k", "1", "--metric", "l2"]);
    assert_eq!((rows(&found, 0), rows(&found, 1)), (vec![(9, 0.0)], vec![(19, 0.0)]));
    assert_eq!(found["queries"][1]["query"], 1);
    // Fewer rows than asked for, and none.
    assert_eq!(rows(&search(&["points", "--row", "0", "--where", "5:8"]), 0).len(), 3);
    assert_eq!(rows(&search(&["points", "--row", "0", "-k", "0"]), 0).len(), 0);
}

#[test]
fn sets_are_written_as_whole_numbers() {
    let dir = tempfile::tempdir().unwrap();
    points(dir.path());
    let search = |arguments: &[&str]| json_of(dir.path(), &[&["search", "data.npk"], arguments].concat());
    let found = search(&["sets", "--query", "15,0", "--metric", "hamming"]);
    assert_eq!(rows(&found, 0), [(0, 0.0), (1, 3.0), (2, 5.0)]);
    let found = search(&["flags", "--query", "1,1", "--metric", "hamming"]);
    assert_eq!(rows(&found, 0), [(1, 0.0), (0, 1.0)]);
    let found = search(&["sets", "--query", "0.5,0", "--metric", "dot", "-k", "1"]);
    assert_eq!(rows(&found, 0), [(0, 7.5)]);
    for (query, word) in [("300,0", "300"), ("0.5,0", "0.5")] {
        let arguments = ["search", "data.npk", "sets", "--query", query, "--metric", "jaccard"];
        assert!(refused(dir.path(), &arguments, 2).contains(word));
    }
    let arguments = ["search", "data.npk", "flags", "--query", "2,0", "--metric", "jaccard"];
    assert!(refused(dir.path(), &arguments, 2).contains("neither 0 nor 1"));
}

#[test]
fn tables_fit_where_they_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    points(dir.path());
    let arguments = ["search", "data.npk", "points", "--row", "0", "-k", "2", "--metric", "l2"];
    assert_eq!(text(dir.path(), &arguments), "RANK  ROW  SCORE\n1       0    0.0\n2       1    1.0\n");
    let queries = file(1, "'|i1'", false, "(2, 2)", &[0, 1, 7, 1]);
    fs::write(dir.path().join("q.npy"), queries).unwrap();
    let several = ["search", "data.npk", "points", "--query-file", "q.npy", "-k", "1", "--metric", "l2"];
    assert_eq!(
        text(dir.path(), &several),
        "query 0\nRANK  ROW  SCORE\n1       0    0.0\n\nquery 1\nRANK  ROW  SCORE\n1       6    0.0\n"
    );
    for columns in [12, 40] {
        let shown = on_terminal(dir.path(), columns, &["search", "data.npk", "points", "--row", "7"]);
        assert!(shown.lines().all(|line| line.chars().count() <= usize::from(columns)), "{shown}");
    }
    // NaN has no number in JSON.
    let store = Store::new(dir.path().join("nan.npk")).unwrap();
    store.save_slice("v", &[f32::NAN, 0.0], &[1, 2]).unwrap();
    let found = json_of(dir.path(), &["search", "nan.npk", "v", "--query", "1,1", "--metric", "dot"]);
    assert_eq!(found["queries"][0]["hits"][0]["score"], "nan");
}

#[test]
fn what_cannot_be_asked() {
    let dir = tempfile::tempdir().unwrap();
    points(dir.path());
    fs::write(dir.path().join("cube.npy"), file(1, "'|i1'", false, "(1, 1, 2)", &[0, 1])).unwrap();
    for (arguments, word) in [
        (&["points"][..], "--query"),
        (&["points", "--row", "0", "--query", "1"], "--query"),
        (&["missing", "--row", "0"], "missing"),
        (&["points", "--row", "99"], "99"),
        (&["points", "--row", "-100"], "-100"),
        (&["points", "--query", "1,2,3"], "3"),
        (&["points", "--query", ""], "0"),
        (&["points", "--query", "1,x"], "\"x\""),
        (&["points", "--row", "0", "--metric", "nearness"], "nearness"),
        (&["points", "--row", "0", "--metric", "jaccard"], "jaccard"),
        (&["points", "--row", "0", "-k", "-1"], "-1"),
        (&["points", "--row", "0", "--where", "1"], "START:STOP"),
        (&["points", "--row", "0", "--where", "::0"], "0"),
        (&["points", "--query-file", "missing.npy"], "missing.npy"),
        (&["points", "--query-file", "cube.npy"], "[1, 1, 2]"),
        (&["points", "--query-file", "data.npk/metadata.npkm"], "not a .npy file"),
        (&["flat", "--row", "0"], "two dimensions"),
        (&["flat", "--query", "1"], "two dimensions"),
    ] {
        let told = refused(dir.path(), &[&["search", "data.npk"], arguments].concat(), 2);
        assert!(told.contains(word), "{arguments:?}: {told}");
    }
}
