//! Packing and unpacking beside the program `zstd` on the same bytes.
//!
//! `cargo bench -p numpack --bench package` with `zstd` on the path; `-- --quick` takes smaller arrays. Each
//! row is the fastest of alternating runs. `process` rows do not wait for the disk, and `zstd` does not
//! either; in `power` rows both sides end with a sync of what they made.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use numpack::package::{PackOptions, UnpackOptions, info, pack, quiet, unpack};
use numpack::prelude::*;

type Failure = Box<dyn std::error::Error>;
type Outcome = Result<(), Failure>;

/// The fastest of so many runs.
const RUNS: usize = 5;

fn main() -> Outcome {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let count = if quick { 10 << 20 } else { 75 << 20 };
    println!("{:<28} {:>9} {:>9} {:>7} {:>9} {:>9}", "work", "numpack", "zstd", "times", "packed", "by zstd");
    for (name, values) in [("normal", normal(count)), ("walk", walk(count)), ("counts", counts(count))] {
        measure(name, &values)?;
    }
    Ok(())
}

/// A generator of no quality: the same numbers every time.
fn random() -> impl FnMut() -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Embeddings as models give them: normal, without structure.
fn normal(count: usize) -> Vec<f32> {
    let mut next = random();
    (0..count).map(|_| ((0..4).map(|_| next()).sum::<f64>() - 2.0) as f32).collect()
}

/// A measurement that changes slowly.
fn walk(count: usize) -> Vec<f32> {
    let (mut next, mut at) = (random(), 20.0);
    let mut step = || {
        at += (next() - 0.5) * 0.01;
        (at * 1000.0).round() as f32 / 1000.0
    };
    (0..count).map(|_| step()).collect()
}

/// Small whole numbers as floats.
fn counts(count: usize) -> Vec<f32> {
    let mut next = random();
    (0..count).map(|_| (next() * next() * 50.0).floor() as f32).collect()
}

fn measure(name: &str, values: &[f32]) -> Outcome {
    let dir = tempfile::tempdir()?;
    let path = |name: &str| dir.path().join(name);
    let store = Store::new(path("data.npk"))?;
    store.save_slice("x", values, &[values.len() as u64])?;
    store.sync_metadata()?;
    let raw = path("data.npk").join(store.get_array_metadata("x")?.data_file);
    std::fs::copy(&raw, path("raw"))?;
    for (mode, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        let sync = durability == Durability::Power;
        let options = PackOptions::new().overwrite(true).durability(durability);
        let (ours, theirs) = race(
            &[path("data.npkg"), path("raw.zst")],
            || pack(path("data.npk"), None, options, quiet).map(drop).map_err(Failure::from),
            || zstd(&["-T2", "-3", "-f"], &path("raw"), &path("raw.zst"), sync),
        )?;
        let bytes = size_of_val(values) as f64;
        let ratio = |len: u64| format!("{:.1} %", len as f64 / bytes * 100.0);
        let packed = [info(path("data.npkg"))?.file_bytes, path("raw.zst").metadata()?.len()].map(ratio);
        print(&format!("pack {name} {mode}"), ours, theirs, packed);
        let options = UnpackOptions::new().durability(durability);
        let (ours, theirs) = race(
            &[path("copy.npk"), path("raw.back")],
            || {
                unpack(path("data.npkg"), Some(&path("copy.npk")), options, quiet)
                    .map(drop)
                    .map_err(Failure::from)
            },
            || zstd(&["-d", "-f"], &path("raw.zst"), &path("raw.back"), sync),
        )?;
        print(&format!("unpack {name} {mode}"), ours, theirs, Default::default());
    }
    Ok(())
}

/// Runs both in turn; what they made is removed before each run, outside of its time.
fn race(
    made: &[PathBuf],
    mut ours: impl FnMut() -> Outcome,
    mut theirs: impl FnMut() -> Outcome,
) -> Result<(Duration, Duration), Failure> {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        clear(made)?;
        best.0 = best.0.min(timed(&mut ours)?);
        best.1 = best.1.min(timed(&mut theirs)?);
    }
    Ok(best)
}

fn clear(made: &[PathBuf]) -> Outcome {
    for path in made.iter().filter(|path| path.exists()) {
        if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
    }
    Ok(())
}

fn timed(work: &mut impl FnMut() -> Outcome) -> Result<Duration, Failure> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn zstd(arguments: &[&str], from: &Path, to: &Path, sync: bool) -> Outcome {
    let mut command = Command::new("zstd");
    command.args(arguments).arg("-q").arg(from).arg("-o").arg(to).stdin(Stdio::null());
    if !command.status()?.success() {
        return Err("zstd failed".into());
    }
    if sync {
        File::open(to)?.sync_all()?;
    }
    Ok(())
}

fn print(what: &str, ours: Duration, theirs: Duration, packed: [String; 2]) {
    let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
    let times = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{what:<28} {:>9} {:>9} {times:>7.2} {:>9} {:>9}", ms(ours), ms(theirs), packed[0], packed[1]);
}
