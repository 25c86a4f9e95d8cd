//! Search in memory against the plain oracle: the same rows and the same scores, to the last bit, on every
//! level, for every metric and dtype, for any number of threads, and on data made to break the bound.

use half::f16;
use numpack::prelude::*;
use numpack::vector::{SearchOptions, SimdLevel, VectorEngine, Vectors};
use proptest::prelude::*;

use crate::oracle;

/// A generator of test data that is the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Between -1 and 1.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

fn numbers(seed: u64) -> Numbers {
    Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
}

/// Values as elements of a dtype: the bytes, and what they say.
fn encode(dtype: DataType, values: &[f64]) -> (Vec<u8>, Vec<f64>) {
    fn with<T: NpkElement>(
        values: &[f64],
        to: impl Fn(f64) -> T,
        back: impl Fn(T) -> f64,
    ) -> (Vec<u8>, Vec<f64>) {
        let elements: Vec<T> = values.iter().map(|&value| to(value)).collect();
        (bytemuck::cast_slice(&elements).to_vec(), elements.iter().map(|&element| back(element)).collect())
    }
    match dtype {
        DataType::Bool => with(values, |x| x > 0.0, |x| f64::from(u8::from(x))),
        DataType::Uint8 => with(values, |x| (x * 127.0 + 128.0) as u8, f64::from),
        DataType::Int8 => with(values, |x| (x * 127.0) as i8, f64::from),
        DataType::Uint16 => with(values, |x| (x * 30_000.0 + 30_000.0) as u16, f64::from),
        DataType::Int16 => with(values, |x| (x * 30_000.0) as i16, f64::from),
        DataType::Uint32 => with(values, |x| (x * 2e9 + 2e9) as u32, f64::from),
        DataType::Int32 => with(values, |x| (x * 2e9) as i32, f64::from),
        DataType::Uint64 => with(values, |x| (x * 9e18 + 9e18) as u64, |x| x as f64),
        DataType::Int64 => with(values, |x| (x * 9e18) as i64, |x| x as f64),
        DataType::Float16 => with(values, f16::from_f64, f16::to_f64),
        DataType::Float32 => with(values, |x| x as f32, f64::from),
        _ => with(values, |x| x, |x| x),
    }
}

/// One case: both sides as numbers, bytes and dtypes.
struct Case {
    metric: Metric,
    dims: usize,
    queries: (DataType, Vec<u8>, Vec<f64>),
    rows: (DataType, Vec<u8>, Vec<f64>),
}

impl Case {
    fn new(metric: Metric, dims: usize, queries: (DataType, &[f64]), rows: (DataType, &[f64])) -> Case {
        let side = |(dtype, values): (DataType, &[f64])| {
            let (bytes, numbers) = encode(dtype, values);
            (dtype, bytes, numbers)
        };
        Case { metric, dims, queries: side(queries), rows: side(rows) }
    }

    fn vectors(side: &(DataType, Vec<u8>, Vec<f64>), dims: usize) -> Vectors<'_> {
        let rows = side.2.len().checked_div(dims).unwrap_or(0);
        Vectors::from_bytes(&side.1, side.0, &[rows, dims]).unwrap()
    }

    /// All scores, by query.
    fn scores(&self) -> Vec<Vec<f64>> {
        let is_bool = self.rows.0 == DataType::Bool;
        let score = |query: &[f64], row: &[f64]| oracle::score(self.metric, query, row, is_bool);
        let rows = || self.rows.2.chunks(self.dims);
        self.queries.2.chunks(self.dims).map(|q| rows().map(|row| score(q, row)).collect()).collect()
    }

    /// Checks a search on every level, with one thread and with several.
    fn check(&self, k: usize, selection: Selection<'_>, kept: impl Fn(u64) -> bool, what: &str) {
        let scores = self.scores();
        let expected: Vec<_> =
            scores.iter().map(|scores| oracle::best(self.metric, k, scores, &kept)).collect();
        let (queries, rows) = (Self::vectors(&self.queries, self.dims), Self::vectors(&self.rows, self.dims));
        let options = SearchOptions { rows: selection, ..SearchOptions::default() };
        for (level, threads) in SimdLevel::ALL.into_iter().zip([1, 2, 5, 3]) {
            let engine = VectorEngine::new().with_level(level).with_threads(threads);
            let hits = engine.search(&queries, &rows, self.metric, k, &options).unwrap();
            let what = format!(
                "{what}: {}, {} rows of {} {}, {} queries of {}, k {k}, {level}",
                self.metric,
                rows.rows(),
                self.dims,
                self.rows.0,
                queries.rows(),
                self.queries.0,
            );
            oracle::assert_hits(&hits, &expected, &what);
            let narrow = SearchOptions { level: Some(level), threads: Some(threads), ..options };
            let narrowed = VectorEngine::new().search(&queries, &rows, self.metric, k, &narrow).unwrap();
            oracle::assert_hits(&narrowed, &expected, &what);
            let all = engine.batch_compute(&queries, &rows, self.metric).unwrap();
            let same =
                |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || a == b;
            assert!(all.iter().zip(scores.iter().flatten()).all(same), "{what}: batch_compute");
        }
    }
}

