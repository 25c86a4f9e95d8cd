//! The calls of each scenario, and what a store holds after them, by a model that knows nothing of files.

use std::collections::{BTreeMap, HashSet};

/// Elements of a row: 128 bytes.
pub(super) const WIDTH: usize = 16;

/// A row by the call that wrote it and its place then.
pub(super) type Row = (u32, u32);
pub(super) type Model = BTreeMap<String, Vec<Row>>;
/// Rows by array.
pub(super) type Counts = BTreeMap<String, usize>;

pub(super) enum Call {
    Save(Vec<(String, usize)>),
    /// Piece by piece; in place of all others if it says so.
    Ingest(Vec<(String, usize)>, bool),
    Append(Vec<(String, usize)>),
    Replace(String, Vec<i64>),
    DropRows(String, Vec<i64>),
    Remove(Vec<String>),
    Compact(String),
    Clone(String, String),
    Reset,
}

fn a() -> String {
    "a".to_owned()
}

/// `n` different rows out of `rows`, scattered.
fn scattered(i: u32, n: usize, rows: usize) -> Vec<i64> {
    let step = rows / n;
    (0..n).map(|k| (k * step + (i as usize * 31 + k * 7) % step) as i64).collect()
}

/// Call number `i` of a scenario.
pub(super) fn plan(scenario: &str, i: u32, counts: &Counts) -> Call {
    let rows = counts.get("a").copied();
    let turn = i as usize;
    match (scenario, rows) {
        ("save_new", _) if counts.len() > 12 => Call::Reset,
        ("save_new", _) => {
            Call::Save(vec![(format!("n{i}"), 64 + turn * 997 % 9000), (format!("ü/{i}"), turn % 5)])
        }
        ("save_over", _) => Call::Save(vec![(a(), 8192 * (1 + turn / 12 % 8) - turn % 6 * 100)]),
        ("ingest", _) => {
            let arrays = vec![
                (format!("s{}", i % 4), 64 + turn * 997 % 9000),
                (format!("s{}", 4 + i % 3), turn * 13 % 300),
            ];
            Call::Ingest(arrays, turn % 5 == 4)
        }
        ("append", None) => Call::Save(vec![(a(), 10), ("b".into(), 3)]),
        ("append", Some(rows)) if rows > 60_000 => Call::Save(vec![(a(), 10)]),
        ("append", _) => {
            let more = if turn.is_multiple_of(50) { 20_000 } else { turn % 300 };
            Call::Append(vec![(a(), more), ("b".into(), 1 + turn % 7)])
        }
        ("replace", None) => Call::Save(vec![(a(), 50_000)]),
        ("replace", Some(rows)) => Call::Replace(a(), scattered(i, 1000, rows)),
        ("replace_large", None) => Call::Save(vec![(a(), 600_000)]),
        ("replace_large", _) => Call::Replace(a(), (1000..1000 + (64 << 20) / (WIDTH as i64 * 8)).collect()),
        ("drop_rows", Some(rows)) if rows > 2000 => Call::DropRows(a(), scattered(i, 1000, rows)),
        ("drop_rows", _) => Call::Save(vec![(a(), 30_000)]),
        ("compact", Some(rows)) if rows > 8000 => match turn % 2 {
            0 => Call::Compact(a()),
            _ => Call::DropRows(a(), scattered(i, 1000, rows)),
        },
        ("compact", _) => Call::Save(vec![(a(), 30_000)]),
        ("clone", None) => Call::Save(vec![(a(), 20_000)]),
        ("clone", _) if counts.len() > 5 => {
            Call::Remove(counts.keys().filter(|name| *name != "a").cloned().collect())
        }
        ("clone", Some(rows)) if turn.is_multiple_of(3) && rows > 4000 => {
            Call::DropRows(a(), scattered(i, 10, rows))
        }
        ("clone", _) => Call::Clone(a(), format!("c{i}")),
        ("reset", _) if counts.len() > 2 => Call::Reset,
        ("reset", _) => Call::Save((0..3).map(|k| (format!("r{i}-{k}"), 100 + 4000 * k)).collect()),
        _ => panic!("no scenario {scenario}"),
    }
}

pub(super) fn fresh(i: u32, start: usize, n: usize) -> Vec<Row> {
    (start..start + n).map(|id| (i, id as u32)).collect()
}

pub(super) fn cells(rows: &[Row]) -> Vec<u64> {
    let cell = |&(version, id): &Row, k: u64| u64::from(version) << 40 | u64::from(id) << 8 | k;
    rows.iter().flat_map(|row| (0..WIDTH as u64).map(move |k| cell(row, k))).collect()
}

pub(super) fn model_call(model: &mut Model, i: u32, call: Call) {
    match call {
        Call::Save(arrays) => model.extend(arrays.into_iter().map(|(name, n)| (name, fresh(i, 0, n)))),
        Call::Ingest(arrays, all) => {
            if all {
                model.clear();
            }
            model.extend(arrays.into_iter().map(|(name, n)| (name, fresh(i, 0, n))));
        }
        Call::Append(arrays) => {
            for (name, n) in arrays {
                let rows = model.get_mut(&name).unwrap();
                rows.extend(fresh(i, rows.len(), n));
            }
        }
        Call::Replace(name, at) => {
            let rows = model.get_mut(&name).unwrap();
            at.into_iter().for_each(|at| rows[at as usize] = (i, at as u32));
        }
        Call::DropRows(name, at) => {
            let gone: HashSet<i64> = at.into_iter().collect();
            let mut place = -1;
            model.get_mut(&name).unwrap().retain(|_| {
                place += 1;
                !gone.contains(&place)
            });
        }
        Call::Remove(names) => names.iter().for_each(|name| drop(model.remove(name))),
        Call::Compact(_) => {}
        Call::Clone(from, to) => {
            let rows = model[&from].clone();
            model.insert(to, rows);
        }
        Call::Reset => model.clear(),
    }
}

/// The model after call number `i` of a scenario.
pub(super) fn after_call(scenario: &str, model: &Model, i: u32) -> Model {
    let mut after = model.clone();
    let counts = model.iter().map(|(name, rows)| (name.clone(), rows.len())).collect();
    model_call(&mut after, i, plan(scenario, i, &counts));
    after
}
