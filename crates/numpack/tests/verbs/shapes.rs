//! Arrays of every number of dimensions, those without elements among them.

use numpack::prelude::*;
use numpack::{RawArray, RawRows};

#[test]
fn every_dtype_and_many_shapes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("s")).unwrap();
    let shapes: [&[u64]; 8] =
        [&[], &[0], &[3], &[0, 4], &[4, 0], &[2, 3, 4], &[1; 8], &[2, 1, 2, 1, 2, 1, 2, 1]];
    for (i, shape) in shapes.iter().enumerate() {
        let n: u64 = shape.iter().product();
        let values: Vec<i64> = (0..n as i64).collect();
        let name = format!("a{i}");
        store.save_slice(&name, &values, shape).unwrap();
        let (got_shape, got) = store.load_vec::<i64>(&name).unwrap();
        assert_eq!((got_shape.as_slice(), got), (*shape, values));
    }
    let wrong = store.load_array::<f32>("a2").unwrap_err();
    assert!(matches!(
        wrong,
        NpkError::InvalidDtype { expected: DataType::Int64, found: DataType::Float32, .. }
    ));
}

#[test]
fn rows_of_no_elements_may_be_many() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    store.save_slice::<i32>("a", &[], &[1 << 40, 1 << 40, 0]).unwrap();
    assert_eq!(store.load_vec::<i32>("a").unwrap(), (vec![1 << 40, 1 << 40, 0], vec![]));
    assert!(store.read_rows("a", &[0, -1]).unwrap().is_empty());
    store.save_slice::<i32>("b", &[], &[1 << 47, 0]).unwrap();
    store.drop_arrays("b", Some(&[0, -1, 0])).unwrap();
    assert_eq!(store.get_shape("b").unwrap(), [(1 << 47) - 2, 0]);
    let shape = |selection| store.getitem::<i32>("b", selection).unwrap().shape()[0] as u64;
    assert_eq!(shape(Selection::from(1..)), (1 << 47) - 3);
    assert_eq!(shape(Selection::Slice { start: Some(-1), stop: None, step: Some(-2) }), (1 << 46) - 1);
    let all = RawArray { name: "b", dtype: DataType::Int32, shape: &[(1 << 47) - 2, 0], bytes: &[] };
    store.replace_raw(&[RawRows { rows: all, selection: Selection::All }]).unwrap();
    store.drop_rows("b", 3..9).unwrap();
    assert_eq!(store.get_shape("b").unwrap(), [(1 << 47) - 8, 0]);
}
