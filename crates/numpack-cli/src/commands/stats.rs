//! `stats`: minimum, maximum, mean, NaN count and a histogram, some megabytes at a time.
//!
//! The first pass finds the ends, the second one fills the bars between them.

use std::ops::ControlFlow;

use numpack::ndarray::ArrayD;
use numpack::{ArrayMetadata, NpkError, NpkResult, Store, with_element};
use serde_json::{Value, json};

use crate::args::Stats;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, clean, shape};
use crate::progress::Work;
use crate::values::{Element, float};

/// Bytes read at a time.
const BATCH: u64 = 4 << 20;
/// Longest bar that is drawn.
const LONGEST_BAR: usize = 60;

/// What is known of an array.
struct Measured {
    metadata: ArrayMetadata,
    count: u64,
    nan: u64,
    ends: Option<[(String, Value); 2]>,
    mean: Option<(String, Value)>,
    /// Where the bars begin and end, and the elements in each.
    histogram: Option<(f64, f64, Vec<u64>)>,
}

/// Measures arrays and prints what was found.
///
/// # Errors
/// Those of reading and printing.
pub(crate) fn stats(args: &Stats, output: &mut Output) -> NpkResult<Outcome> {
    let store = open(&args.store)?;
    let names = if args.arrays.is_empty() { store.list_arrays() } else { args.arrays.clone() };
    let arrays = names.iter().map(|name| store.get_array_metadata(name)).collect::<NpkResult<Vec<_>>>()?;
    let mut measured = Vec::new();
    for metadata in arrays {
        let work = Work::new(&clean(&metadata.name), !args.json)?;
        let one = with_element!(metadata.dtype, T => measure::<T>(&store, metadata, usize::from(args.bins), &work))?;
        drop(work);
        if args.json {
            measured.push(one.json());
        } else {
            one.print(output)?;
        }
    }
    if args.json {
        output.json(&json!({ "store": args.store.display().to_string(), "arrays": measured }))?;
    }
    Ok(Outcome::Fine)
}

/// Calls `see` with every element, in order.
fn each_batch<T: Element>(
    store: &Store,
    array: &ArrayMetadata,
    work: &Work,
    passes: (u64, u64),
    mut see: impl FnMut(&ArrayD<T>),
) -> NpkResult<()> {
    let Some(&rows) = array.shape.first() else {
        see(&store.load_array(&array.name)?);
        return Ok(());
    };
    let row = array.size_bytes.checked_div(rows).unwrap_or(0).max(1);
    let step = (BATCH / row).max(1);
    let (mut done, (pass, all)) = (0, passes);
    for batch in store.stream_load::<T>(&array.name, step as usize)? {
        see(&batch?);
        done += step.min(rows.saturating_sub(done));
        if let ControlFlow::Break(()) = work.at((pass * rows + done) * row, all * rows * row) {
            let stopped = std::io::Error::new(std::io::ErrorKind::Interrupted, "interrupted");
            return Err(NpkError::Io { path: store.path().to_owned(), source: stopped });
        }
    }
    Ok(())
}

/// What the first pass finds.
struct Sums<T> {
    count: u64,
    nan: u64,
    ends: Option<(T, T)>,
    /// The ends of the finite elements.
    finite: Option<(f64, f64)>,
    mean: [Mean; 2],
}

/// A mean of many numbers: what an addition loses is carried on (Neumaier).
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    lost: f64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn of(self, count: u64) -> f64 {
        // An infinite sum has lost "not a number".
        let sum = if self.sum.is_finite() { self.sum + self.lost } else { self.sum };
        sum / count as f64
    }
}

impl<T: Element> Sums<T> {
    fn new() -> Self {
        Sums { count: 0, nan: 0, ends: None, finite: None, mean: [Mean::default(); 2] }
    }

    fn add(&mut self, value: T) {
        self.count += 1;
        let (re, im) = value.parts();
        if re.is_nan() || im.is_nan() {
            self.nan += 1;
            return;
        }
        self.mean[0].add(re);
        self.mean[1].add(im);
        let (low, high) = self.ends.get_or_insert((value, value));
        if value.is_less(*low) {
            *low = value;
        }
        if high.is_less(value) {
            *high = value;
        }
        if re.is_finite() {
            let (low, high) = self.finite.get_or_insert((re, re));
            (*low, *high) = (low.min(re), high.max(re));
        }
    }

