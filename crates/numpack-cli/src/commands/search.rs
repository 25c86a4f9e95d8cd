//! `search`: the rows of an array that are nearest to a query.

use std::path::Path;
use std::str::FromStr;

use numpack::npy::Reader;
use numpack::vector::{Hits, Metric, SearchOptions, Vectors};
use numpack::{ArrayMetadata, DataType, NpkError, Store};
use serde_json::{Value, json};

use crate::args::Search;
use crate::failure::Failure;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::progress::Work;
use crate::values::{Element, float};

/// Queries in memory of their own.
struct Queries {
    bytes: Vec<u8>,
    dtype: DataType,
    shape: Vec<usize>,
}

/// Searches and prints the best rows.
///
/// # Errors
/// Usage, and those of reading, searching and printing.
pub(crate) fn search(args: &Search, output: &mut Output) -> Result<Outcome, Failure> {
    let store = open(&args.store)?;
    let array = store.get_array_metadata(&args.array)?;
    let metric: Metric = args.metric.parse()?;
    let queries = queries(args, &store, &array, metric)?;
    let vectors = Vectors::from_bytes(&queries.bytes, queries.dtype, &queries.shape)?;
    // Shows nothing: a search is done before a bar could tell when.
    let work = Work::new("", false)?;
    let rows = args.rows.unwrap_or_default();
    let options = SearchOptions { rows, cancel: Some(work.stop()), ..SearchOptions::default() };
    let hits = store.search(&args.array, &vectors, args.k, metric, &options)?;
    drop(work);
    let groups = Groups { hits, queries: vectors.rows() };
    if args.json {
        output.json(&json!({
            "store": args.store.display().to_string(),
            "array": args.array,
            "metric": metric.name(),
            "k": args.k,
            "queries": groups.json(),
        }))?;
    } else {
        groups.print(output)?;
    }
    Ok(Outcome::Fine)
}

fn queries(args: &Search, store: &Store, array: &ArrayMetadata, metric: Metric) -> Result<Queries, Failure> {
    if let Some(row) = args.row {
        if array.shape.len() != 2 {
            let text =
                format!("{:?} has the shape {:?}: search wants two dimensions", array.name, array.shape);
            return Err(Failure::usage(text));
        }
        let bytes = store.read_rows(&array.name, &[row])?;
        return Ok(Queries { bytes, dtype: array.dtype, shape: vec![array.shape[1] as usize] });
    }
    if let Some(path) = &args.query_file {
        return from_file(path);
    }
    let text = args.query.as_deref().unwrap_or_default();
    let numbers = text.split([',', ' ']).filter(|number| !number.is_empty());
    // Sets have to be of the array's own dtype, and numbers are whatever was written.
    let on_sets = matches!(metric, Metric::Hamming | Metric::Jaccard);
    let bytes: Result<Vec<Vec<u8>>, Failure> = match array.dtype {
        DataType::Bool | DataType::Uint8 if on_sets => numbers.map(|n| byte(n, array.dtype)).collect(),
        _ => numbers.map(|n| Ok(parsed::<f64>(n, "a number")?.to_le_bytes().to_vec())).collect(),
    };
    let bytes = bytes?;
    let dtype =
        if bytes.first().is_some_and(|number| number.len() == 1) { array.dtype } else { DataType::Float64 };
    Ok(Queries { shape: vec![bytes.len()], bytes: bytes.concat(), dtype })
}

fn byte(number: &str, dtype: DataType) -> Result<Vec<u8>, Failure> {
    let value = parsed::<u8>(number, "a whole number from 0 to 255")?;
    if dtype == DataType::Bool && value > 1 {
        return Err(Failure::usage(format!("--query: {number:?} is neither 0 nor 1")));
    }
    Ok(vec![value])
}

fn parsed<T: FromStr>(number: &str, what: &str) -> Result<T, Failure> {
    number.parse().map_err(|_| Failure::usage(format!("--query: {number:?} is not {what}")))
}

fn from_file(path: &Path) -> Result<Queries, Failure> {
    let source = Reader::open(path)?;
    let found = &source.header().shape;
    let (dtype, shape) = (source.dtype(), found.iter().map(|&dim| dim as usize).collect());
    if !(1..=2).contains(&found.len()) {
        let text = format!("{} has the shape {found:?}: queries have one or two dimensions", path.display());
        return Err(Failure::usage(text));
    }
    Ok(Queries { bytes: source.into_bytes()?, dtype, shape })
}

/// The hits of all queries, `k` of each.
struct Groups {
    hits: Hits,
    queries: usize,
}

impl Groups {
    /// Rows and scores of one query, the best first.
    fn of(&self, query: usize) -> impl Iterator<Item = (usize, (u64, f64))> {
        let range = query * self.hits.k..(query + 1) * self.hits.k;
        let scores = self.hits.scores[range.clone()].iter().copied();
        (1..).zip(self.hits.indices[range].iter().copied().zip(scores))
    }

    fn json(&self) -> Vec<Value> {
        let hit = |(rank, (row, score)): (usize, (u64, f64))| json!({ "rank": rank, "row": row, "score": float(score, score.text()) });
        (0..self.queries)
            .map(|query| json!({ "query": query, "hits": self.of(query).map(hit).collect::<Vec<_>>() }))
            .collect()
    }

    fn print(&self, output: &mut Output) -> Result<(), NpkError> {
        for query in 0..self.queries {
            if self.queries > 1 {
                if query > 0 {
                    output.line("")?;
                }
                output.line(&format!("query {query}"))?;
            }
            let row =
                |(rank, (row, score)): (usize, (u64, f64))| [rank.to_string(), row.to_string(), score.text()];
            output.table(["RANK", "ROW", "SCORE"], &self.of(query).map(row).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
