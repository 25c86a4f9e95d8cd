//! Upsert and search: vectors with identifiers change all the time, and exact search is right at once.
//!
//! The same program in Python: upsert_and_search.py.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use numpack::prelude::*;
use numpack::vector::{SearchOptions, Vectors};

const DIMS: usize = 64;

/// Replaces the vectors of identifiers that are there and appends the others; returns how many are new.
fn upsert(path: &Path, items: &[(i64, Vec<f32>)]) -> NpkResult<usize> {
    let store = OpenOptions::new().open(path)?;
    let ids = store.load_array::<i64>("id")?;
    let row_of: HashMap<i64, i64> = ids.iter().zip(0..).map(|(&id, row)| (id, row)).collect();
    let (known, new): (Vec<_>, Vec<_>) = items.iter().partition(|(id, _)| row_of.contains_key(id));
    if !known.is_empty() {
        let rows: Vec<i64> = known.iter().map(|(id, _)| row_of[id]).collect();
        let vectors: Vec<f32> = known.iter().flat_map(|(_, vector)| vector.clone()).collect();
        store.replace_slice("vector", &vectors, &rows)?;
    }
    store.append_slice("id", &new.iter().map(|(id, _)| *id).collect::<Vec<_>>())?;
    store.append_slice("vector", &new.iter().flat_map(|(_, vector)| vector.clone()).collect::<Vec<_>>())?;
    Ok(new.len())
}

/// A vector of its own for every number.
fn vector(seed: i64) -> Vec<f32> {
    (0..DIMS).map(|i| ((seed * 37 + 11) as f32 * (i + 1) as f32).sin()).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("items.npk");
    let store = OpenOptions::new().open(&path)?;
    store.save_slice::<i64>("id", &[], &[0])?;
    store.save_slice::<f32>("vector", &[], &[0, DIMS as u64])?;
    println!("{} are new", upsert(&path, &(0..5000).map(|id| (id, vector(id))).collect::<Vec<_>>())?);

    let changed: Vec<_> = (4500..5500).map(|id| (id, vector(-id))).collect();
    let new = upsert(&path, &changed)?;
    println!("{new} are new, the others were replaced");

    let query = &changed[0].1;
    let all = SearchOptions::default();
    let hits = store.search("vector", &Vectors::one(query), 3, Metric::Cosine, &all)?;
    println!("nearest to item {}: rows {:?}, scores {:.3?}", changed[0].0, hits.indices, hits.scores);
    assert_eq!((new, hits.indices[0]), (500, 4500));
    Ok(())
}
