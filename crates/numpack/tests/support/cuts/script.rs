//! Calls on a store, a plain model of them, and which rows a cut may have torn.

use std::collections::{BTreeMap, BTreeSet};

use crate::contents::Contents;
use numpack::prelude::*;
use numpack::{Existing, RawArray, RawRows};

/// Elements of a row: 256 bytes, so that a few rows span sectors.
pub(crate) const WIDTH: usize = 64;

/// One mutating call.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Names and numbers of rows.
    Save(Vec<(String, usize)>),
    /// Piece by piece; in place of all others if it says so.
    Ingest(Vec<(String, usize)>, bool),
    Append(Vec<(String, usize)>),
    Replace(Vec<(String, Vec<i64>)>),
    DropRows(String, Vec<i64>),
    Remove(String),
    Compact(String),
    Clone(String, String),
    Reset,
    Sync,
}

/// A row in the file that holds it.
type Place = (usize, u64);

/// An array of the model: its file, and for each row that is not deleted where it is and what it holds.
#[derive(Clone, Debug, Default)]
struct Array {
    file: usize,
    next: u64,
    rows: Vec<(u64, Vec<f32>)>,
}

/// The store after some calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    arrays: BTreeMap<String, Array>,
    files: usize,
    /// Calls so far that had something to commit.
    pub(crate) commits: usize,
    /// Rows that the last call replaced in place.
    replaced: BTreeSet<Place>,
}

/// The values of a row that call number `call` writes.
fn row(call: usize, row: usize) -> Vec<f32> {
    (0..WIDTH).map(|i| (call % 150 * 100_000 + (row * WIDTH + i) % 99_991 + 1) as f32).collect()
}

fn bytes(call: usize, rows: usize) -> Vec<u8> {
    (0..rows).flat_map(|r| row(call, r)).flat_map(f32::to_le_bytes).collect()
}

impl Step {
    /// Makes the call on a store.
    pub(crate) fn act(&self, store: &Store, call: usize) -> NpkResult<()> {
        match self {
            Step::Save(arrays) => with_rows(arrays, call, |raw| store.save_raw(raw)),
            Step::Ingest(arrays, all) => with_rows(arrays, call, |raw| {
                let mut ingest = store.ingest()?;
                for array in raw {
                    let mut writer = ingest.array(array.name, array.dtype, array.shape)?;
                    array.bytes.chunks(300).try_for_each(|piece| writer.write(piece))?;
                    ingest.add(writer)?;
                }
                ingest.commit(if *all { Existing::RemoveAll } else { Existing::Replace })
            }),
            Step::Append(arrays) => with_rows(arrays, call, |raw| store.append_raw(raw)),
            Step::Replace(replaces) => {
                let names: Vec<_> = replaces.iter().map(|(name, at)| (name.clone(), at.len())).collect();
                with_rows(&names, call, |raw| {
                    let rows = raw.iter().zip(replaces);
                    let rows: Vec<_> = rows
                        .map(|(&rows, (_, at))| RawRows { rows, selection: Selection::List(at) })
                        .collect();
                    store.replace_raw(&rows)
                })
            }
            Step::DropRows(name, rows) => store.drop_arrays(name, Some(rows)),
            Step::Remove(name) => store.drop_arrays(name, None),
            Step::Compact(name) => store.compact_array(name),
            Step::Clone(from, to) => store.clone_array(from, to),
            Step::Reset => store.reset(),
            Step::Sync => store.sync_metadata(),
        }
    }
}

