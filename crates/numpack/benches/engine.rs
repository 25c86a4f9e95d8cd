//! How long the engine's work takes, beside what the machine needs for the same bytes.
//!
//! `cargo bench -p numpack` measures everything; `-- NAME` only the rows whose name contains NAME; `--quick`
//! takes fewer runs and smaller arrays. A row compares medians of runs that alternate with their floor, so
//! that a busy machine slows both; compact, with few runs, compares the fastest. The store lies in a
//! temporary folder of the system (`TMPDIR` moves it). The process ends with status 0 whether targets are met or not: the figures depend on the machine.
#![expect(clippy::unit_arg, reason = "timed closures return the unit of the call they time")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use numpack::RawArray;
use numpack::prelude::*;
use rayon::prelude::*;

const COLUMNS: usize = 10;
const ROW: usize = COLUMNS * size_of::<f32>();
/// Bytes of one read or write of a floor: larger writes make pages that the system is slow to find, and took
/// up to seven times as long.
const BLOCK: usize = 256 << 10;

/// The two threads of the floors. They stand ready, as the engine's do.
static TWO: LazyLock<rayon::ThreadPool> = LazyLock::new(|| {
    let two = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    two.unwrap_or_else(|error| panic!("the floors need two threads: {error}"))
});

/// Bytes that a thread of the floor of load takes at once, as the engine's do.
const PART: usize = 4 << 20;

type Failure = Box<dyn std::error::Error>;
type Outcome = Result<(), Failure>;
type Bench = fn(&Setting) -> Outcome;

/// What holds for the whole run.
struct Setting {
    quick: bool,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let quick = arguments.iter().any(|a| a == "--quick");
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let benches: [(&str, Bench); 11] = [
        ("replace", replace),
        ("append", append),
        ("append-38mb", append_many_rows),
        ("append-10000", append_many_arrays),
        ("append-4gb", append_large),
        ("load", load),
        ("save", save),
        ("getitem", getitem),
        ("compact", compact),
        ("stream", stream),
        ("open", open),
    ];
    println!("{:<42} {:>11} {:>11} {:>7}  {:<26} met", "work", "time", "floor", "ratio", "target");
    for (name, bench) in benches {
        if wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str())) {
            bench(&Setting { quick })?;
        }
    }
    Ok(())
}

fn replace(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let store = small(dir.path())?;
    let values = vec![1.5_f32; 1000 * COLUMNS];
    let mut kept = vec![0_u8; 100_000 * ROW];
    let runs = setting.runs(20_000);
    let close: Vec<i64> = (5000..5100).collect();
    let bytes = vec![7_u8; 1000 * ROW];
    let part = &values[..100 * COLUMNS];
    let (time, floor) = compare(
        runs,
        || Ok(store.replace_slice("a", part, &close)?),
        || Ok(kept[5000 * ROW..5100 * ROW].copy_from_slice(black_box(&bytes[..100 * ROW]))),
    )?;
    report("replace 100 rows of 40 B, neighbours", time, floor, Target::Time(us(4)));
    let far = scattered(1000, 100_000);
    let (time, floor) = compare(
        runs / 4,
        || Ok(store.replace_slice("a", &values, &far)?),
        || {
            for (&row, from) in far.iter().zip(bytes.chunks_exact(ROW)) {
                kept[row as usize * ROW..][..ROW].copy_from_slice(black_box(from));
            }
            Ok(())
        },
    )?;
    report("replace 1,000 rows of 40 B, scattered", time, floor, Target::Time(us(40)));
    Ok(())
}

fn append(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let store = small(dir.path())?;
    let (time, floor) = append_times(setting, dir.path(), &store, "a")?;
    report("append 100 rows of 40 B", time, floor, Target::Time(us(5)));
    Ok(())
}