fn any_metric() -> impl Strategy<Value = Metric> {
    proptest::sample::select(Metric::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_search_gives_the_rows_of_the_oracle(
        metric in any_metric(),
        pick in any::<(u8, u8)>(),
        dims in prop_oneof![1..5_usize, 1..70_usize, 120..140_usize],
        rows in prop_oneof![0..4_usize, 1..300_usize, 1000..2200_usize],
        queries in prop_oneof![1..4_usize, 1..12_usize, 30..36_usize],
        k in prop_oneof![0..4_usize, 1..20_usize, 1..3000_usize],
        coarse in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let dtypes: Vec<DataType> = DataType::ALL.into_iter().filter(|&dtype| metric.takes(dtype)).collect();
        let row_type = dtypes[usize::from(pick.0) % dtypes.len()];
        let sets = matches!(metric, Metric::Hamming | Metric::Jaccard);
        let query_type = if sets || pick.1 % 2 == 0 { row_type } else { dtypes[usize::from(pick.1) % dtypes.len()] };
        let mut source = numbers(seed);
        // Coarse values give many equal scores.
        let mut value = || if coarse { (source.uniform() * 2.0).round() / 2.0 } else { source.uniform() };
        let divergence = matches!(metric, Metric::KullbackLeibler | Metric::JensenShannon);
        let mut values = |len: usize| (0..len).map(|_| if divergence { value().abs() } else { value() }).collect::<Vec<f64>>();
        let case = Case::new(metric, dims, (query_type, &values(queries * dims)), (row_type, &values(rows * dims)));
        let mut source = numbers(!seed);
        match pick.0 % 4 {
            0 => {
                let mask: Vec<bool> = (0..rows).map(|_| source.below(3) == 0).collect();
                case.check(k, Selection::Mask(&mask), |row| mask[row as usize], "mask");
            }
            1 if rows > 0 => {
                let list: Vec<i64> = (0..source.below(40)).map(|_| source.below(2 * rows as u64) as i64 - rows as i64).collect();
                let kept = |row: u64| list.contains(&(row as i64)) || list.contains(&(row as i64 - rows as i64));
                case.check(k, Selection::List(&list), kept, "list");
            }
            2 => {
                let slice = Selection::Slice { start: Some(1), stop: Some(-1), step: Some(3) };
                case.check(k, slice, |row| row % 3 == 1 && row + 1 < rows as u64, "slice");
            }
            _ => case.check(k, Selection::All, |_| true, "all"),
        }
    }
}

const NUMERIC: [Metric; 4] = [Metric::Dot, Metric::Cosine, Metric::L2, Metric::L2Squared];

/// Runs a set of rows, made by `row(number, element)`, against one and against forty queries.
fn adversarial(
    what: &str,
    dtype: DataType,
    dims: usize,
    rows: usize,
    row: impl Fn(usize, usize, &mut Numbers) -> f64,
) {
    let mut source = numbers(rows as u64 ^ (dims as u64) << 20);
    let data: Vec<f64> = (0..rows * dims).map(|i| row(i / dims, i % dims, &mut source)).collect::<Vec<f64>>();
    for queries in [1, 40] {
        // Every second query is one of the rows, which makes the nearest ones close.
        let asked: Vec<f64> = (0..queries)
            .flat_map(|q| {
                let of = (q * 37) % rows;
                (0..dims).map(move |i| (of, i, q))
            })
            .map(|(of, i, q)| if q % 2 == 0 { data[of * dims + i] } else { row(of, i, &mut source) })
            .collect();
        for metric in NUMERIC {
            let case = Case::new(metric, dims, (dtype, &asked), (dtype, &data));
            case.check(10, Selection::All, |_| true, what);
        }
    }
}

#[test]
fn lengths_from_the_smallest_to_the_largest() {
    adversarial("norms 1e-30 to 1e30", DataType::Float32, 24, 700, |row, _, n| {
        n.uniform() * 10_f64.powi((row * 7 % 61) as i32 - 30)
    });
    adversarial("all tiny", DataType::Float32, 24, 400, |_, _, n| n.uniform() * 1e-31);
    adversarial("all huge", DataType::Float32, 24, 400, |_, _, n| n.uniform() * 1e37);
    adversarial("float64 beyond squares", DataType::Float64, 24, 400, |row, _, n| {
        n.uniform() * 10_f64.powi((row * 7 % 601) as i32 - 300)
    });
    adversarial("elements of all sizes", DataType::Float64, 40, 400, |_, _, n| {
        n.uniform() * 10_f64.powi(n.below(80) as i32 - 40)
    });
}

#[test]
fn denormal_numbers() {
    adversarial("float32 denormals", DataType::Float32, 24, 400, |_, _, n| n.uniform() * 1e-40);
    adversarial("a few denormals", DataType::Float32, 24, 400, |_, i, n| {
        n.uniform() * if i % 3 == 0 { 1e-41 } else { 1.0 }
    });
    adversarial("float64 denormals", DataType::Float64, 24, 300, |_, _, n| n.uniform() * 1e-310);
    adversarial("float16 denormals", DataType::Float16, 24, 400, |_, _, n| n.uniform() * 1e-6);
}

#[test]
fn numbers_that_are_none() {
    adversarial("NaN and infinite rows", DataType::Float32, 20, 700, |row, i, n| match (row % 13, i) {
        (3, 5) => f64::NAN,
        (7, 2) => f64::INFINITY,
        (9, 4) => f64::NEG_INFINITY,
        (11, _) => 0.0,
        _ => n.uniform(),
    });
    adversarial("only NaN", DataType::Float32, 20, 300, |_, _, _| f64::NAN);
    adversarial("only zeros", DataType::Float32, 20, 300, |_, _, _| 0.0);
    adversarial("zeros and one", DataType::Float64, 20, 300, |row, _, _| f64::from(u8::from(row == 123)));
    adversarial("overflow to infinity", DataType::Float64, 20, 300, |row, _, n| {
        n.uniform() * if row % 5 == 0 { 1e200 } else { 1.0 }
    });
}

#[test]
fn rows_that_bfloat16_cannot_tell_apart() {
    adversarial("all equal", DataType::Float32, 33, 700, |_, i, _| (i as f64).sin());
    adversarial("clusters", DataType::Float32, 33, 700, |row, i, n| {
        ((row % 7 * 100 + i) as f64).sin() + 1e-6 * n.uniform()
    });
    adversarial("far from the origin", DataType::Float32, 33, 500, |_, _, n| 1000.0 + 1e-3 * n.uniform());
    adversarial("many equal scores", DataType::Float32, 33, 700, |_, _, n| n.below(2) as f64);
    adversarial(
        "opposite signs",
        DataType::Float32,
        33,
        700,
        |row, i, _| {
            if (row + i) % 2 == 0 { 1.0 } else { -1.0 }
        },
    );
}

#[test]
fn from_one_dimension_to_five_thousand() {
    for (dims, rows) in [(1, 900), (2, 900), (31, 300), (32, 300), (33, 300), (1000, 150), (5000, 60)] {
        adversarial("dimensions", DataType::Float32, dims, rows, |_, _, n| n.uniform());
    }
    for dtype in [DataType::Uint8, DataType::Int8] {
        let extreme: Vec<f64> =
            (0..40_000 * 8).map(|i| if i / 40_000 % 3 == 0 { -1.0 } else { 0.99 }).collect();
        for metric in NUMERIC {
            let case = Case::new(metric, 40_000, (dtype, &extreme[..80_000]), (dtype, &extreme));
            case.check(5, Selection::All, |_| true, "sums beyond 32 bits");
        }
    }
    let mut source = numbers(5);
    let values: Vec<f64> = (0..1000 * 16).map(|_| source.uniform()).collect();
    let case =
        Case::new(Metric::Cosine, 16, (DataType::Float32, &values), (DataType::Float32, &values[..600 * 16]));
    case.check(7, Selection::All, |_| true, "1,000 queries");
}

#[test]
fn accuracy_against_sums_in_any_order() {
    let mut source = numbers(9);
    for dtype in [DataType::Float32, DataType::Float64] {
        let values: Vec<f64> = (0..2 * 777).map(|_| source.uniform().abs() + 1e-3).collect();
        let (bytes, numbers) = encode(dtype, &values);
        let (a, b) = bytes.split_at(bytes.len() / 2);
        let (x, y) = numbers.split_at(777);
        let vector = |bytes| Vectors::from_bytes(bytes, dtype, &[777]).unwrap();
        let pairs = || x.iter().zip(y);
        let dot: f64 = pairs().map(|(a, b)| a * b).sum();
        let l2sq: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let kl: f64 = pairs().map(|(a, b)| a * (a / b).ln()).sum();
        let half = |a: f64, b: f64| a * (2.0 * a / (a + b)).ln();
        let js: f64 = pairs().map(|(a, b)| 0.5 * (half(*a, *b) + half(*b, *a))).sum();
        let expected = [
            (Metric::Dot, dot),
            (Metric::Cosine, dot / (norm(x) * norm(y))),
            (Metric::L2, l2sq.sqrt()),
            (Metric::L2Squared, l2sq),
            (Metric::KullbackLeibler, kl),
            (Metric::JensenShannon, js),
        ];
        for (metric, expected) in expected {
            let found = VectorEngine::new().compute_metric(&vector(a), &vector(b), metric).unwrap();
            assert!(
                (found - expected).abs() <= 1e-12 * expected.abs(),
                "{metric} {dtype}: {found} {expected}"
            );
        }
    }
    let engine = VectorEngine::new();
    let kl = engine.compute_metric(
        &Vectors::one(&[0.5_f64, 0.3, 0.2]),
        &Vectors::one(&[0.4_f64, 0.4, 0.2]),
        Metric::KullbackLeibler,
    );
    let expected = 0.5 * 1.25_f64.ln() + 0.3 * 0.75_f64.ln();
    assert!((kl.unwrap() - expected).abs() < 1e-15);
}

#[test]
fn mixed_dtypes_compute_in_float64() {
    let mut source = numbers(11);
    let values: Vec<f64> = (0..300 * 20).map(|_| source.uniform()).collect();
    for (queries, rows) in [
        (DataType::Float64, DataType::Float32),
        (DataType::Int8, DataType::Float16),
        (DataType::Float32, DataType::Int64),
        (DataType::Uint64, DataType::Int16),
    ] {
        for metric in NUMERIC {
            Case::new(metric, 20, (queries, &values[..10 * 20]), (rows, &values)).check(
                9,
                Selection::All,
                |_| true,
                "mixed",
            );
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_its_values() {
    let engine = VectorEngine::new();
    let (a, b) = ([1.0_f32, 2.0], [1.0_f32, 2.0, 3.0]);
    let error = |result: NpkResult<numpack::vector::Hits>| result.unwrap_err().to_string();
    let dims = engine.top_k(&Vectors::one(&a), &Vectors::one(&b), Metric::Dot, 1);
    assert!(matches!(&dims, Err(NpkError::DimensionMismatch { .. })));
    assert!(error(dims).contains("the rows that are searched 3"));
    let dtype = engine.top_k(&Vectors::one(&a), &Vectors::one(&a), Metric::Hamming, 1);
    assert_eq!(error(dtype), "metric hamming does not take vectors of dtype float32");
    let complex = Vectors::from_bytes(&[0; 16], DataType::Complex64, &[2]).unwrap();
    assert!(matches!(
        engine.top_k(&complex, &complex, Metric::Dot, 1),
        Err(NpkError::UnsupportedDtype { dtype: DataType::Complex64, .. })
    ));
    let (bits, flags) = ([1_u8, 0], [true, false]);
    let mixed = engine.top_k(&Vectors::one(&bits), &Vectors::one(&flags), Metric::Hamming, 1);
    assert!(matches!(mixed, Err(NpkError::SetMismatch { .. })));
    let search = |rows| {
        let options = SearchOptions { rows, ..SearchOptions::default() };
        engine.search(&Vectors::one(&a), &Vectors::one(&a), Metric::Dot, 1, &options)
    };
    assert!(matches!(
        search(Selection::Mask(&[true, false])),
        Err(NpkError::MaskMismatch { rows: 1, flags: 2 })
    ));
    assert!(matches!(search(Selection::List(&[-2])), Err(NpkError::IndexOutOfBounds { index: -2, rows: 1 })));
    let slice = Selection::Slice { start: None, stop: None, step: Some(0) };
    assert!(matches!(search(slice), Err(NpkError::InvalidArgument { .. })));
    assert!(matches!("manhattan".parse::<Metric>(), Err(NpkError::InvalidArgument { .. })));
    assert!(matches!(Vectors::from_slice(&b, 2), Err(NpkError::VectorShape { .. })));
    let two = Vectors::from_slice(&a, 1).unwrap();
    assert!(matches!(engine.top_k(&two, &two, Metric::Dot, 1), Err(NpkError::VectorShape { .. })));
}

#[test]
fn nothing_to_search_gives_nothing() {
    let engine = VectorEngine::new();
    let empty = |rows, dims| Vectors::from_bytes(&[], DataType::Float32, &[rows, dims]).unwrap();
    let one = [1.0_f32, 2.0];
    for metric in NUMERIC {
        assert_eq!(engine.top_k(&Vectors::one(&one), &empty(0, 2), metric, 3).unwrap().k, 0);
        assert_eq!(engine.multi_query_top_k(&empty(0, 2), &Vectors::one(&one), metric, 3).unwrap().k, 0);
        let flat = engine.multi_query_top_k(&empty(5, 0), &empty(4, 0), metric, 3).unwrap();
        assert_eq!((flat.k, &flat.indices[..3], flat.scores[14]), (3, &[0, 1, 2][..], 0.0));
        assert_eq!(engine.top_k(&Vectors::one(&one), &Vectors::one(&one), metric, 0).unwrap().k, 0);
        assert!(engine.batch_compute(&Vectors::one(&one), &empty(0, 2), metric).unwrap().is_empty());
    }
}

#[test]
fn a_cancelled_search_says_so() {
    let cancel = std::sync::atomic::AtomicBool::new(true);
    let options = SearchOptions { cancel: Some(&cancel), ..SearchOptions::default() };
    let row = [1.0_f32];
    let found =
        VectorEngine::new().search(&Vectors::one(&row), &Vectors::one(&row), Metric::Dot, 1, &options);
    assert!(matches!(found, Err(NpkError::Cancelled)));
}

#[test]
fn every_name_of_a_metric_is_known() {
    for name in [
        "dot",
        "dot_product",
        "dotproduct",
        "inner",
        "inner_product",
        "cos",
        "cosine",
        "cosine_similarity",
        "l2",
        "euclidean",
        "l2_distance",
        "l2sq",
        "l2_squared",
        "squared_euclidean",
        "hamming",
        "jaccard",
        "kl",
        "kl_divergence",
        "js",
        "js_divergence",
    ] {
        let metric: Metric = name.parse().unwrap();
        assert_eq!(metric.to_string().parse::<Metric>().unwrap(), metric);
        assert_eq!(name.to_uppercase().parse::<Metric>().unwrap(), metric);
    }
}

#[test]
fn segments_joined_are_the_whole() {
    let mut source = numbers(3);
    let values: Vec<f64> = (0..500 * 8).map(|_| (source.uniform() * 2.0).round()).collect();
    let engine = VectorEngine::new();
    let query = Vectors::one(&values[..8]);
    for metric in NUMERIC {
        let whole = engine.top_k(&query, &Vectors::from_slice(&values, 8).unwrap(), metric, 12).unwrap();
        let mut best = numpack::vector::Hits::default();
        for (segment, part) in values.chunks(8 * 70).enumerate() {
            let rows = Vectors::from_slice(part, 8).unwrap();
            let offset = segment as u64 * 70;
            best =
                engine.merge_segment(&query, &rows, metric, 12, offset, &best.indices, &best.scores).unwrap();
        }
        assert_eq!(best, whole);
    }
}

#[test]
fn sums_of_the_largest_bytes_are_whole_numbers_on_every_level() {
    fn check<T: NpkElement + Into<i64>>(row: &[T], dims: usize) {
        let query: Vec<T> = row[..dims].to_vec();
        let whole = |term: fn(i64, i64) -> i64| -> Vec<f64> {
            let sum =
                |row: &[T]| -> i64 { row.iter().zip(&query).map(|(&x, &y)| term(x.into(), y.into())).sum() };
            row.chunks(dims).map(|row| sum(row) as f64).collect()
        };
        let (rows, asked) = (Vectors::from_slice(row, dims).unwrap(), Vectors::one(&query));
        for level in SimdLevel::ALL {
            let engine = VectorEngine::new().with_level(level);
            let scores = |metric| engine.batch_compute(&asked, &rows, metric).unwrap();
            assert_eq!(scores(Metric::Dot), whole(|x, y| x * y), "{level}, {dims} elements");
            assert_eq!(
                scores(Metric::L2Squared),
                whole(|x, y| (x - y) * (x - y)),
                "{level}, {dims} elements"
            );
        }
    }
    for dims in [1, 63, 64, 65, 16_383, 16_384, 16_385, 40_000] {
        for count in [1, 15, 16, 17] {
            // The query is the first row: all at one limit; the others alternate with rows at the other.
            let row = |i: usize| if (i / dims).is_multiple_of(2) { (i8::MIN, u8::MAX) } else { (i8::MAX, 0) };
            check(&(0..dims * count).map(|i| row(i).0).collect::<Vec<i8>>(), dims);
            check(&(0..dims * count).map(|i| row(i).1).collect::<Vec<u8>>(), dims);
        }
    }
}