fn with_rows(
    arrays: &[(String, usize)],
    call: usize,
    act: impl FnOnce(&[RawArray<'_>]) -> NpkResult<()>,
) -> NpkResult<()> {
    let data: Vec<_> =
        arrays.iter().map(|(_, rows)| ([*rows as u64, WIDTH as u64], bytes(call, *rows))).collect();
    let raw: Vec<_> = arrays
        .iter()
        .zip(&data)
        .map(|((name, _), (shape, bytes))| RawArray { name, dtype: DataType::Float32, shape, bytes })
        .collect();
    act(&raw)
}

impl Model {
    /// The store after one more call.
    pub(crate) fn after(&self, step: &Step, call: usize) -> Model {
        let mut model = self.clone();
        model.replaced.clear();
        model.commits += 1;
        match step {
            Step::Save(arrays) => {
                arrays.iter().for_each(|(name, n)| model.put(name, (0..*n).map(|r| row(call, r)).collect()));
            }
            Step::Ingest(arrays, all) => {
                if *all {
                    model.arrays.clear();
                }
                arrays.iter().for_each(|(name, n)| model.put(name, (0..*n).map(|r| row(call, r)).collect()));
            }
            Step::Append(arrays) => {
                for (name, n) in arrays {
                    let array = model.arrays.get_mut(name).unwrap();
                    array.rows.extend((0..*n).map(|r| (array.next + r as u64, row(call, r))));
                    array.next += *n as u64;
                }
            }
            Step::Replace(replaces) => replaces.iter().for_each(|(name, at)| model.replace(name, at, call)),
            Step::DropRows(name, at) => {
                let array = model.arrays.get_mut(name).unwrap();
                let gone: BTreeSet<usize> = at.iter().map(|&at| array.position(at)).collect();
                let mut i = 0..;
                array.rows.retain(|_| !gone.contains(&i.next().unwrap()));
            }
            Step::Remove(name) => drop(model.arrays.remove(name)),
            Step::Compact(name) => {
                let array = &model.arrays[name];
                if array.rows.len() as u64 == array.next {
                    model.commits = self.commits;
                    return model;
                }
                model.put(name, model.values(name));
            }
            Step::Clone(from, to) => model.put(to, model.values(from)),
            Step::Reset => model.arrays.clear(),
            Step::Sync => model.commits = self.commits,
        }
        model
    }

    fn replace(&mut self, name: &str, at: &[i64], call: usize) {
        let array = self.arrays.get_mut(name).unwrap();
        for (r, &at) in at.iter().enumerate() {
            let at = array.position(at);
            array.rows[at].1 = row(call, r);
            self.replaced.insert((array.file, array.rows[at].0));
        }
    }

    fn values(&self, name: &str) -> Vec<Vec<f32>> {
        self.arrays[name].rows.iter().map(|(_, row)| row.clone()).collect()
    }

    fn put(&mut self, name: &str, rows: Vec<Vec<f32>>) {
        self.files += 1;
        let next = rows.len() as u64;
        let rows = (0..).zip(rows).collect();
        self.arrays.insert(name.into(), Array { file: self.files, next, rows });
    }

    /// The names there are and their rows, for choosing what to do next.
    pub(crate) fn sizes(&self) -> Vec<(String, usize)> {
        self.arrays.iter().map(|(name, array)| (name.clone(), array.rows.len())).collect()
    }

    /// Whether `got` is this state, as far as what came before and after it may show through.
    pub(crate) fn matches(&self, got: &Contents, span: &Span<'_>) -> bool {
        let same = |(name, array): (&String, &Array)| {
            let (shape, values) = &got[name];
            *shape == [array.rows.len() as u64, WIDTH as u64]
                && array
                    .rows
                    .iter()
                    .zip(values.chunks_exact(WIDTH))
                    .all(|((id, row), found)| row == found || span.may_hold(array, *id, row, found))
        };
        got.keys().eq(self.arrays.keys()) && self.arrays.iter().all(same)
    }

    fn row_at(&self, (file, id): Place) -> Option<&Vec<f32>> {
        let array = self.arrays.values().find(|array| array.file == file)?;
        array.rows.iter().find(|(row, _)| *row == id).map(|(_, row)| row)
    }

    /// Arrays with rows that the last call replaced.
    pub(crate) fn replaced_arrays(&self) -> impl Iterator<Item = &String> {
        let replaced = |array: &Array| self.replaced.iter().any(|(file, _)| *file == array.file);
        self.arrays.iter().filter(move |(_, array)| replaced(array)).map(|(name, _)| name)
    }
}

/// A state that a cut may leave, and those that came after it.
pub(crate) struct Span<'a>(pub(crate) &'a [Model]);

impl Span<'_> {
    /// Whether a row may hold `found` instead of what the state says, as docs/protocol.md allows.
    fn may_hold(&self, array: &Array, id: u64, row: &[f32], found: &[f32]) -> bool {
        let place = (array.file, id);
        // A replace that counts is done again from the log; one that does not may be in the file.
        let torn = self.0[1..].iter().any(|model| model.replaced.contains(&place));
        let held: Vec<_> = self.0.iter().filter_map(|model| model.row_at(place)).collect();
        let mut values = found.iter().zip(row).enumerate();
        values.all(|(i, (found, value))| found == value || torn && held.iter().any(|row| row[i] == *found))
    }
}

impl Array {
    fn position(&self, at: i64) -> usize {
        if at < 0 { self.rows.len() - at.unsigned_abs() as usize } else { at as usize }
    }
}
