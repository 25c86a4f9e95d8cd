//! The main job once through: every verb on one small store, reopened in between.

use numpack::ndarray::{Array2, ArrayD};
use numpack::prelude::*;

fn rows(n: usize, first: usize) -> ArrayD<f32> {
    Array2::from_shape_fn((n, 10), |(r, c)| ((first + r) * 10 + c) as f32).into_dyn()
}

#[test]
fn every_verb_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npk");
    let store = Store::new(&path).unwrap();
    store.save_arrays(&[("a".to_string(), rows(1000, 0), DataType::Float32)]).unwrap();
    store.append_rows("a", &rows(100, 1000)).unwrap();
    assert_eq!(store.load_array::<f32>("a").unwrap(), rows(1100, 0));
    store.replace_rows("a", &rows(2, 5000), &[3, -1]).unwrap();
    let got = store.getitem::<f32>("a", &[3, -1, 0, 3]).unwrap();
    assert_eq!(got.shape(), &[4, 10]);
    assert_eq!(got[[0, 0]], 50_000.0);
    assert_eq!(got[[1, 0]], 50_010.0);
    store.drop_arrays("a", Some(&[0, 1, -1])).unwrap();
    assert_eq!(store.get_shape("a").unwrap(), vec![1097, 10]);
    drop(store);
    let store = Store::new(&path).unwrap();
    assert_eq!(store.get_shape("a").unwrap(), vec![1097, 10]);
    assert_eq!(store.getitem::<f32>("a", &[1]).unwrap()[[0, 0]], 50_000.0);
    let view = store.get_array_view("a").unwrap();
    let before = view.to_array::<f32>().unwrap();
    store.compact_array("a").unwrap();
    assert_eq!(store.load_array::<f32>("a").unwrap(), before);
    assert_eq!(view.to_array::<f32>().unwrap(), before);
    store.clone_array("a", "b").unwrap();
    let streamed: usize = store.stream_load::<f32>("b", 100).unwrap().map(|b| b.unwrap().shape()[0]).sum();
    assert_eq!(streamed, 1097);
    assert_eq!(store.list_arrays(), ["a", "b"]);
    store.sync_metadata().unwrap();
    assert!(store.verify().unwrap().findings.is_empty(), "{:?}", store.verify());
    store.drop_arrays("a", None).unwrap();
    assert!(matches!(store.get_shape("a"), Err(NpkError::ArrayNotFound(_))));
    store.reset().unwrap();
    assert!(store.list_arrays().is_empty());
}

#[test]
fn another_instance_in_another_core_sees_commits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data.npk");
    let writer = Store::new(&path).unwrap();
    let reader = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
    for n in 1..50 {
        writer.save_arrays(&[("a".to_string(), rows(n, n), DataType::Float32)]).unwrap();
        writer.replace_rows("a", &rows(1, 7), &[0]).unwrap();
        let got = reader.load_array::<f32>("a").unwrap();
        assert_eq!(got.shape(), &[n, 10]);
        assert_eq!(got[[0, 0]], 70.0);
    }
}
