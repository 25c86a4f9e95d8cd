//! A program may change an array while it is being saved: which values are stored is then open, but the
//! checksum must be that of what is stored.
#![expect(unsafe_code, reason = "a slice of memory that another thread changes, as a binding hands it over")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use numpack::RawArray;
use numpack::prelude::*;
use tempfile::tempdir;

/// Words of the array: more than one thread's part, and no whole number of blocks.
const WORDS: usize = (5 << 20) / 8 + 77;
const ROUNDS: usize = 40;

/// Words that change until `stop`: each from one value to another and back, in no order to speak of.
fn change(words: &[AtomicU64], stop: &AtomicBool) {
    let mut state = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            words[(state >> 33) as usize % words.len()].fetch_xor(u64::MAX, Ordering::Relaxed);
        }
    }
}

fn bytes(words: &[AtomicU64]) -> &[u8] {
    // SAFETY: the memory is valid for as long as `words`, and any byte is a value. That it changes behind
    // the slice is what this test is about: the engine copies such bytes once and looks only at the copy.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), size_of_val(words)) }
}

fn array<'a>(bytes: &'a [u8], shape: &'a [u64]) -> RawArray<'a> {
    RawArray { name: "a", dtype: DataType::Uint64, shape, bytes }
}

fn assert_sound(store: &Store, work: &str, round: usize) {
    let report = store.verify().unwrap();
    assert!(report.is_intact(), "{work}, round {round}: {report:?}");
}

#[test]
fn what_is_stored_has_its_checksum_while_the_source_changes() {
    let dir = tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    let words: Vec<AtomicU64> = (0..WORDS as u64).map(AtomicU64::new).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| change(&words, &stop));
        let (all, whole) = (bytes(&words), [WORDS as u64]);
        let (some, part) = (bytes(&words[..WORDS / 7]), [(WORDS / 7) as u64]);
        let work = || {
            for round in 0..ROUNDS {
                store.reset().unwrap();
                for save in ["new", "beside a file in use", "over a recycled file", "over a mapped one"] {
                    store.save_raw(&[array(all, &whole)]).unwrap();
                    assert_sound(&store, save, round);
                }
                store.append_raw(&[array(some, &part)]).unwrap();
                assert_sound(&store, "append", round);
                store.append_raw(&[array(all, &whole)]).unwrap();
                assert_sound(&store, "append of parts", round);
            }
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // Else a failure would wait for the other thread for ever.
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}
