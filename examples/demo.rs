//! What the store does, on real files, beside a `.npy` file of the same data: `make demo`.
//!
//! Every step changes the store, the `.npy` file and a plain vector in the same way; at the end all three must
//! agree to the last bit. An update of a `.npy` file is what programs do with one: load, change, save. Nothing
//! is synced on either side, except in the line that says so.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use numpack::ndarray::{Array2, ArrayD};
use numpack::prelude::*;

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// Times of which the median is shown.
const ROUNDS: usize = 5;
/// The same for replaces in the store, which take microseconds.
const MANY_ROUNDS: usize = 51;
/// The same for replaces in a `.npy` file, which rewrite it.
const FEW_ROUNDS: usize = 3;

fn main() -> Done {
    let begin = Instant::now();
    let folder = tempfile::tempdir()?;
    println!("NumPack beside .npy files, in a temporary folder.");
    println!(
        "Durability `process`: a finished call survives the death of any process; no call waits for the disk."
    );
    println!(
        "The .npy files are not synced either. Times are medians of {FEW_ROUNDS} to {MANY_ROUNDS} rounds."
    );
    println!("\".npy / NumPack\" above 1 means that NumPack is faster.");
    for (name, rows, columns) in [("measurements", 1_000_000, 10), ("embeddings", 100_000, 128)] {
        let mut table = Table::default();
        let mut demo = Demo::new(folder.path(), name, rows, columns)?;
        demo.save(&mut table)?;
        demo.read(&mut table)?;
        demo.append(&mut table)?;
        demo.replace(&mut table)?;
        demo.delete(&mut table)?;
        demo.compact_and_reopen(&mut table)?;
        let megabytes = (rows * columns * 4) as f64 / 1e6;
        println!("\n{name}: {rows} x {columns} float32, {megabytes:.0} MB");
        table.print();
        demo.compare()?;
    }
    println!("\nStore, .npy and the vector in memory agree bit for bit; verify() found nothing.");
    println!("The demo took {:.1} s.", begin.elapsed().as_secs_f64());
    Ok(())
}

/// One array in its three forms.
struct Demo {
    path: PathBuf,
    store: Store,
    npy: PathBuf,
    name: &'static str,
    columns: usize,
    /// What store and file should hold.
    rows: Vec<f32>,
    random: Random,
}

impl Demo {
    fn new(folder: &Path, name: &'static str, rows: usize, columns: usize) -> Done<Demo> {
        let path = folder.join("data.npk");
        let store = Store::new(path.clone())?;
        let mut random = Random(7);
        let rows = random.values(rows * columns);
        let npy = folder.join(format!("{name}.npy"));
        Ok(Demo { path, store, npy, name, columns, rows, random })
    }

    fn count(&self) -> usize {
        self.rows.len() / self.columns
    }

    fn array(&self, values: &[f32]) -> Done<ArrayD<f32>> {
        let rows = values.len() / self.columns;
        Ok(Array2::from_shape_vec((rows, self.columns), values.to_vec())?.into_dyn())
    }

    fn save(&mut self, table: &mut Table) -> Done {
        let array = [(self.name.to_string(), self.array(&self.rows)?, DataType::Float32)];
        let mut new = Times::default();
        for round in 0..ROUNDS {
            if round > 0 {
                self.store.drop_arrays(self.name, None)?;
                std::fs::remove_file(&self.npy)?;
            }
            new.store(|| Ok(self.store.save_arrays(&array)?))?;
            new.npy(|| Ok(npy::write(&self.npy, &self.rows, self.columns, false)?))?;
        }
        table.row("save a new array", new);
        let mut over = Times::default();
        for _ in 0..ROUNDS {
            over.store(|| Ok(self.store.save_arrays(&array)?))?;
            over.npy(|| Ok(npy::write(&self.npy, &self.rows, self.columns, false)?))?;
        }
        table.row("save over it", over);
        Ok(())
    }