fn append_times(
    setting: &Setting,
    dir: &Path,
    store: &Store,
    name: &str,
) -> Result<(Duration, Duration), Failure> {
    let values = vec![2.5_f32; 100 * COLUMNS];
    let plain = File::create(dir.join("plain"))?;
    let bytes = vec![3_u8; 100 * ROW];
    let mut at = 0;
    compare(
        setting.runs(20_000),
        || Ok(store.append_slice(name, &values)?),
        || {
            plain.write_all_at(&bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        },
    )
}

fn append_many_rows(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let values = numbers(38_000_000 / 4);
    let bytes = as_bytes(&values);
    let store = Store::new(dir.path().join("store"))?;
    let plain = dir.path().join("plain");
    let mut times = (Vec::new(), Vec::new());
    for run in 0..setting.runs(40) + 3 {
        store.reset()?;
        store.save_slice("a", &values[..COLUMNS], &[1, COLUMNS as u64])?;
        let time = timed(|| Ok(store.append_slice("a", &values)?))?;
        if plain.exists() {
            std::fs::remove_file(&plain)?;
        }
        let file = File::create(&plain)?;
        file.write_all_at(&bytes[..ROW], 0)?;
        let floor = timed(|| write_by_two(&file, &bytes, ROW))?;
        if run >= 3 {
            times.0.push(time);
            times.1.push(floor);
        }
    }
    report("append 38 MB (floor: two threads)", median(times.0), median(times.1), Target::Ratio(1.15));
    Ok(())
}

fn append_many_arrays(setting: &Setting) -> Outcome {
    let dirs = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (one, many) = (small(dirs.0.path())?, filled(dirs.1.path(), 10_000)?);
    let values = vec![2.5_f32; 100 * COLUMNS];
    let (time, floor) = compare(
        setting.runs(10_000),
        || Ok(many.append_slice("n5000", &values)?),
        || Ok(one.append_slice("a", &values)?),
    )?;
    report("append beside 10,000 arrays (floor: beside 1)", time, floor, Target::Ratio(1.3));
    Ok(())
}

fn append_large(setting: &Setting) -> Outcome {
    let dirs = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (one, large) = (small(dirs.0.path())?, small(dirs.1.path())?);
    let total: usize = if setting.quick { 256 << 20 } else { 4 << 30 };
    let room = rustix::fs::statvfs(dirs.1.path())?;
    if room.f_bavail * room.f_frsize < (12 << 30) {
        println!("append to an array of 4 GB: skipped, less than 12 GB free");
        return Ok(());
    }
    let chunk = vec![1.0_f32; (64 << 20) / ROW * COLUMNS];
    for _ in 0..total / (64 << 20) {
        large.append_slice("a", &chunk)?;
    }
    let values = vec![2.5_f32; 100 * COLUMNS];
    let (time, floor) = compare(
        setting.runs(10_000),
        || Ok(large.append_slice("a", &values)?),
        || Ok(one.append_slice("a", &values)?),
    )?;
    let work = format!("append to {} MiB (floor: to 4 MB)", total >> 20);
    report(&work, time, floor, Target::Ratio(1.3));
    Ok(())
}

fn load(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let values = numbers(38_000_000 / 4);
    let store = Store::new(dir.path().join("store"))?;
    store.save_slice("a", &values, &[values.len() as u64 / COLUMNS as u64, COLUMNS as u64])?;
    let bytes = as_bytes(&values);
    let plain = dir.path().join("plain");
    std::fs::write(&plain, &bytes)?;
    let runs = setting.runs(60);
    let (time, floor) = compare(
        runs,
        || Ok(drop(black_box(store.load_vec::<f32>("a")?))),
        || Ok(drop(black_box(copy_by_two(&bytes)))),
    )?;
    report("load 38 MB (floor: memcpy, huge pages)", time, floor, Target::Ratio(1.3));
    let (time, floor) = compare(
        runs,
        || Ok(drop(black_box(store.load_vec::<f32>("a")?))),
        || Ok(drop(black_box(std::fs::read(&plain)?))),
    )?;
    report("load 38 MB (floor: std::fs::read)", time, floor, Target::Ratio(0.5));
    Ok(())
}

fn save(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let values = numbers(38_000_000 / 4);
    let shape = [values.len() as u64 / COLUMNS as u64, COLUMNS as u64];
    let bytes = as_bytes(&values);
    let (fresh, over) = (Store::new(dir.path().join("fresh"))?, Store::new(dir.path().join("over"))?);
    let plain = dir.path().join("plain");
    let runs = setting.runs(40);
    let mut times = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs + 3 {
        // Removing the old files is not part of the work.
        fresh.reset()?;
        let new = timed(|| Ok(fresh.save_slice("a", &values, &shape)?))?;
        if plain.exists() {
            std::fs::remove_file(&plain)?;
        }
        let floor = timed(|| write_by_two(&File::create(&plain)?, &bytes, 0))?;
        let again = timed(|| Ok(over.save_slice("a", &values, &shape)?))?;
        if run >= 3 {
            times.0.push(new);
            times.1.push(floor);
            times.2.push(again);
        }
    }
    let (new, floor, again) = (median(times.0), median(times.1), median(times.2));
    report("save 38 MB, new (floor: two threads)", new, floor, Target::Ratio(1.15));
    report("save 38 MB, over (floor: new save)", again, new, Target::Ratio(0.6));
    Ok(())
}

fn getitem(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let store = Store::new(dir.path().join("store"))?;
    let rows = 1_000_000;
    store.save_slice("a", &numbers(rows * COLUMNS), &[rows as u64, COLUMNS as u64])?;
    store.clone_array("a", "b")?;
    store.drop_arrays("b", Some(&spread(rows)))?;
    let kept = as_bytes(&numbers(rows * COLUMNS));
    let indexes = scattered(10_000, rows as u64 * 9 / 10);
    let some = &indexes[..1000];
    let gather = || {
        let mut out = Vec::with_capacity(indexes.len() * ROW);
        indexes.iter().for_each(|&row| out.extend_from_slice(&kept[row as usize * ROW..][..ROW]));
        drop(black_box(out));
        Ok(())
    };
    let runs = setting.runs(3000);
    let (whole, floor) = compare(runs, || Ok(drop(store.getitem::<f32>("a", &indexes)?)), gather)?;
    report("getitem 10,000 random rows of 40 B", whole, floor, Target::Time(us(100)));
    let (time, whole) = compare(
        runs,
        || Ok(drop(store.getitem::<f32>("b", &indexes)?)),
        || Ok(drop(store.getitem::<f32>("a", &indexes)?)),
    )?;
    report("getitem, 10 % deleted (floor: none deleted)", time, whole, Target::Ratio(3.0));
    let (time, whole) = compare(
        runs * 10,
        || Ok(drop(store.getitem::<f32>("b", some)?)),
        || Ok(drop(store.getitem::<f32>("a", some)?)),
    )?;
    report("getitem 1,000, 10 % deleted (floor: none)", time, whole, Target::Ratio(3.0));
    Ok(())
}

fn compact(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let (store, rows) = large(dir.path(), setting)?;
    store.clone_array("a", "b")?;
    store.drop_arrays("b", Some(&spread(rows)))?;
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    copy_prefix(&largest(&dir.path().join("store"))?, &from, (rows * 9 / 10 * ROW) as u64)?;
    let mut times = (Vec::new(), Vec::new());
    let mut extra = 0;
    for run in 0..6 {
        if run > 0 {
            store.drop_arrays("b", None)?;
            store.clone_array("a", "b")?;
            store.drop_arrays("b", Some(&spread(rows)))?;
        }
        store.sync_metadata()?;
        let before = memory("RssAnon:");
        let peak = Watch::start();
        times.0.push(timed(|| Ok(store.compact_array("b")?))?);
        extra = extra.max(peak.stop().saturating_sub(before));
        // Nor does the floor wait for the disk to take the bytes of the run before.
        store.sync_metadata()?;
        times.1.push(timed(|| copy_prefix(&from, &to, u64::MAX))?);
        std::fs::remove_file(&to)?;
    }
    // The fastest of each: pages that the machine has not used for long can take several times as long.
    let (time, floor) = (fastest(&times.0), fastest(&times.1));
    let work = format!("compact {} MB, 10 % deleted", rows * ROW / 1_000_000);
    report(&work, time, floor, Target::Ratio(1.3));
    report_memory("  extra memory", extra, 64 << 20);
    Ok(())
}

fn stream(setting: &Setting) -> Outcome {
    let dir = tempfile::tempdir()?;
    let (store, rows) = large(dir.path(), setting)?;
    let file = largest(&dir.path().join("store"))?;
    let batch = 16 << 20;
    let mut times = (Vec::new(), Vec::new());
    let mut extra = 0;
    for _ in 0..5 {
        let before = memory("RssAnon:");
        let peak = Watch::start();
        times.0.push(timed(|| {
            let mut seen = 0;
            for part in store.stream_load::<f32>("a", batch / ROW)? {
                seen += black_box(part?).shape()[0];
            }
            assert_eq!(seen, rows, "the stream gives every row");
            Ok(())
        })?);
        extra = extra.max(peak.stop().saturating_sub(before));
        times.1.push(timed(|| read_by_two(&file, rows * ROW, batch))?);
    }
    let (time, floor) = (median(times.0), median(times.1));
    let work = format!("stream {} MB by 16 MiB", rows * ROW / 1_000_000);
    report(&work, time, floor, Target::Ratio(1.3));
    report_memory("  extra memory", extra, 2 * batch as u64);
    Ok(())
}

fn open(setting: &Setting) -> Outcome {
    let dirs = (tempfile::tempdir()?, tempfile::tempdir()?);
    drop(small(dirs.0.path())?);
    drop(filled(dirs.1.path(), 10_000)?);
    let works =
        [(&dirs.0, "open, 1 array", us(100), 2000), (&dirs.1, "open, 10,000 arrays", us(20_000), 100)];
    for (dir, work, target, runs) in works {
        let path = dir.path().join("store");
        let log = path.join("metadata.npkm");
        // Nothing keeps the store open between two runs, so each reads the log again.
        let (time, floor) = compare(
            setting.runs(runs),
            || Ok(drop(black_box(Store::new(path.clone())?))),
            || Ok(drop(black_box(std::fs::read(&log)?))),
        )?;
        report(work, time, floor, Target::Time(target));
    }
    Ok(())
}

impl Setting {
    fn runs(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(5) } else { full }
    }
}

