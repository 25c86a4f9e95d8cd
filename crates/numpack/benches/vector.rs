//! How long searches take, beside what the machine needs to read the same bytes.
//!
//! `cargo bench -p numpack --bench vector` measures everything; `-- NAME` only the rows whose name contains
//! NAME; `--quick` takes a tenth of the rows. The floor of every row is two threads reading the data once.
//! Each row shows minima of runs that alternate with their floor, the processor time of all threads beside
//! the time that passed, so that figures of a busy machine can be read too, and the recall against plain
//! `float64` loops, which is 1 or the process fails. The process ends with status 0 whether targets are met
//! or not: the figures depend on the machine.

use std::hint::black_box;
use std::time::Duration;

use numpack::prelude::*;
use numpack::vector::{Hits, SearchOptions, SimdLevel, VectorEngine, Vectors};

const DIMS: usize = 128;
const K: usize = 10;
/// Queries of a row that are checked against plain loops.
const CHECKED: usize = 2;

type Failure = Box<dyn std::error::Error>;
type Outcome = Result<(), Failure>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let quick = arguments.iter().any(|a| a == "--quick");
    let wanted: Vec<String> = arguments.into_iter().filter(|a| !a.starts_with("--")).collect();
    let rows = if quick { 50_000 } else { 500_000 };
    println!("{:?}", VectorEngine::new().capabilities());
    println!(
        "{:<38} {:>10} {:>10} {:>7} {:>10} {:>10} {:>7}  {:<6} recall",
        "work", "time", "floor", "ratio", "cpu", "floor cpu", "ratio", "target"
    );
    let bench = Bench { wanted, rows, queries: numbers(1000 * DIMS, 7) };
    let data = numbers(rows * DIMS, 1);
    one_query(&bench, &data)?;
    many_queries(&bench, &data)?;
    stored(&bench, &data)?;
    filtered(&bench, &data)?;
    other_dtypes(&bench, &data)
}

/// What holds for the whole run.
struct Bench {
    wanted: Vec<String>,
    rows: usize,
    queries: Vec<f32>,
}

/// A row of the report.
struct Row<'a> {
    name: &'a str,
    bytes: &'a [u8],
    target: f64,
    runs: usize,
}

fn one_query(bench: &Bench, data: &[f32]) -> Outcome {
    let (engine, query) = (VectorEngine::new(), Vectors::one(&bench.queries[..DIMS]));
    let rows = Vectors::from_slice(data, DIMS)?;
    for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
        let name = format!("1 query, {metric}");
        let row = Row { name: &name, bytes: bytes(data), target: 1.15, runs: 20 };
        bench.row(
            &row,
            || Ok(engine.top_k(&query, &rows, metric, K)?),
            |q| plain(&bench.queries[q * DIMS..][..DIMS], data, metric),
        )?;
    }
    Ok(())
}

fn many_queries(bench: &Bench, data: &[f32]) -> Outcome {
    let rows = Vectors::from_slice(data, DIMS)?;
    for (count, runs) in [(8, 6), (100, 6), (1000, 2)] {
        let queries = Vectors::from_slice(&bench.queries[..count * DIMS], DIMS)?;
        for level in [SimdLevel::Amx, SimdLevel::Avx512, SimdLevel::Avx2] {
            let engine = VectorEngine::new().with_level(level);
            for metric in [Metric::Dot, Metric::Cosine, Metric::L2] {
                if (count == 1000 || level < SimdLevel::Avx512) && metric != Metric::Dot {
                    continue;
                }
                let name = format!("{count} queries, {metric}, {level}");
                let row = Row { name: &name, bytes: bytes(data), target: f64::INFINITY, runs };
                bench.row(
                    &row,
                    || Ok(engine.multi_query_top_k(&queries, &rows, metric, K)?),
                    |q| plain(&bench.queries[q * DIMS..][..DIMS], data, metric),
                )?;
            }
        }
    }
    Ok(())
}