    fn read(&mut self, table: &mut Table) -> Done {
        let mut load = Times::default();
        for _ in 0..ROUNDS {
            load.store(|| Ok(self.store.load_array::<f32>(self.name)?))?;
            load.npy(|| Ok(npy::read(&self.npy)?))?;
        }
        table.row("load all of it", load);
        let mut gather = Times::default();
        for _ in 0..ROUNDS {
            let picked = self.random.rows(1000, self.count());
            let indexes = as_indexes(&picked);
            let ours = gather.store(|| Ok(self.store.getitem::<f32>(self.name, &indexes)?))?;
            let theirs = gather.npy(|| Ok(npy::read_rows(&self.npy, self.columns, &picked)?))?;
            expect(ours.as_slice() == Some(theirs.as_slice()), "the picked rows agree")?;
        }
        table.row("read 1000 random rows (.npy: a pread each)", gather);
        let mut stream = Times::default();
        for _ in 0..ROUNDS {
            let ours = stream.store(|| {
                let batches = self.store.stream_load::<f32>(self.name, 10_000)?;
                batches.map(|batch| Ok(batch?.iter().copied().map(f64::from).sum::<f64>())).sum::<Done<f64>>()
            })?;
            let theirs = stream.npy(|| Ok(npy::stream_sum(&self.npy, 10_000 * self.columns)?))?;
            expect((ours - theirs).abs() < 1e-3, "the sums agree")?;
        }
        table.row("sum it in batches of 10000 rows", stream);
        Ok(())
    }

    fn append(&mut self, table: &mut Table) -> Done {
        let mut times = Times::default();
        for _ in 0..ROUNDS {
            let more = self.random.values(1000 * self.columns);
            let array = self.array(&more)?;
            times.store(|| Ok(self.store.append_rows(self.name, &array)?))?;
            times.npy(|| update(&self.npy, false, |rows| rows.extend_from_slice(&more)))?;
            self.rows.extend_from_slice(&more);
        }
        table.row("append 1000 rows", times);
        Ok(())
    }

    fn replace(&mut self, table: &mut Table) -> Done {
        let start = self.count() / 3;
        let together: Vec<usize> = (start..start + 100).collect();
        let scattered = self.random.rows(1000, self.count());
        let process = self.store.clone();
        self.replace_rows(table, "replace 100 rows in a run", &process, &together, false)?;
        self.replace_rows(table, "replace 1000 scattered rows", &process, &scattered, false)?;
        let power = OpenOptions::new().durability(Durability::Power).open(&self.path)?;
        self.replace_rows(table, "replace 100 rows, durability `power`, .npy synced", &power, &together, true)
    }

    fn replace_rows(
        &mut self,
        table: &mut Table,
        what: &'static str,
        store: &Store,
        rows: &[usize],
        sync: bool,
    ) -> Done {
        let indexes = as_indexes(rows);
        let columns = self.columns;
        let values = self.random.values(rows.len() * columns);
        let array = self.array(&values)?;
        let put = |all: &mut Vec<f32>| {
            for (row, new) in rows.iter().zip(values.chunks(columns)) {
                all[row * columns..][..columns].copy_from_slice(new);
            }
        };
        let mut times = Times::default();
        let rounds = if sync { ROUNDS } else { MANY_ROUNDS };
        for _ in 0..rounds {
            times.store(|| Ok(store.replace_rows(self.name, &array, &indexes)?))?;
        }
        for _ in 0..FEW_ROUNDS {
            times.npy(|| update(&self.npy, sync, put))?;
        }
        put(&mut self.rows);
        table.row(what, times);
        Ok(())
    }

    fn delete(&mut self, table: &mut Table) -> Done {
        let mut times = Times::default();
        for _ in 0..ROUNDS {
            let mut gone = self.random.rows(1000, self.count());
            gone.sort_unstable();
            gone.dedup();
            let indexes = as_indexes(&gone);
            let columns = self.columns;
            times.store(|| Ok(self.store.drop_arrays(self.name, Some(&indexes))?))?;
            times.npy(|| update(&self.npy, false, |rows| remove_rows(rows, columns, &gone)))?;
            remove_rows(&mut self.rows, columns, &gone);
        }
        table.row("delete 1000 scattered rows", times);
        Ok(())
    }

