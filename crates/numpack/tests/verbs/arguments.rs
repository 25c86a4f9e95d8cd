//! Arguments that no store can accept: an error that names their values, and a store as before.

use std::collections::BTreeMap;
use std::path::PathBuf;

use numpack::prelude::*;

use crate::refused::{array, refused, tree};

#[test]
#[expect(clippy::too_many_lines, reason = "a list of arguments")]
fn bad_arguments_are_named_and_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &[1i32, 2, 3, 4, 5, 6], &[3, 2]).unwrap();
    store.save_slice("scalar", &[1i32], &[]).unwrap();
    store.save_slice("empty", &[0i32; 0], &[0, 2]).unwrap();
    let before = tree(&path);

    let dtype: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidDtype { .. });
    let types = ["\"a\"", "int32", "float32"];
    refused(store.load_array::<f32>("a"), dtype, &types);
    refused(store.load_vec::<f32>("a"), dtype, &types);
    refused(store.getitem::<f32>("a", &[0]), dtype, &types);
    refused(store.stream_load::<f32>("a", 1), dtype, &types);
    refused(store.get_array_view("a").unwrap().to_array::<f32>(), dtype, &types);
    refused(store.append_rows("a", &array(&[1, 2], 0f32)), dtype, &types);
    refused(store.replace_rows("a", &array(&[1, 2], 0f32), &[0]), dtype, &types);
    refused(store.save_arrays(&[("a".into(), array(&[1], 0i32), DataType::Float32)]), dtype, &types);

    let shape: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidShape { .. });
    refused(store.append_rows("a", &array(&[1, 3], 0i32)), shape, &["\"a\"", "(.., 2)", "(1, 3)"]);
    refused(store.append_rows("a", &array(&[2], 0i32)), shape, &["\"a\"", "(2,)"]);
    refused(store.append_rows("a", &array(&[], 0i32)), shape, &["\"a\"", "()"]);
    refused(store.append_slice("a", &[1i32, 2, 3]), shape, &["\"a\"", "(3,)"]);
    refused(store.replace_rows("a", &array(&[1, 3], 0i32), &[0]), shape, &["\"a\"", "(.., 2)", "(1, 3)"]);
    refused(store.replace_rows("a", &array(&[2, 2], 0i32), &[0]), shape, &["\"a\"", "1 rows", "(2, 2)"]);
    refused(store.save_slice("a", &[1i32, 2], &[3]), shape, &["\"a\"", "(3,)"]);
    refused(store.save_slice("a", &[1i32], &[u64::MAX, u64::MAX]), shape, &["\"a\"", "18446744073709551615"]);
    refused(store.save_slice("a", &[0i32; 0], &[1 << 62, 0]), shape, &["\"a\"", "4611686018427387904"]);
    refused(store.save_slice("a", &[1u8], &[1; 256]), shape, &["\"a\""]);
    refused(store.getitem::<i32>("scalar", &[0]), shape, &["\"scalar\""]);
    refused(store.drop_arrays("scalar", Some(&[0])), shape, &["\"scalar\""]);
    refused(store.append_rows("scalar", &array(&[1], 0i32)), shape, &["\"scalar\""]);

    let bounds: fn(&NpkError) -> bool = |e| matches!(e, NpkError::IndexOutOfBounds { .. });
    for index in [3, -4, i64::MIN, i64::MAX, i64::MIN + 1, 1 << 32, 1 << 48] {
        let text = index.to_string();
        let values = [text.as_str(), "3 rows"];
        refused(store.getitem::<i32>("a", &[0, index]), bounds, &values);
        refused(store.read_rows("a", &[index]), bounds, &values);
        refused(store.replace_rows("a", &array(&[2, 2], 0i32), &[0, index]), bounds, &values);
        refused(store.drop_arrays("a", Some(&[0, index])), bounds, &values);
        refused(store.get_array_view("a").unwrap().gather::<i32>(&[index]), bounds, &values);
    }
    refused(store.getitem::<i32>("empty", &[0]), bounds, &["index 0", "0 rows"]);
    refused(store.getitem::<i32>("empty", &[-1]), bounds, &["index -1", "0 rows"]);
    refused(store.get_array_view("a").unwrap().rows::<i32>(2..5), bounds, &["5", "3 rows"]);
    refused(store.get_array_view("a").unwrap().rows::<i32>(0..u64::MAX), bounds, &["3 rows"]);

    let unknown: fn(&NpkError) -> bool = |e| matches!(e, NpkError::ArrayNotFound(_));
    let name = ["\"b\""];
    refused(store.load_array::<i32>("b"), unknown, &name);
    refused(store.getitem::<i32>("b", &[0]), unknown, &name);
    refused(store.stream_load::<i32>("b", 1), unknown, &name);
    refused(store.get_array_view("b"), unknown, &name);
    refused(store.get_shape("b"), unknown, &name);
    refused(store.get_array_metadata("b"), unknown, &name);
    refused(store.append_rows("b", &array(&[1, 2], 0i32)), unknown, &name);
    refused(store.replace_rows("b", &array(&[1, 2], 0i32), &[0]), unknown, &name);
    refused(store.drop_arrays("b", None), unknown, &name);
    refused(store.drop_arrays("b", Some(&[0])), unknown, &name);
    refused(store.drop_many(&["a", "b"]), unknown, &name);
    refused(store.compact_array("b"), unknown, &name);
    refused(store.clone_array("b", "c"), unknown, &name);
    assert_eq!(store.get_modify_time("b"), None);

    refused(store.clone_array("a", "empty"), |e| matches!(e, NpkError::ArrayExists(_)), &["\"empty\""]);
    refused(store.clone_array("a", "a"), |e| matches!(e, NpkError::ArrayExists(_)), &["\"a\""]);
    let argument: fn(&NpkError) -> bool = |e| matches!(e, NpkError::InvalidArgument { .. });
    refused(store.stream_load::<i32>("a", 0), argument, &["rows", "0"]);
    refused(store.drop_many(&["a", "a"]), argument, &["\"a\""]);
    let rows = array(&[1, 2], 0i32);
    refused(store.append_many(&[("a", &rows), ("a", &rows)]), argument, &["\"a\""]);
    refused(
        store.replace_many(&[("a", &rows, (&[0]).into()), ("a", &rows, (&[1]).into())]),
        argument,
        &["\"a\""],
    );
    let twice = [("a".into(), rows.clone(), DataType::Int32), ("a".into(), rows.clone(), DataType::Int32)];
    refused(store.save_arrays(&twice), argument, &["\"a\""]);
    // One bad part refuses the whole call.
    refused(store.append_many(&[("a", &rows), ("b", &rows)]), unknown, &name);
    refused(
        store.replace_many(&[("a", &rows, (&[0]).into()), ("empty", &rows, (&[0]).into())]),
        bounds,
        &["0 rows"],
    );

    let files = |tree: &BTreeMap<PathBuf, Option<Vec<u8>>>| {
        // The control page counts attempts of writers; the log and the rows are the store.
        tree.clone().into_iter().filter(|(path, _)| !path.ends_with("control.npkc")).collect::<Vec<_>>()
    };
    assert!(files(&tree(&path)) == files(&before));
    assert_eq!(store.load_vec::<i32>("a").unwrap(), (vec![3, 2], vec![1, 2, 3, 4, 5, 6]));
}
