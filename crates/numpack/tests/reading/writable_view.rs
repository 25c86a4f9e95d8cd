//! Writable views: live, durable by a flush, and no damage without one.

use numpack::WritableView;
use numpack::prelude::*;

use crate::disk::in_another_boot;
use crate::folder::scratch;
use crate::values::values;

#[expect(unsafe_code, reason = "writing through a writable view")]
fn write(view: &WritableView, at: usize, value: f32) {
    let elements = view.shape().iter().product::<u64>() as usize;
    assert!(at < elements);
    // SAFETY: inside the view's bytes, which are writable as long as it lives.
    unsafe { view.as_mut_ptr().unwrap().cast::<f32>().add(at).write(value) }
}

#[test]
fn a_writable_view_is_live_and_leaves_a_sound_store() {
    let dir = scratch();
    let path = dir.path().join("s");
    let store = Store::new(&path).unwrap();
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
    assert_eq!(in_another_boot(&path, Mode::ReadWrite).unwrap().load_vec::<f32>("a").unwrap(), expected);
}

#[test]
fn rows_written_without_a_flush_are_no_damage_either() {
    let dir = scratch();
    let path = dir.path().join("s");
    let store = Store::new(&path).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    let view = store.writable_view("a").unwrap();
    write(&view, 39, -1.0);
    drop((view, store));
    let store = in_another_boot(&path, Mode::ReadWrite).unwrap();
    assert_eq!(store.load_vec::<f32>("a").unwrap().1[39].to_bits(), (-1.0_f32).to_bits());
    assert!(store.verify().unwrap().findings.is_empty());
}

#[test]
fn a_writable_view_refuses_what_it_cannot_keep() {
    let dir = scratch();
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
