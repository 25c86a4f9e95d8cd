//! `stats`: ends, quartiles, mean, deviation, NaN count and a histogram, some megabytes at a time.
//!
//! The first pass finds the ends and the mean, the second one fills the bars between the ends and sums the squares of
//! what lies around the mean; each pass settles sixteen bits of the quartiles, so that elements of 64 bits take four.

use std::ops::ControlFlow;

use numpack::ndarray::ArrayD;
use numpack::{ArrayMetadata, NpkError, NpkResult, Store, with_element};
use serde_json::{Value, json};

use super::ranks::{self, Ranks};
use crate::args::Stats;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, clean, shape};
use crate::progress::Work;
use crate::values::{Element, float};

/// Bytes read at a time.
const BATCH: u64 = 4 << 20;
/// Quarters of the elements below which a quartile lies.
const QUARTILES: [u128; 3] = [1, 2, 3];
/// Longest bar that is drawn.
const LONGEST_BAR: usize = 60;

/// What is known of an array.
struct Measured {
    metadata: ArrayMetadata,
    count: u64,
    nan: u64,
    ends: Option<[(String, Value); 2]>,
    mean: Option<(String, Value)>,
    std: Option<f64>,
    quartiles: Option<Vec<(String, Value)>>,
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

/// What the second pass finds.
struct Spread {
    centre: f64,
    /// The largest distance from the centre: squares of what is divided by it do not overflow.
    scale: f64,
    squares: Mean,
    low: f64,
    high: f64,
    counts: Vec<u64>,
}

impl Spread {
    fn new<T: Element>(sums: &Sums<T>, bins: usize) -> Option<Spread> {
        let (low, high) = sums.finite?;
        let centre = sums.mean[0].of(sums.count - sums.nan);
        let scale = (high - centre).max(centre - low);
        Some(Spread { centre, scale, squares: Mean::default(), low, high, counts: vec![0; bins] })
    }

    fn add(&mut self, value: f64) {
        self.squares.add(((value - self.centre) / self.scale).powi(2));
        if !value.is_finite() || self.counts.is_empty() {
            return;
        }
        // Halves first: the width of all floats is none.
        let (width, last) = (self.high / 2.0 - self.low / 2.0, self.counts.len() - 1);
        let place = match width > 0.0 {
            true => (((value / 2.0 - self.low / 2.0) / width * self.counts.len() as f64) as usize).min(last),
            false => 0,
        };
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
    }