/// What a row must reach.
enum Target {
    Time(Duration),
    Ratio(f64),
}

fn report(work: &str, time: Duration, floor: Duration, target: Target) {
    let ratio = time.as_secs_f64() / floor.as_secs_f64();
    let (text, met) = match target {
        Target::Time(most) => (format!("at most {}", show(most)), time <= most),
        Target::Ratio(most) => (format!("at most {most} x floor"), ratio <= most),
    };
    let met = if met { "yes" } else { "NO" };
    println!("{work:<42} {:>11} {:>11} {ratio:>7.2}  {text:<26} {met}", show(time), show(floor));
}

fn report_memory(work: &str, bytes: u64, most: u64) {
    let met = if bytes < most { "yes" } else { "NO" };
    let (bytes, text) = (format!("{:.1} MiB", mib(bytes)), format!("under {:.0} MiB", mib(most)));
    println!("{work:<42} {bytes:>11} {:>11} {:>7}  {text:<26} {met}", "", "");
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn show(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    if us < 1000.0 { format!("{us:.2} us") } else { format!("{:.2} ms", us / 1000.0) }
}

fn us(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// Medians of `work` and `floor`, run in turns after a warm-up.
fn compare(
    runs: usize,
    mut work: impl FnMut() -> Outcome,
    mut floor: impl FnMut() -> Outcome,
) -> Result<(Duration, Duration), Failure> {
    let mut times = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    let warm = runs / 10 + 2;
    // Blocks and not single runs: the caches are those of the work itself.
    let block = (runs / 20).clamp(1, 200);
    while times.0.len() < runs + warm {
        for _ in 0..block {
            times.0.push(timed(&mut work)?);
        }
        for _ in 0..block {
            times.1.push(timed(&mut floor)?);
        }
    }
    Ok((median(times.0.split_off(warm)), median(times.1.split_off(warm))))
}

fn timed(work: impl FnOnce() -> Outcome) -> Result<Duration, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn fastest(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap_or_default()
}

/// A store with array `a` of 100,000 rows.
fn small(dir: &Path) -> Result<Store, Failure> {
    let store = Store::new(dir.join("store"))?;
    store.save_slice("a", &numbers(100_000 * COLUMNS), &[100_000, COLUMNS as u64])?;
    Ok(store)
}

/// A store with arrays `n0`, `n1` and so on of 10 rows.
fn filled(dir: &Path, arrays: usize) -> Result<Store, Failure> {
    let store = Store::new(dir.join("store"))?;
    let values = numbers(10 * COLUMNS);
    let bytes = as_bytes(&values);
    let names: Vec<String> = (0..arrays).map(|n| format!("n{n}")).collect();
    let shape = [10, COLUMNS as u64];
    let raw: Vec<RawArray<'_>> = names
        .iter()
        .map(|name| RawArray { name, dtype: DataType::Float32, shape: &shape, bytes: &bytes })
        .collect();
    store.save_raw(&raw)?;
    Ok(store)
}

/// A store with array `a` of 1 GB, and its rows.
fn large(dir: &Path, setting: &Setting) -> Result<(Store, usize), Failure> {
    let total = if setting.quick { 200_000_000 } else { 1_000_000_000 };
    let store = Store::new(dir.join("store"))?;
    let part = numbers(total / 4 / 10);
    let rows = (part.len() / COLUMNS) as u64;
    store.save_slice("a", &part, &[rows, COLUMNS as u64])?;
    for _ in 1..10 {
        store.append_slice("a", &part)?;
    }
    Ok((store, rows as usize * 10))
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32).collect()
}

fn as_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Row numbers below `rows` without an order, all different while `rows` has no factor in common with the step.
fn scattered(n: usize, rows: u64) -> Vec<i64> {
    (0..n as u64).map(|i| (i.wrapping_mul(48_271 * 7919) % rows) as i64).collect()
}

/// A tenth of the rows, at irregular places.
fn spread(rows: usize) -> Vec<i64> {
    let mut state = 1_u64;
    (0..rows as i64 / 10)
        .map(|i| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i * 10 + (state >> 33) as i64 % 10
        })
        .collect()
}

