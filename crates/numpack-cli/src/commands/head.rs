//! `head`: the first rows of an array.

use numpack::{NpkResult, Store, with_element};
use serde_json::{Value, json};

use crate::args::Head;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, shape};

use crate::values::Element;

/// Elements of a row that are printed; of longer rows the first and the last ones are.
const ROW: usize = 1000;

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
    let (rows, values) = match view.shape().first() {
        None => (None, view.to_array::<T>()?),
        Some(&all) => {
            let rows = all.min(u64::from(args.rows));
            (Some(rows), view.rows::<T>(0..rows)?)
        }
    };
    let values = values.into_raw_vec_and_offset().0;
    if args.json {
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
        return Ok(Outcome::Fine);
    }
    output.line(&format!("{} {}", view.dtype(), shape(view.shape())))?;
    let inner = view.shape().get(1..).unwrap_or_default();
    let row = usize::try_from(inner.iter().product::<u64>()).unwrap_or(usize::MAX);
    for at in 0..rows.unwrap_or(1) as usize {
        output.line(&nested(&values[at * row..(at + 1) * row], inner))?;
    }
    Ok(Outcome::Fine)
}

/// The elements of one row in brackets, those of rows in rows as well.
fn nested<T: Element>(values: &[T], dims: &[u64]) -> String {
    let Some((&first, rest)) = dims.split_first() else {
        return values.first().map_or_else(String::new, |value| value.text());
    };
    let step = values.len().checked_div(first as usize).unwrap_or(0);
    let count = first as usize;
    let part = |at: usize| nested(&values[at * step..(at + 1) * step], rest);
    let parts: Vec<String> = if count <= ROW {
        (0..count).map(part).collect()
    } else {
        let ends = (0..ROW / 2).map(part).chain(["...".to_owned()]);
        ends.chain((count - ROW / 2..count).map(part)).collect()
    };
    format!("[{}]", parts.join(" "))
}