fn stored(bench: &Bench, data: &[f32]) -> Outcome {
    let dir = tempfile::tempdir()?;
    let store = Store::new(dir.path().join("store"))?;
    store.save_slice("v", data, &[bench.rows as u64, DIMS as u64])?;
    let options = SearchOptions::default();
    for (count, runs) in [(1, 20), (100, 6)] {
        let queries = Vectors::from_slice(&bench.queries[..count * DIMS], DIMS)?;
        let name = format!("stored array, {count} queries, dot");
        let row = Row { name: &name, bytes: bytes(data), target: f64::INFINITY, runs };
        bench.row(
            &row,
            || Ok(store.search("v", &queries, K, Metric::Dot, &options)?),
            |q| plain(&bench.queries[q * DIMS..][..DIMS], data, Metric::Dot),
        )?;
    }
    Ok(())
}

fn filtered(bench: &Bench, data: &[f32]) -> Outcome {
    let (engine, query) = (VectorEngine::new(), Vectors::one(&bench.queries[..DIMS]));
    let rows = Vectors::from_slice(data, DIMS)?;
    let mask: Vec<bool> =
        (0..bench.rows).map(|row| row.wrapping_mul(2_654_435_761) >> 7 & 127 == 0).collect();
    let list: Vec<i64> = (0..bench.rows as i64).filter(|&row| mask[row as usize]).collect();
    let part = Some(bench.rows as i64 / 100);
    let selections = [
        ("mask of 1 % scattered rows", Selection::Mask(&mask), 0.1),
        ("list of 1 % scattered rows", Selection::List(&list), 0.1),
        ("slice of 1 % of the rows", Selection::Slice { start: None, stop: part, step: None }, 0.02),
    ];
    for (name, selection, target) in selections {
        let options = SearchOptions { rows: selection, ..SearchOptions::default() };
        let keep = |row: usize| match selection {
            Selection::Slice { .. } => row < bench.rows / 100,
            _ => mask[row],
        };
        let row = Row { name, bytes: bytes(data), target, runs: 20 };
        bench.row(
            &row,
            || Ok(engine.search(&query, &rows, Metric::Dot, K, &options)?),
            |_| {
                let mut scores = plain(&bench.queries[..DIMS], data, Metric::Dot);
                scores.retain(|(row, _)| keep(*row as usize));
                scores
            },
        )?;
    }
    Ok(())
}

fn other_dtypes(bench: &Bench, data: &[f32]) -> Outcome {
    let engine = VectorEngine::new();
    let small: Vec<i8> = data.iter().map(|x| (x * 100.0) as i8).collect();
    let row = Row { name: "1 query, dot, int8", bytes: bytes(&small), target: 1.3, runs: 40 };
    let (query, rows) = (Vectors::one(&small[..DIMS]), Vectors::from_slice(&small, DIMS)?);
    bench.row(
        &row,
        || Ok(engine.top_k(&query, &rows, Metric::Dot, K)?),
        |_| {
            let widened: Vec<f32> = small.iter().map(|&x| f32::from(x)).collect();
            plain(&widened[..DIMS], &widened, Metric::Dot)
        },
    )?;
    let half: Vec<half::f16> = data.iter().map(|&x| half::f16::from_f32(x)).collect();
    let row = Row { name: "1 query, dot, float16", bytes: bytes(&half), target: 1.3, runs: 20 };
    let (query, rows) = (Vectors::one(&half[..DIMS]), Vectors::from_slice(&half, DIMS)?);
    bench.row(
        &row,
        || Ok(engine.top_k(&query, &rows, Metric::Dot, K)?),
        |_| {
            let widened: Vec<f32> = half.iter().map(|x| x.to_f32()).collect();
            plain(&widened[..DIMS], &widened, Metric::Dot)
        },
    )?;
    let bits = &bytes(data)[..bench.rows * 96];
    let row = Row { name: "1 query, hamming, 96 bytes", bytes: bits, target: 1.3, runs: 40 };
    let (query, rows) = (Vectors::one(&bits[..96]), Vectors::from_slice(bits, 96)?);
    bench.row(
        &row,
        || Ok(engine.top_k(&query, &rows, Metric::Hamming, K)?),
        |_| {
            let count =
                |row: &[u8]| row.iter().zip(&bits[..96]).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
            bits.chunks_exact(96).enumerate().map(|(i, row)| (i as u64, -f64::from(count(row)))).collect()
        },
    )
}