/// The largest data file of a store.
fn largest(store: &Path) -> Result<std::path::PathBuf, Failure> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(store)? {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.path()));
    }
    files.sort();
    Ok(files.pop().ok_or("the store has files")?.1)
}

#[expect(unsafe_code, reason = "advice about memory of this process; every part is filled before use")]
fn copy_by_two(bytes: &[u8]) -> Vec<u8> {
    let mut fresh: Vec<u8> = Vec::with_capacity(bytes.len());
    let spare = &mut fresh.spare_capacity_mut()[..bytes.len()];
    let start = (spare.as_mut_ptr() as usize).next_multiple_of(2 << 20);
    let end = (spare.as_mut_ptr() as usize + spare.len()) >> 21 << 21;
    // SAFETY: the range lies inside the buffer, and the advice changes no contents.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
    let parts = spare.par_chunks_mut(PART).zip(bytes.par_chunks(PART)).with_max_len(1);
    TWO.install(|| parts.for_each(|(target, part)| fill(target, part)));
    // SAFETY: every part is filled.
    unsafe { fresh.set_len(bytes.len()) };
    fresh
}

/// Runs both halves of a work at the same time.
fn by_two(
    low: impl FnOnce() -> std::io::Result<()> + Send,
    high: impl FnOnce() -> std::io::Result<()> + Send,
) -> Outcome {
    let (low, high) = TWO.join(low, high);
    Ok(low.and(high)?)
}

