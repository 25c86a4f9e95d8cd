//! `head`: the first rows of an array.

use numpack::{ArrayView, NpkResult, Store, with_element};
use serde_json::{Value, json};

use crate::args::Head;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, shape};

use crate::values::Element;

/// Elements of a row that are printed; of longer rows the first and the last ones are.
const ROW: usize = 1000;
/// Elements of an axis that are printed where rows have more than [`ROW`] of them on several axes.
const EDGE: usize = 6;
/// Rows that are read at once: memory stays bounded, however many are asked for.
const BATCH: u64 = 4 << 20;

/// Prints the first rows.
///
/// # Errors
/// Those of reading and printing.
pub(crate) fn head(args: &Head, output: &mut Output) -> NpkResult<Outcome> {
    let store = open(&args.store)?;
    let dtype = store.get_array_metadata(&args.array)?.dtype;
    with_element!(dtype, T => head_of::<T>(&store, args, output))
}

fn head_of<T: Element>(store: &Store, args: &Head, output: &mut Output) -> NpkResult<Outcome> {
    let view = store.get_array_view(&args.array)?;
    if args.json {
        return as_json::<T>(&view, args, output);
    }
    let inner = view.shape().get(1..).unwrap_or_default();
    let row = inner.iter().product::<u64>();
    let most = match inner.len() {
        _ if args.full || row <= ROW as u64 => usize::MAX,
        1 => ROW,
        _ => EDGE,
    };
    output.line(&format!("{} {}", view.dtype(), shape(view.shape())))?;
    let mut print = |values: &[T]| {
        let line = nested(values, inner, most);
        if args.full { output.whole_line(&line) } else { output.line(&line) }
    };
    let Some(&all) = view.shape().first() else {
        let value = view.to_array::<T>()?.into_raw_vec_and_offset().0;
        print(&value)?;
        return Ok(Outcome::Fine);
    };
    let (rows, row_bytes) = (all.min(u64::from(args.rows)), row.saturating_mul(size_of::<T>() as u64));
    let step = (BATCH / row_bytes.max(1)).max(1);
    for first in (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let values = view.rows::<T>(first..rows.min(first + step))?.into_raw_vec_and_offset().0;
        let count = (rows.min(first + step) - first) as usize;
        let row = row as usize;
        (0..count).try_for_each(|at| print(&values[at * row..(at + 1) * row]))?;
    }
    Ok(Outcome::Fine)
}

fn as_json<T: Element>(view: &ArrayView, args: &Head, output: &mut Output) -> NpkResult<Outcome> {
    let (rows, values) = match view.shape().first() {
        None => (None, view.to_array::<T>()?),
        Some(&all) => {
            let rows = all.min(u64::from(args.rows));
            (Some(rows), view.rows::<T>(0..rows)?)
        }
    };
    let mut printed = view.shape().to_vec();
    if let (Some(first), Some(rows)) = (printed.first_mut(), rows) {
        *first = rows;
    }
    let data: Vec<Value> = values.iter().map(|value| value.json()).collect();
    output.json(&json!({
        "array": args.array,
        "dtype": view.dtype().name(),
        "shape": view.shape(),
        "printed": printed,
        "data": data,
    }))?;
    Ok(Outcome::Fine)
}

/// The elements of one row in brackets, those of rows in rows as well; of axes with more than `most` of them the
/// first and the last ones.
fn nested<T: Element>(values: &[T], dims: &[u64], most: usize) -> String {
    let Some((&first, rest)) = dims.split_first() else {
        return values.first().map_or_else(String::new, |value| value.text());
    };
    let step = values.len().checked_div(first as usize).unwrap_or(0);
    let count = first as usize;
    let part = |at: usize| nested(&values[at * step..(at + 1) * step], rest, most);
    let parts: Vec<String> = if count <= most {
        (0..count).map(part).collect()
    } else {
        let ends = (0..most / 2).map(part).chain(["...".to_owned()]);
        ends.chain((count - most / 2..count).map(part)).collect()
    };
    format!("[{}]", parts.join(" "))
}