    fn deviation(&self, count: u64) -> f64 {
        if self.scale == 0.0 { 0.0 } else { self.squares.of(count).sqrt() * self.scale }
    }
}

fn measure<T: Element>(
    store: &Store,
    metadata: ArrayMetadata,
    bins: usize,
    work: &Work,
) -> NpkResult<Measured> {
    let mut sums = Sums::<T>::new();
    let mut quartiles = Ranks::new::<T>(QUARTILES.len());
    let passes = if T::ORDERED { ranks::passes(T::BITS).max(2) } else { 1 };
    let is_nan = |value: T| value.parts().0.is_nan();
    each_batch(store, &metadata, work, (0, passes.into()), |batch| {
        for &value in batch {
            sums.add(value);
            if T::ORDERED && !is_nan(value) {
                quartiles.see(value);
            }
        }
    })?;
    let known = sums.count - sums.nan;
    // In integers: a rank beyond 2^53 is no float.
    let rank = |quarter: u128| (u128::from(known.saturating_sub(1)) * quarter / 4) as u64;
    quartiles.set(&QUARTILES.map(rank));
    let mut spread = if T::ORDERED { Spread::new(&sums, bins) } else { None };
    for pass in 1..passes {
        quartiles.settle();
        each_batch::<T>(store, &metadata, work, (pass.into(), passes.into()), |batch| {
            for &value in batch.iter().filter(|&&value| !is_nan(value)) {
                quartiles.see(value);
                if let Some(spread) = spread.as_mut().filter(|_| pass == 1) {
                    spread.add(value.parts().0);
                }
            }
        })?;
    }
    quartiles.settle();
    let shown = |value: T| (value.text(), value.json());
    Ok(Measured {
        count: sums.count,
        nan: sums.nan,
        ends: sums.ends.filter(|_| T::ORDERED).map(|(low, high)| [low, high].map(shown)),
        mean: sums.mean(),
        std: spread.as_ref().map(|spread| spread.deviation(known)),
        quartiles: quartiles
            .found::<T>()
            .filter(|_| known > 0)
            .map(|found| found.into_iter().map(shown).collect()),
        histogram: spread.filter(|_| bins > 0).map(|spread| (spread.low, spread.high, spread.counts)),
        metadata,
    })
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
            "std": self.std.map(|std| float(std, std.text())),
            "quartiles": self.quartiles.iter().flatten().map(|(_, value)| value.clone()).collect::<Vec<_>>(),
            "histogram": histogram,
        })
    }

    fn print(&self, output: &mut Output) -> NpkResult<()> {
        let Measured { metadata, .. } = self;
        let title = format!("{}: {} {}", clean(&metadata.name), metadata.dtype, shape(&metadata.shape));
        let constant = self.ends.as_ref().filter(|[low, high]| low.0 == high.0 && self.nan == 0);
        if let Some([low, _]) = constant {
            output.line(&format!("{title}, each element is {}", low.0))?;
            return output.line("");
        }
        output.line(&title)?;
        if let (Some([low, high]), Some(quartiles)) = (&self.ends, &self.quartiles) {
            output.line(&format!("  min   {}", low.0))?;
            for (label, (value, _)) in ["25 % ", "50 % ", "75 % "].iter().zip(quartiles) {
                output.line(&format!("  {label} {value}"))?;
            }
            output.line(&format!("  max   {}", high.0))?;
        }
        if let Some((mean, _)) = &self.mean {
            output.line(&format!("  mean  {mean}"))?;
        }
        if let Some(std) = self.std {
            output.line(&format!("  std   {}", std.text()))?;
        }
        output.line(&format!("  NaN   {} of {}", self.nan, self.count))?;
        if let Some((low, high, counts)) = &self.histogram {
            draw(*low, *high, counts, output)?;
        }
        output.line("")
    }
}

/// Draws bars beside both ends of each.
fn draw(low: f64, high: f64, counts: &[u64], output: &mut Output) -> NpkResult<()> {
    let bins = counts.len() as f64;
    let edge = |bin: usize| plain(low + (high / bins - low / bins) * bin as f64);
    let edges: Vec<String> = (0..counts.len()).map(edge).chain([plain(high)]).collect();
    let wide = edges.iter().map(String::len).max().unwrap_or(0);
    let label_of = |ends: &[String]| match ends {
        [from, to] => format!("{from:>wide$} to {to:>wide$}"),
        _ => String::new(),
    };
    let labels: Vec<String> = edges.windows(2).map(label_of).collect();
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

/// A number in six digits, without an exponent where it can be read without one.
fn plain(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-4..1e15).contains(&size) {
        return format!("{value:.5e}");
    }
    let whole = if size < 1.0 { 0 } else { size.log10() as usize + 1 };
    // Digits behind the point: six that count.
    let lead = if value != 0.0 && size < 1.0 { (-size.log10()) as usize } else { 0 };
    let text = format!("{value:.*}", (6_usize + lead).saturating_sub(whole));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A bar of this many columns, to an eighth.
fn bar(length: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (length * 8.0).round() as usize;
    let full: String = std::iter::repeat_n('█', eighths / 8).collect();
    format!("{full}{}", EIGHTHS[eighths % 8]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_plain_numbers() {
        let shown = [0.0, 1.0, -2.5, 1234567.0, 0.1, 0.000_123_456_78, 1e15, 3e-9, 499.5, -0.333_333_333];
        let texts = [
            "0",
            "1",
            "-2.5",
            "1234567",
            "0.1",
            "0.000123457",
            "1.00000e15",
            "3.00000e-9",
            "499.5",
            "-0.333333",
        ];
        assert_eq!(shown.map(plain), texts);
    }
}