    fn compact_and_reopen(&mut self, table: &mut Table) -> Done {
        let mut compact = Times::default();
        compact.store(|| Ok(self.store.compact_array(self.name)?))?;
        table.row("compact (once, with the sync of a new log)", compact);
        let mut sync = Times::default();
        sync.store(|| Ok(self.store.sync_metadata()?))?;
        table.row("sync everything to the disk (once)", sync);
        let mut reopen = Times::default();
        for _ in 0..ROUNDS {
            // Handles of one store share their state in a process: only a read-only one opens it anew.
            reopen.store(|| {
                let store = OpenOptions::new().mode(Mode::Read).open(&self.path)?;
                Ok(store.getitem::<f32>(self.name, &[-1])?)
            })?;
        }
        table.row("open the store and read one row", reopen);
        Ok(())
    }

    /// Checks that the store, opened anew, and the `.npy` file hold what they should.
    fn compare(&self) -> Done {
        let store = OpenOptions::new().mode(Mode::Read).open(&self.path)?;
        let (shape, ours) = store.load_vec::<f32>(self.name)?;
        expect(shape == [self.count() as u64, self.columns as u64], "the shapes agree")?;
        expect(ours == self.rows, "the store holds what it should")?;
        expect(npy::read(&self.npy)? == (self.columns, ours), "the .npy file agrees")?;
        let report = store.verify()?;
        expect(report.findings.is_empty(), &format!("verify() finds nothing: {:?}", report.findings))
    }
}

/// Loads a `.npy` file, changes its rows and saves it.
fn update(path: &Path, sync: bool, change: impl FnOnce(&mut Vec<f32>)) -> Done {
    let (columns, mut rows) = npy::read(path)?;
    change(&mut rows);
    Ok(npy::write(path, &rows, columns, sync)?)
}

fn remove_rows(rows: &mut Vec<f32>, columns: usize, gone: &[usize]) {
    let mut kept = gone[0] * columns;
    for (i, &row) in gone.iter().enumerate() {
        let next = gone.get(i + 1).map_or(rows.len(), |next| next * columns);
        rows.copy_within((row + 1) * columns..next, kept);
        kept += next - (row + 1) * columns;
    }
    rows.truncate(kept);
}

fn as_indexes(rows: &[usize]) -> Vec<i64> {
    rows.iter().map(|&row| row as i64).collect()
}

fn expect(holds: bool, what: &str) -> Done {
    if holds { Ok(()) } else { Err(format!("this should hold and does not: {what}").into()) }
}

/// How long the two sides took, round by round.
#[derive(Default)]
struct Times {
    store: Vec<Duration>,
    npy: Vec<Duration>,
}

impl Times {
    fn store<R>(&mut self, work: impl FnOnce() -> Done<R>) -> Done<R> {
        timed(&mut self.store, work)
    }

    fn npy<R>(&mut self, work: impl FnOnce() -> Done<R>) -> Done<R> {
        timed(&mut self.npy, work)
    }
}

fn timed<R>(times: &mut Vec<Duration>, work: impl FnOnce() -> Done<R>) -> Done<R> {
    let begin = Instant::now();
    let result = work();
    times.push(begin.elapsed());
    result
}

/// What was measured.
#[derive(Default)]
struct Table(Vec<(&'static str, Times)>);

impl Table {
    fn row(&mut self, what: &'static str, times: Times) {
        self.0.push((what, times));
    }

    fn print(&mut self) {
        println!("  {:<50} {:>10} {:>10} {:>15}", "", "NumPack", ".npy", ".npy / NumPack");
        for (what, times) in &mut self.0 {
            let (ours, theirs) = (median(&mut times.store), median(&mut times.npy));
            let ratio =
                ours.zip(theirs).map(|(ours, theirs)| ratio(theirs.as_secs_f64() / ours.as_secs_f64()));
            let ratio = ratio.unwrap_or_default();
            println!("  {what:<50} {:>10} {:>10} {ratio:>15}", in_words(ours), in_words(theirs));
        }
    }
}

fn median(times: &mut [Duration]) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn in_words(time: Option<Duration>) -> String {
    match time {
        None => "-".into(),
        Some(time) if time < Duration::from_millis(1) => format!("{:.1} us", time.as_secs_f64() * 1e6),
        Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1e3),
    }
}

fn ratio(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}x") } else { format!("{value:.0}x") }
}