/// Writes `bytes` at `at` by two threads, after making room for them.
fn write_by_two(file: &File, bytes: &[u8], at: usize) -> Outcome {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), at as u64, bytes.len() as u64)?;
    let half = bytes.len() / 2;
    by_two(|| write_blocks(file, &bytes[..half], at), || write_blocks(file, &bytes[half..], at + half))
}

fn write_blocks(file: &File, bytes: &[u8], at: usize) -> std::io::Result<()> {
    let mut blocks = bytes.chunks(BLOCK).enumerate();
    blocks.try_for_each(|(i, block)| file.write_all_at(block, (at + i * BLOCK) as u64))
}

/// Reads a file by batches, each into one buffer that is used again, by two threads.
fn read_by_two(path: &Path, len: usize, batch: usize) -> Outcome {
    let file = File::open(path)?;
    let mut buffer = vec![0; batch];
    for at in (0..len).step_by(batch) {
        let part = &mut buffer[..batch.min(len - at)];
        let half = part.len() / 2;
        let (low, high) = part.split_at_mut(half);
        by_two(|| file.read_exact_at(low, at as u64), || file.read_exact_at(high, (at + half) as u64))?;
        black_box(&buffer);
    }
    Ok(())
}

/// Copies at most `len` bytes of a file by two threads.
fn copy_prefix(from: &Path, to: &Path, len: u64) -> Outcome {
    let source = File::open(from)?;
    let len = len.min(source.metadata()?.len());
    let target = File::create(to)?;
    rustix::fs::fallocate(&target, rustix::fs::FallocateFlags::empty(), 0, len)?;
    let copy = |range: std::ops::Range<u64>| {
        let mut buffer = vec![0; BLOCK];
        range.clone().step_by(BLOCK).try_for_each(|at| {
            let part = &mut buffer[..BLOCK.min((range.end - at) as usize)];
            source.read_exact_at(part, at)?;
            target.write_all_at(part, at)
        })
    };
    by_two(|| copy(0..len / 2), || copy(len / 2..len))
}

/// A value of `/proc/self/status`, in bytes; 0 where there is none.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

/// Looks at the memory of this process, not counting mapped files, until it is stopped.
struct Watch {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: std::thread::JoinHandle<u64>,
}

impl Watch {
    fn start() -> Watch {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = std::sync::Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            while !seen.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(memory("RssAnon:"));
                std::thread::sleep(Duration::from_millis(2));
            }
            most
        });
        Watch { stop, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.join().unwrap_or(0)
    }
}

/// Copies `bytes` into fresh memory; the loop becomes one memory copy.
fn fill(target: &mut [std::mem::MaybeUninit<u8>], bytes: &[u8]) {
    target.iter_mut().zip(bytes).for_each(|(target, &byte)| {
        target.write(byte);
    });
}
