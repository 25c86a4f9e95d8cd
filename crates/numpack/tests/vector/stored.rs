//! Search on stored arrays: deleted rows, filters, and answers of one commit while writers go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use numpack::prelude::*;
use numpack::vector::{Hits, SearchOptions, SimdLevel, Vectors};
use proptest::prelude::*;

use crate::oracle;

const DIMS: usize = 16;

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(dir.path().join("store")).unwrap();
    (dir, store)
}

fn values(rows: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..rows * DIMS).map(|_| next()).collect()
}

fn expected(
    metric: Metric,
    k: usize,
    queries: &[f32],
    rows: &[f32],
    kept: impl Fn(u64) -> bool,
) -> Vec<Vec<(u64, f64)>> {
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let score = |q: &[f32], row: &[f32]| oracle::score(metric, &wide(q), &wide(row), false);
    queries
        .chunks(DIMS)
        .map(|q| rows.chunks(DIMS).map(|row| score(q, row)).collect::<Vec<f64>>())
        .map(|scores| oracle::best(metric, k, &scores, &kept))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn a_stored_array_answers_as_its_loaded_rows_do(
        rows in 1..3000_usize,
        drops in proptest::collection::vec((0..3000_usize, 1..200_usize, 1..4_usize), 0..4),
        appended in 0..50_usize,
        replaced in 0..20_usize,
        queries in prop_oneof![Just(1_usize), Just(6), Just(40)],
        k in 0..30_usize,
        seed in any::<u64>(),
    ) {
        let (_dir, store) = open();
        store.save_slice("v", &values(rows, seed), &[rows as u64, DIMS as u64]).unwrap();
        store.append_slice("v", &values(appended, !seed)).unwrap();
        for (start, len, step) in drops {
            let live = store.get_shape("v").unwrap()[0] as i64;
            let gone: Vec<i64> = (start as i64..live.min((start + len) as i64)).step_by(step).collect();
            store.drop_arrays("v", Some(&gone)).unwrap();
        }
        let live = store.get_shape("v").unwrap()[0];
        let indexes: Vec<i64> = (0..replaced.min(live as usize) as i64).collect();
        store.replace_slice("v", &values(indexes.len(), 5), &indexes).unwrap();
        let (_, loaded) = store.load_vec::<f32>("v").unwrap();
        let asked = values(queries, seed ^ 77);
        let vectors = Vectors::from_slice(&asked, DIMS).unwrap();
        let mask: Vec<bool> = (0..live).map(|row| (row ^ seed) % 5 < 2).collect();
        let list: Vec<i64> = (0..live as i64).filter(|row| row % 7 == 1).map(|row| row - live as i64).collect();
        for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
            let (level, threads) = (SimdLevel::ALL[seed as usize % 4], 1 + seed as usize % 3);
            let search = |rows| {
                let options = SearchOptions {
                    rows,
                    level: Some(level),
                    threads: Some(threads),
                    ..SearchOptions::default()
                };
                store.search("v", &vectors, k, metric, &options).unwrap()
            };
            let check = |hits: Hits, kept: &dyn Fn(u64) -> bool, what: &str| {
                oracle::assert_hits(&hits, &expected(metric, k, &asked, &loaded, kept), what);
            };
            check(search(Selection::All), &|_| true, "all");
            check(search(Selection::Mask(&mask)), &|row| mask[row as usize], "mask");
            check(search(Selection::List(&list)), &|row| row % 7 == 1, "list");
            let slice = Selection::Slice { start: Some(5), stop: None, step: Some(2) };
            check(search(slice), &|row| row >= 5 && row % 2 == 1, "slice");
        }
    }
}

/// Row numbers of two hits each: of a marker, which exactly one row is in every commit, and of the next best.
fn assert_one_marker(hits: &Hits, queries: usize) {
    for query in 0..queries {
        let scores = &hits.scores[query * hits.k..][..2];
        assert_eq!(scores[0], 0.0, "query {query}: no row holds the marker");
        assert!(scores[1] > 0.0, "query {query}: two rows hold the marker");
    }
}

/// Searches while `write` runs again and again in another thread.
fn search_beside(store: &Store, queries: usize, write: impl Fn(&Store, usize) + Sync) -> u32 {
    let marker = [0.5_f32; DIMS].repeat(queries);
    let asked = Vectors::from_slice(&marker, DIMS).unwrap();
    let stop = AtomicBool::new(false);
    let mut searches = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !stop.load(Ordering::Relaxed) {
                write(store, turn);
                turn += 1;
            }
        });
        let end = Instant::now() + Duration::from_millis(1200);
        while Instant::now() < end {
            let hits = store.search("v", &asked, 2, Metric::L2, &SearchOptions::default());
            if hits.as_ref().map_or(true, |hits| hits.scores[0] != 0.0 || hits.scores[1] == 0.0) {
                stop.store(true, Ordering::Relaxed);
            }
            assert_one_marker(&hits.unwrap(), queries);
            searches += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    searches
}