    fn mean(&self) -> Option<(String, Value)> {
        let count = self.count - self.nan;
        let [re, im] = self.mean.map(|mean| mean.of(count));
        match (count, T::ORDERED) {
            (0, _) => None,
            (_, true) => Some((re.text(), float(re, re.text()))),
            (_, false) => {
                let mean = numpack::num_complex::Complex64::new(re, im);
                Some((mean.text(), mean.json()))
            }
        }
    }
}

fn measure<T: Element>(
    store: &Store,
    metadata: ArrayMetadata,
    bins: usize,
    work: &Work,
) -> NpkResult<Measured> {
    let mut sums = Sums::<T>::new();
    let bars = T::ORDERED && bins > 0;
    let passes = 1 + u64::from(bars);
    each_batch(store, &metadata, work, (0, passes), |batch| batch.iter().for_each(|&value| sums.add(value)))?;
    let mut histogram = None;
    if let Some((low, high)) = sums.finite.filter(|_| bars) {
        let mut counts = vec![0; bins];
        // Halves first: the width of all floats is none.
        let width = high / 2.0 - low / 2.0;
        let place = |value: f64| match width > 0.0 {
            true => (((value / 2.0 - low / 2.0) / width * bins as f64) as usize).min(bins - 1),
            false => 0,
        };
        each_batch::<T>(store, &metadata, work, (1, passes), |batch| {
            let finite = batch.iter().map(|value| value.parts().0).filter(|value| value.is_finite());
            finite.for_each(|value| counts[place(value)] += 1);
        })?;
        histogram = Some((low, high, counts));
    }
    let ends = sums.ends.filter(|_| T::ORDERED).map(|(low, high)| [low, high].map(|v| (v.text(), v.json())));
    Ok(Measured { count: sums.count, nan: sums.nan, ends, mean: sums.mean(), histogram, metadata })
}

impl Measured {
    fn json(&self) -> Value {
        let value = |pair: Option<&(String, Value)>| pair.map_or(Value::Null, |(_, value)| value.clone());
        let histogram = self
            .histogram
            .as_ref()
            .map(|(low, high, counts)| json!({ "low": low, "high": high, "counts": counts }));
        json!({
            "name": self.metadata.name,
            "dtype": self.metadata.dtype.name(),
            "shape": self.metadata.shape,
            "count": self.count,
            "nan": self.nan,
            "min": value(self.ends.as_ref().map(|ends| &ends[0])),
            "max": value(self.ends.as_ref().map(|ends| &ends[1])),
            "mean": value(self.mean.as_ref()),
            "histogram": histogram,
        })
    }

    fn print(&self, output: &mut Output) -> NpkResult<()> {
        let Measured { metadata, .. } = self;
        output.line(&format!("{}: {} {}", clean(&metadata.name), metadata.dtype, shape(&metadata.shape)))?;
        if let Some([low, high]) = &self.ends {
            output.line(&format!("  min   {}", low.0))?;
            output.line(&format!("  max   {}", high.0))?;
        }
        if let Some((mean, _)) = &self.mean {
            output.line(&format!("  mean  {mean}"))?;
        }
        output.line(&format!("  NaN   {} of {}", self.nan, self.count))?;
        if let Some((low, high, counts)) = &self.histogram {
            draw(*low, *high, counts, output)?;
        }
        output.line("")
    }
}

/// Draws bars beside the lower end of each.
fn draw(low: f64, high: f64, counts: &[u64], output: &mut Output) -> NpkResult<()> {
    let bins = counts.len() as f64;
    let labels: Vec<String> = (0..counts.len())
        .map(|bin| format!("{:.4e}", low + (high / bins - low / bins) * bin as f64))
        .collect();
    let label = labels.iter().map(String::len).max().unwrap_or(0);
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let number = most.to_string().len();
    let room = output.width().saturating_sub(label + number + 4).clamp(1, LONGEST_BAR);
    for (text, &count) in labels.iter().zip(counts) {
        output.line(&format!(
            "  {text:>label$} {count:>number$} {}",
            bar(count as f64 / most as f64 * room as f64)
        ))?;
    }
    Ok(())
}

/// A bar of this many columns, to an eighth.
fn bar(length: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (length * 8.0).round() as usize;
    let full: String = std::iter::repeat_n('█', eighths / 8).collect();
    format!("{full}{}", EIGHTHS[eighths % 8]).trim_end().to_owned()
}
