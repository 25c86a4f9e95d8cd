//! Rows read into memory of the caller, typed and untyped.

use std::mem::MaybeUninit;

use numpack::prelude::*;

use crate::folder::scratch;
use crate::values::values;

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
    let dir = scratch();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    store.drop_arrays("a", Some(&[3, 4])).unwrap();
    let whole = store.load_vec::<f32>("a").unwrap().1;
    assert_eq!(store.load_into("a", Buffer::new).unwrap().floats(), whole);
    assert_eq!(store.getitem_into("a", &[-1, 0, 3], Buffer::new).unwrap().floats(), {
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
    let dir = scratch();
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
    let dir = scratch();
    let store = Store::new(dir.path().join("s")).unwrap();
    store.save_slice("a", &values(0, 40), &[10, 4]).unwrap();
    let short = |_: DataType, _: &[u64]| Ok(Buffer(vec![MaybeUninit::new(0); 159]));
    let error = store.load_into("a", short).map(|_| ()).unwrap_err();
    assert!(matches!(error, NpkError::InvalidArgument { argument: "allocate", .. }), "{error}");
}