/// Moves the marker from its row to another one, in one commit.
fn move_marker(store: &Store, turn: usize, rows: usize) {
    let (from, to) = ((turn * 997 % rows) as i64, ((turn + 1) * 997 % rows) as i64);
    let two: Vec<f32> = [[0.0_f32; DIMS], [0.5; DIMS]].concat();
    store.replace_slice("v", &two, &[from, to]).unwrap();
}

fn marked(rows: usize) -> (tempfile::TempDir, Store) {
    let (dir, store) = open();
    let mut data = values(rows, 3);
    data[..DIMS].fill(0.5);
    store.save_slice("v", &data, &[rows as u64, DIMS as u64]).unwrap();
    (dir, store)
}

#[test]
fn a_search_sees_one_commit_while_rows_are_replaced() {
    for queries in [1, 9] {
        let (_dir, store) = marked(40_000);
        let searches = search_beside(&store, queries, |store, turn| move_marker(store, turn, 40_000));
        assert!(searches > 0, "no search came to an end");
    }
}

#[test]
fn a_search_sees_one_commit_while_rows_come_and_go() {
    let (_dir, store) = marked(20_000);
    let more = values(50, 8);
    let searches = search_beside(&store, 9, |store, turn| {
        move_marker(store, turn, 20_000);
        match turn % 40 {
            7 => store.append_slice("v", &more).unwrap(),
            17 => store.drop_arrays("v", Some(&[-1, -2, -3])).unwrap(),
            37 => store.compact_array("v").unwrap(),
            _ => {}
        }
    });
    assert!(searches > 0, "no search came to an end");
}

#[test]
fn a_search_of_a_slice_or_mask_is_about_the_rows_there_are() {
    let (_dir, store) = marked(2000);
    let query = [0.5_f32; DIMS];
    let search = |rows: Selection<'_>| {
        let options = SearchOptions { rows, ..SearchOptions::default() };
        store.search("v", &Vectors::one(&query), 3, Metric::L2, &options)
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.append_slice("v", &values(5, 1)).unwrap();
                store.drop_rows("v", -5..).unwrap();
            }
        });
        let end = Instant::now() + Duration::from_millis(600);
        while Instant::now() < end {
            let hits = search(Selection::from(-1..)).unwrap();
            assert!([1999, 2004].contains(&hits.indices[0]) && hits.k == 1, "{hits:?}");
            let mask: Vec<bool> = (0..2000).map(|row| row % 2 == 1).collect();
            match search(Selection::Mask(&mask)) {
                Ok(hits) => assert!(hits.indices.iter().all(|row| row % 2 == 1), "{hits:?}"),
                Err(error) => {
                    assert!(matches!(error, NpkError::MaskMismatch { rows: 2005, flags: 2000 }), "{error}")
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_reader_opened_read_only_searches_beside_a_writer() {
    let (_dir, store) = marked(20_000);
    let reader = OpenOptions::new().mode(Mode::Read).open(store.path()).unwrap();
    let searches = search_beside(&reader, 2, |_, turn| move_marker(&store, turn, 20_000));
    assert!(searches > 0, "no search came to an end");
}

#[test]
fn every_dtype_is_searched_where_it_lies() {
    let (_dir, store) = open();
    let bits: Vec<u8> = (0..96 * 500).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    store.save_slice("bits", &bits, &[500, 96]).unwrap();
    let flags: Vec<bool> = bits.iter().map(|&byte| byte > 99).collect();
    store.save_slice("flags", &flags, &[500, 96]).unwrap();
    let options = SearchOptions::default();
    let found = store.search("bits", &Vectors::one(&bits[96 * 7..96 * 8]), 1, Metric::Hamming, &options);
    assert_eq!(found.unwrap().indices, [7]);
    let found = store.search("flags", &Vectors::one(&flags[96 * 9..96 * 10]), 1, Metric::Jaccard, &options);
    assert_eq!(found.unwrap().indices, [9]);
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let (_dir, store) = open();
    store.save_slice("cube", &[0.0_f32; 8], &[2, 2, 2]).unwrap();
    store.save_slice("none", &[0.0_f32; 0], &[0, 4]).unwrap();
    let query = [0.0_f32; 4];
    let search = |name: &str, options: &SearchOptions<'_>| {
        store.search(name, &Vectors::one(&query), 3, Metric::Dot, options)
    };
    let all = SearchOptions::default();
    assert!(matches!(search("missing", &all), Err(NpkError::ArrayNotFound(_))));
    assert!(matches!(search("cube", &all), Err(NpkError::InvalidShape { .. })));
    assert_eq!(search("none", &all).unwrap(), Hits::default());
    let cancel = AtomicBool::new(true);
    store.append_slice("none", &query).unwrap();
    let options = SearchOptions { cancel: Some(&cancel), ..all };
    assert!(matches!(search("none", &options), Err(NpkError::Cancelled)));
    let options = SearchOptions { rows: Selection::List(&[1]), ..all };
    assert!(matches!(search("none", &options), Err(NpkError::IndexOutOfBounds { index: 1, rows: 1 })));
}
