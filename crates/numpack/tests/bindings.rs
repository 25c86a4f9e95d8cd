//! What bindings use: memory of the caller, untyped streams, writable views, several arrays in one commit.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;

use common::disk::{Call, Disk, Rule, Verdict};
use common::scene::{temp_dir, values};
use numpack::prelude::*;
use numpack::{RawArray, WritableView};

#[expect(dead_code, reason = "shared with the fault tests, which use all of it")]
mod common;

/// A disk that works.
#[derive(Debug)]
struct Sound;

impl Rule for Sound {
    fn ask(&self, _call: &Call<'_>) -> Verdict {
        Verdict::Do
    }
}

fn in_another_boot(path: &Path) -> Store {
    Store::open_folder(Disk::new(path, Arc::new(Sound), Some(9)), OpenOptions::new()).unwrap()
}

/// Memory of a caller.
struct Buffer(Vec<MaybeUninit<u8>>);

impl Buffer {
    fn new(dtype: DataType, shape: &[u64]) -> NpkResult<Buffer> {
        let bytes = shape.iter().product::<u64>() as usize * dtype.size_bytes();
        Ok(Buffer(vec![MaybeUninit::new(0xee); bytes]))
    }

    #[expect(unsafe_code, reason = "every byte was initialised above")]
    fn floats(&self) -> Vec<f32> {
        let byte = |at: usize| -> u8 {
            // SAFETY: `new` initialises every byte.
            unsafe { self.0[at].assume_init() }
        };
        (0..self.0.len() / 4)
            .map(|i| f32::from_le_bytes([byte(4 * i), byte(4 * i + 1), byte(4 * i + 2), byte(4 * i + 3)]))
            .collect()
    }
}

impl AsMut<[MaybeUninit<u8>]> for Buffer {
    fn as_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        &mut self.0
    }
}

#[test]
fn callers_memory_gets_what_the_typed_calls_return() {
    let dir = temp_dir();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.drop_arrays("a", Some(&[3, 4])).unwrap();
    let whole = store.load_vec::<f32>("a").unwrap().1;
    assert_eq!(store.load_into("a", Buffer::new).unwrap().floats(), whole);
    assert_eq!(store.getitem_into("a", &[-1, 0, 3], None, Buffer::new).unwrap().floats(), {
        store.getitem::<f32>("a", &[-1, 0, 3]).unwrap().into_iter().collect::<Vec<_>>()
    });
    let mut stream = store.stream_rows("a", 3).unwrap();
    let batches = std::iter::from_fn(|| stream.next_into(Buffer::new)).map(|batch| batch.unwrap().floats());
    assert_eq!(batches.collect::<Vec<_>>().concat(), whole);
    let view = store.get_array_view("a").unwrap();
    assert_eq!(view.rows_into(2..100, Buffer::new).unwrap().floats(), whole[8..]);
    assert_eq!(view.gather_into(&[7], Buffer::new).unwrap().floats(), whole[28..]);
}

#[test]
fn a_stream_steps_over_no_row_when_others_are_deleted() {
    let dir = temp_dir();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 8), &[8, 1]).unwrap();
    let mut stream = store.stream_rows("a", 2).unwrap();
    let mut next = || stream.next_into(Buffer::new).map(|batch| batch.unwrap().floats());
    assert_eq!(next().unwrap(), values(0, 2));
    store.drop_arrays("a", Some(&[0, 3])).unwrap();
    assert_eq!(next().unwrap(), [values(2, 1), values(4, 1)].concat());
    store.append_slice("a", &values(8, 1)).unwrap();
    store.compact_array("a").unwrap();
    assert_eq!(next().unwrap(), values(5, 2));
    assert_eq!(next().unwrap(), values(7, 2));
    assert!(next().is_none());
}

#[test]
fn memory_of_another_size_is_refused() {
    let dir = temp_dir();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    let short = |_: DataType, _: &[u64]| Ok(Buffer(vec![MaybeUninit::new(0); 159]));
    let error = store.load_into("a", short).map(|_| ()).unwrap_err();
    assert!(matches!(error, NpkError::InvalidArgument { argument: "allocate", .. }), "{error}");
}

#[expect(unsafe_code, reason = "writing through a writable view")]
fn write(view: &WritableView, at: usize, value: f32) {
    let elements = view.shape().iter().product::<u64>() as usize;
    assert!(at < elements);
    // SAFETY: inside the view's bytes, which are writable as long as it lives.
    unsafe { view.as_mut_ptr().unwrap().cast::<f32>().add(at).write(value) }
}

#[test]
fn a_writable_view_is_live_and_leaves_a_sound_store() {
    let dir = temp_dir();
    let path = dir.path().join("s");
    let store = Store::new(path.clone()).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.replace_slice("a", &[1.0_f32; 4], &[2]).unwrap();
    let modified = store.get_modify_time("a").unwrap();
    let view = store.writable_view("a").unwrap();
    write(&view, 8, 77.0);
    write(&view, 0, 55.0);
    assert_eq!(store.getitem::<f32>("a", &[2]).unwrap().as_slice().unwrap(), [77.0, 1.0, 1.0, 1.0]);
    view.flush().unwrap();
    assert!(store.get_modify_time("a").unwrap() > modified);
    assert!(store.verify().unwrap().findings.is_empty());
    let expected = store.load_vec::<f32>("a").unwrap();
    drop((view, store));
    // A power cut: no redo of an earlier replace may be laid over what was written since, and no checksum
    // may speak against it.
    assert_eq!(in_another_boot(&path).load_vec::<f32>("a").unwrap(), expected);
}