/// A splitmix64 sequence: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Numbers from 0 to 1.
    fn values(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| (self.next() >> 40) as f32 / (1_u64 << 24) as f32).collect()
    }

    fn rows(&mut self, len: usize, of: usize) -> Vec<usize> {
        (0..len).map(|_| (self.next() % of as u64) as usize).collect()
    }
}

/// Just enough of the `.npy` format, version 1.0: two-dimensional little-endian `f32` in C order.
mod npy {
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    const MAGIC: &[u8; 8] = b"\x93NUMPY\x01\x00";

    pub(super) fn write(path: &Path, values: &[f32], columns: usize, sync: bool) -> io::Result<()> {
        let rows = values.len() / columns;
        let mut header =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        // Magic, length and header end at a multiple of 64.
        let len = (MAGIC.len() + 2 + header.len() + 1).next_multiple_of(64) - MAGIC.len() - 2;
        header.push_str(&" ".repeat(len - header.len() - 1));
        header.push('\n');
        let mut file = File::create(path)?;
        file.write_all(&[&MAGIC[..], &(len as u16).to_le_bytes(), header.as_bytes()].concat())?;
        file.write_all(bytemuck::cast_slice(values))?;
        if sync { file.sync_data() } else { Ok(()) }
    }

    /// Columns and values.
    pub(super) fn read(path: &Path) -> io::Result<(usize, Vec<f32>)> {
        let mut file = File::open(path)?;
        let (_, rows, columns) = read_header(&mut file)?;
        let mut values = vec![0.0; rows * columns];
        file.read_exact(bytemuck::cast_slice_mut(&mut values))?;
        Ok((columns, values))
    }

    pub(super) fn read_rows(path: &Path, columns: usize, rows: &[usize]) -> io::Result<Vec<f32>> {
        let mut file = File::open(path)?;
        let (data_at, ..) = read_header(&mut file)?;
        let mut values = vec![0.0; rows.len() * columns];
        for (row, target) in rows.iter().zip(values.chunks_mut(columns)) {
            file.read_exact_at(bytemuck::cast_slice_mut(target), data_at + (row * columns * 4) as u64)?;
        }
        Ok(values)
    }

    /// Sum of all values, in memory for `batch` of them.
    pub(super) fn stream_sum(path: &Path, batch: usize) -> io::Result<f64> {
        let mut file = File::open(path)?;
        let (_, rows, columns) = read_header(&mut file)?;
        let (mut left, mut sum) = (rows * columns, 0.0);
        let mut values = vec![0.0_f32; batch];
        while left > 0 {
            let part = &mut values[..batch.min(left)];
            file.read_exact(bytemuck::cast_slice_mut(part))?;
            sum += part.iter().copied().map(f64::from).sum::<f64>();
            left -= part.len();
        }
        Ok(sum)
    }

    /// Where the data begins, rows, columns.
    fn read_header(file: &mut File) -> io::Result<(u64, usize, usize)> {
        let mut start = [0; 10];
        file.read_exact(&mut start)?;
        let len = u16::from_le_bytes([start[8], start[9]]);
        let mut header = vec![0; usize::from(len)];
        file.read_exact(&mut header)?;
        parse(&start, &header)
            .map(|(rows, columns)| (10 + u64::from(len), rows, columns))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no .npy file that this demo reads"))
    }

    fn parse(start: &[u8; 10], header: &[u8]) -> Option<(usize, usize)> {
        let text = std::str::from_utf8(header).ok()?;
        let plain = text.contains("'<f4'") && text.contains("'fortran_order': False");
        let (shape, _) = text.split_once("'shape': (")?.1.split_once(')')?;
        let (rows, columns) = shape.split_once(',')?;
        let shape = (rows.trim().parse().ok()?, columns.trim().parse().ok()?);
        (start.starts_with(MAGIC) && plain).then_some(shape)
    }
}
