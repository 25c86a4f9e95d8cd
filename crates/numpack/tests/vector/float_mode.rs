//! Searches on threads whose floating-point mode other code has changed: the same bits as in the default
//! mode, and the caller's mode is as it was.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#![expect(unsafe_code, reason = "inline assembly changes the floating-point mode")]

use std::arch::asm;
use std::sync::Once;

use half::f16;
use numpack::prelude::*;
use numpack::vector::{Hits, SearchOptions, SimdLevel, VectorEngine, Vectors};

const DIMS: usize = 24;
/// More than 1 MiB of `float32`: the rows are split among threads.
const ROWS: usize = 12_000;

/// The default mode; numbers flushed to zero; rounding down, up and towards zero, some of them flushing too.
#[cfg(target_arch = "x86_64")]
const MODES: [u64; 5] = [0x1f80, 0x9fc0, 0x3fc0, 0x5f80, 0xffc0];
#[cfg(target_arch = "aarch64")]
const MODES: [u64; 5] = [0, 1 << 24, 2 << 22, 1 << 22, 3 << 22 | 1 << 24];

#[cfg(target_arch = "x86_64")]
fn mode() -> u64 {
    let mut word = 0_u32;
    // SAFETY: stores four bytes in `word`.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack)) };
    // Without the exceptions that were met.
    u64::from(word & !0x3f)
}

#[cfg(target_arch = "x86_64")]
fn set_mode(word: u64) {
    let word = word as u32;
    // SAFETY: loads four bytes; no arithmetic of the test runs before the mode is put back.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack)) };
}

#[cfg(target_arch = "aarch64")]
fn mode() -> u64 {
    let word;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack)) };
    word
}

#[cfg(target_arch = "aarch64")]
fn set_mode(word: u64) {
    // SAFETY: no arithmetic of the test runs before the mode is put back.
    unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack)) };
}

/// Runs `work` in a mode, and checks that it leaves that as it was.
fn within<R>(word: u64, work: &dyn Fn() -> R) -> R {
    set_mode(word);
    let result = work();
    let after = mode();
    set_mode(MODES[0]);
    assert_eq!(after, word, "the caller's mode");
    result
}

/// Starts the threads of large calls in a mode that flushes: they inherit that of the thread that starts them.
fn start_threads() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| assert!(within(MODES[1], &|| VectorEngine::new().capabilities().threads) > 0));
}

/// Rows of three sizes by turns: denormal numbers, some whose products are denormal, ordinary ones.
struct Data {
    single: Vec<f32>,
    double: Vec<f64>,
    half: Vec<f16>,
    bytes: Vec<u8>,
}

impl Data {
    fn new(rows: usize, mut state: u64) -> Data {
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        let values: Vec<f64> = (0..rows * DIMS).map(|_| next()).collect();
        let scaled = |scales: [f64; 3]| -> Vec<f64> {
            values.iter().enumerate().map(|(i, x)| x * scales[i / DIMS % 3]).collect()
        };
        Data {
            single: scaled([1e-39, 3e-20, 1.0]).iter().map(|&x| x as f32).collect(),
            double: scaled([1e-310, 3e-155, 1.0]),
            half: scaled([3e-6, 1e-4, 1.0]).iter().map(|&x| f16::from_f64(x)).collect(),
            bytes: values.iter().map(|x| (x * 127.0 + 128.0) as u8).collect(),
        }
    }

    /// The first `rows` rows, in every dtype.
    fn vectors(&self, rows: usize) -> Vec<Vectors<'_>> {
        vec![
            Vectors::from_slice(&self.single[..rows * DIMS], DIMS).unwrap(),
            Vectors::from_slice(&self.double[..rows * DIMS], DIMS).unwrap(),
            Vectors::from_slice(&self.half[..rows * DIMS], DIMS).unwrap(),
            Vectors::from_slice(&self.bytes[..rows * DIMS], DIMS).unwrap(),
        ]
    }
}

fn bits(hits: &Hits) -> Vec<u64> {
    hits.indices.iter().copied().chain(hits.scores.iter().map(|score| score.to_bits())).collect()
}

/// Everything that an engine answers, as bits.
fn answers(engine: VectorEngine, queries: &Vectors<'_>, rows: &Vectors<'_>, metric: Metric) -> Vec<u64> {
    let all = engine.batch_compute(queries, rows, metric).unwrap();
    let best = engine.multi_query_top_k(queries, rows, metric, 7).unwrap();
    all.iter().map(|score| score.to_bits()).chain(bits(&best)).collect()
}

#[test]
fn scores_and_hits_have_the_same_bits_in_every_mode() {
    start_threads();
    let (data, asked) = (Data::new(300, 1), Data::new(9, 2));
    let mut compared = 0;
    for count in [1, 9] {
        for (queries, rows) in asked.vectors(count).iter().zip(&data.vectors(300)) {
            for metric in Metric::ALL {
                for level in SimdLevel::ALL {
                    let engine = VectorEngine::new().with_level(level).with_threads(1);
                    if engine.batch_compute(queries, rows, metric).is_err() {
                        continue;
                    }
                    let expected = answers(engine, queries, rows, metric);
                    for word in MODES {
                        let found = within(word, &|| answers(engine, queries, rows, metric));
                        let what = format!("{metric} {level}, {count} queries of {}", rows.dtype());
                        assert!(found == expected, "{what} in mode {word:#x}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

#[test]
fn one_pair_and_joined_segments_have_the_same_bits_in_every_mode() {
    start_threads();
    let data = Data::new(300, 3);
    let engine = VectorEngine::new();
    for (rows, one) in data.vectors(300).iter().zip(data.vectors(1)) {
        for metric in [Metric::Dot, Metric::Cosine, Metric::L2, Metric::L2Squared] {
            let ask = || {
                let score = engine.compute_metric(&one, &one, metric).unwrap();
                let best = engine.top_k(&one, rows, metric, 9).unwrap();
                let joined =
                    engine.merge_segment(&one, rows, metric, 9, 300, &best.indices, &best.scores).unwrap();
                let mut all = bits(&joined);
                all.push(score.to_bits());
                all
            };
            let expected = ask();
            for word in MODES {
                assert!(within(word, &ask) == expected, "{metric} of {} in mode {word:#x}", rows.dtype());
            }
        }
    }
}

#[test]
fn threads_and_stored_arrays_have_the_same_bits_in_every_mode() {
    start_threads();
    let (data, asked) = (Data::new(ROWS, 4), Data::new(9, 5));
    let dir = tempfile::tempdir().unwrap();
    let store = ParallelIO::new(dir.path().join("store")).unwrap();
    let alone = VectorEngine::new().with_threads(1);
    let (queries, rows) = (asked.vectors(9).swap_remove(0), data.vectors(ROWS).swap_remove(0));
    let expected = answers(alone, &queries, &rows, Metric::L2);
    store.save_slice("v", &data.single, &[ROWS as u64, DIMS as u64]).unwrap();
    let engine = VectorEngine::new().with_threads(3);
    let stored = || {
        let options = SearchOptions::default();
        bits(&store.search("v", &queries, 7, Metric::L2, &options).unwrap())
    };
    for word in MODES {
        let found = within(word, &|| answers(engine, &queries, &rows, Metric::L2));
        assert!(found == expected, "in mode {word:#x}");
        let found = within(word, &stored);
        assert!(found == expected[expected.len() - found.len()..], "stored, in mode {word:#x}");
    }
}