#[test]
fn rows_written_without_a_flush_are_no_damage_either() {
    let dir = temp_dir();
    let path = dir.path().join("s");
    let store = Store::new(path.clone()).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    let view = store.writable_view("a").unwrap();
    write(&view, 39, -1.0);
    drop((view, store));
    let store = in_another_boot(&path);
    assert_eq!(store.load_vec::<f32>("a").unwrap().1[39].to_bits(), (-1.0_f32).to_bits());
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn a_writable_view_refuses_what_it_cannot_keep() {
    let dir = temp_dir();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    assert!(matches!(store.writable_view("b"), Err(NpkError::ArrayNotFound(_))));
    let view = store.writable_view("a").unwrap();
    store.save_slice("a", &values(9, 40), &[10, 4]).unwrap();
    write(&view, 0, -5.0);
    assert!(matches!(view.flush(), Err(NpkError::InvalidArgument { argument: "array", .. })));
    assert_eq!(store.load_vec::<f32>("a").unwrap().1, values(9, 40), "the new array is untouched");
    store.drop_arrays("a", Some(&[0])).unwrap();
    assert!(matches!(store.writable_view("a"), Err(NpkError::InvalidArgument { argument: "array", .. })));
    store.save_slice::<f32>("empty", &[], &[0, 4]).unwrap();
    assert!(store.writable_view("empty").unwrap().as_mut_ptr().is_none());
}

#[test]
fn saves_and_removals_are_one_commit() {
    let dir = temp_dir();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 4), &[4]).unwrap();
    store.save_slice("b", &values(0, 4), &[4]).unwrap();
    let bytes: Vec<u8> = values(7, 4).iter().flat_map(|value| value.to_le_bytes()).collect();
    let new = |name| RawArray { name, dtype: DataType::Float32, shape: &[4], bytes: &bytes };
    let refused = store.exchange(&[new("c")], &["a", "nobody"], &[]);
    assert!(matches!(refused, Err(NpkError::ArrayNotFound(_))));
    assert!(matches!(store.exchange(&[new("a")], &["a"], &[]), Err(NpkError::InvalidArgument { .. })));
    assert_eq!(store.list_arrays(), ["a", "b"], "refused calls change nothing");
    store.exchange(&[new("c"), new("b")], &["a"], &[]).unwrap();
    assert_eq!(store.list_arrays(), ["b", "c"]);
    assert_eq!(store.load_vec::<f32>("b").unwrap().1, values(7, 4));
    store.exchange(&[new("d")], &["b"], &[("c", "b2")]).unwrap();
    assert_eq!(store.list_arrays(), ["b2", "d"]);
    store.exchange(&[], &[], &[("d", "b2")]).unwrap();
    assert_eq!(store.list_arrays(), ["b2"]);
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn rows_of_several_arrays_go_in_one_commit() {
    let dir = temp_dir();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 4), &[4]).unwrap();
    store.save_slice("b", &values(0, 4), &[4]).unwrap();
    assert!(store.drop_rows_many(&[("a", &[0]), ("b", &[4])]).is_err());
    assert_eq!(store.get_shape("a").unwrap(), [4], "refused calls change nothing");
    store.drop_rows_many(&[("a", &[0]), ("b", &[1, -1])]).unwrap();
    assert_eq!((store.get_shape("a").unwrap(), store.get_shape("b").unwrap()), (vec![3], vec![2]));
}

#[test]
fn a_rename_is_one_commit_and_stays() {
    let dir = temp_dir();
    let path = dir.path().join("s");
    let store = Store::new(path.clone()).unwrap();
    let other = Store::open_folder(Disk::new(&path, Arc::new(Sound), None), OpenOptions::new()).unwrap();
    for (name, from) in [("a", 0), ("b", 4), ("c", 8)] {
        store.save_slice(name, &values(from, 4), &[4]).unwrap();
    }
    let view = store.get_array_view("a").unwrap();
    assert!(matches!(store.rename_array("a", "b"), Err(NpkError::ArrayExists(_))));
    assert!(matches!(store.rename_array("x", "y"), Err(NpkError::ArrayNotFound(_))));
    assert!(matches!(store.rename_array("a", ""), Err(NpkError::InvalidName { .. })));
    let twice = store.rename_many(&[("a", "d"), ("d", "e")], true);
    assert!(matches!(twice, Err(NpkError::InvalidArgument { .. })));
    assert_eq!(store.list_arrays(), ["a", "b", "c"], "refused calls change nothing");
    store.rename_many(&[("a", "b"), ("c", "ü/d")], true).unwrap();
    store.append_slice("b", &values(4, 1)).unwrap();
    for store in [&store, &other, &in_another_boot(&path)] {
        assert_eq!(store.list_arrays(), ["b", "ü/d"]);
        assert_eq!(store.load_vec::<f32>("b").unwrap().1, values(0, 5));
        assert_eq!(store.load_vec::<f32>("ü/d").unwrap().1, values(8, 4));
        assert!(!store.has_array("a"));
    }
    assert_eq!(view.to_array::<f32>().unwrap().len(), 4, "a view keeps its rows");
    assert!(store.verify().unwrap().findings.is_empty());
}
