//! Several arrays in one call are one commit.

use numpack::prelude::*;
use numpack::{RawArray, ndarray};

use crate::folder::scratch;
use crate::values::values;

#[test]
fn saves_and_removals_are_one_commit() {
    let dir = scratch();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 4), &[4]).unwrap();
    store.save_slice("b", &values(0, 4), &[4]).unwrap();
    let bytes: Vec<u8> = values(7, 4).iter().flat_map(|value| value.to_le_bytes()).collect();
    let new = |name| RawArray { name, dtype: DataType::Float32, shape: &[4], bytes: &bytes };
    let refused = store.exchange(&[new("c")], &["a", "nobody"]);
    assert!(matches!(refused, Err(NpkError::ArrayNotFound(_))));
    assert!(matches!(store.exchange(&[new("a")], &["a"]), Err(NpkError::InvalidArgument { .. })));
    assert_eq!(store.list_arrays(), ["a", "b"], "refused calls change nothing");
    store.exchange(&[new("c"), new("b")], &["a"]).unwrap();
    assert_eq!(store.list_arrays(), ["b", "c"]);
    assert_eq!(store.load_vec::<f32>("b").unwrap().1, values(7, 4));
    store.exchange(&[], &["b"]).unwrap();
    assert_eq!(store.list_arrays(), ["c"]);
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn rows_of_several_arrays_go_in_one_commit() {
    let dir = scratch();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 4), &[4]).unwrap();
    store.save_slice("b", &values(0, 4), &[4]).unwrap();
    assert!(store.drop_rows_many(&[("a", Selection::from(..1)), ("b", Selection::List(&[4]))]).is_err());
    assert_eq!(store.get_shape("a").unwrap(), [4], "refused calls change nothing");
    store.drop_rows_many(&[("a", Selection::from(..1)), ("b", Selection::List(&[1, -1]))]).unwrap();
    assert_eq!((store.get_shape("a").unwrap(), store.get_shape("b").unwrap()), (vec![3], vec![2]));
}

#[test]
fn arrays_of_several_types_are_one_commit() {
    let dir = scratch();
    let store = Store::new(dir.path().join("s")).unwrap();
    let numbers = ndarray::Array2::from_shape_fn((5, 3), |(row, column)| (row * 3 + column) as f32);
    let (flags, scalar) = (ndarray::arr1(&[true, false]), ndarray::arr0(7_u64));
    let empty = ndarray::Array2::<i16>::zeros((0, 4));
    let every_other = numbers.slice(ndarray::s![..;2, ..]);
    store
        .save(&[
            ("numbers", (&numbers).into()),
            ("turned", (&numbers.t()).into()),
            ("picked", (&every_other).into()),
            ("flags", (&flags).into()),
            ("scalar", (&scalar).into()),
            ("empty", (&empty).into()),
        ])
        .unwrap();
    assert_eq!(store.load_array::<f32>("numbers").unwrap(), numbers.clone().into_dyn());
    assert_eq!(store.load_array::<f32>("turned").unwrap(), numbers.t().into_owned().into_dyn());
    assert_eq!(store.load_array::<f32>("picked").unwrap(), every_other.into_owned().into_dyn());
    assert_eq!(store.load_array::<bool>("flags").unwrap(), flags.clone().into_dyn());
    assert_eq!(store.load_array::<u64>("scalar").unwrap(), scalar.into_dyn());
    assert_eq!(store.get_shape("empty").unwrap(), [0, 4]);
    let times: Vec<u64> = store.metadata().unwrap().iter().map(|array| array.last_modified).collect();
    assert!(times.iter().all(|&time| time == times[0]), "{times:?}");
    let before = store.list_arrays();
    let twice = store.save(&[("new", (&flags).into()), ("new", (&numbers).into())]);
    assert!(matches!(twice, Err(NpkError::InvalidArgument { .. })), "{twice:?}");
    assert_eq!(store.list_arrays(), before);
}