impl Bench {
    /// Times a search beside its floor and checks its first answers.
    fn row(
        &self,
        row: &Row<'_>,
        mut search: impl FnMut() -> Result<Hits, Failure>,
        oracle: impl Fn(usize) -> Vec<(u64, f64)>,
    ) -> Outcome {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|wanted| row.name.contains(wanted.as_str())) {
            return Ok(());
        }
        let (mut time, mut floor) = (Times::MAX, Times::MAX);
        let mut hits = search()?;
        for _ in 0..row.runs {
            let start = Times::now();
            read_by_two(row.bytes);
            floor = floor.min(start.elapsed());
            let start = Times::now();
            hits = black_box(search()?);
            time = time.min(start.elapsed());
        }
        let recall = recall(&hits, oracle);
        let target = if row.target.is_finite() { format!("{}", row.target) } else { String::new() };
        println!(
            "{:<38} {:>10.2?} {:>10.2?} {:>7.3} {:>10.2?} {:>10.2?} {:>7.3}  {target:<6} {recall}",
            row.name,
            time.wall,
            floor.wall,
            time.wall.as_secs_f64() / floor.wall.as_secs_f64(),
            time.cpu,
            floor.cpu,
            time.cpu.as_secs_f64() / floor.cpu.as_secs_f64(),
        );
        if recall < 1.0 { Err(format!("{}: recall {recall}", row.name).into()) } else { Ok(()) }
    }
}

/// Time that passed, and processor time of all threads.
#[derive(Clone, Copy)]
struct Times {
    wall: Duration,
    cpu: Duration,
}

impl Times {
    const MAX: Times = Times { wall: Duration::MAX, cpu: Duration::MAX };

    fn now() -> Times {
        let clock = |id| {
            let time = rustix::time::clock_gettime(id);
            Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
        };
        use rustix::time::ClockId::{Monotonic, ProcessCPUTime};
        Times { wall: clock(Monotonic), cpu: clock(ProcessCPUTime) }
    }

    fn elapsed(self) -> Times {
        let now = Times::now();
        Times { wall: now.wall - self.wall, cpu: now.cpu - self.cpu }
    }

    fn min(self, other: Times) -> Times {
        Times { wall: self.wall.min(other.wall), cpu: self.cpu.min(other.cpu) }
    }
}

/// Share of the right rows among the hits of the first queries.
fn recall(hits: &Hits, oracle: impl Fn(usize) -> Vec<(u64, f64)>) -> f64 {
    let checked = CHECKED.min(hits.indices.len() / hits.k);
    let mut right = 0;
    for query in 0..checked {
        let mut scores = oracle(query);
        scores.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let best: Vec<u64> = scores.iter().take(hits.k).map(|(row, _)| *row).collect();
        right += hits.indices[query * hits.k..][..hits.k].iter().filter(|row| best.contains(row)).count();
    }
    right as f64 / (checked * hits.k) as f64
}

/// Every row with its merit, by plain loops.
fn plain(query: &[f32], data: &[f32], metric: Metric) -> Vec<(u64, f64)> {
    let product =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let merit = |row: &[f32]| match metric {
        Metric::Dot => product(row, query),
        Metric::Cosine => product(row, query) / product(row, row).sqrt() / product(query, query).sqrt(),
        _ => -row.iter().zip(query).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>(),
    };
    data.chunks_exact(query.len()).enumerate().map(|(i, row)| (i as u64, merit(row))).collect()
}

/// Two threads read the bytes once.
fn read_by_two(bytes: &[u8]) {
    let (a, b) = bytes.split_at(bytes.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| black_box(sum(a)));
        black_box(sum(b));
    });
}

fn sum(bytes: &[u8]) -> u64 {
    let (blocks, _) = bytes.as_chunks::<64>();
    let mut lanes = [0_u64; 8];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_ne_bytes(*word));
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// Numbers of a bell shape, from a generator of our own.
fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..len).map(|_| uniform() + uniform() + uniform()).collect()
}

fn bytes<T: NpkElement>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}
