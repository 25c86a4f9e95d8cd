//! Every verb when the allocator refuses its n-th large block, for every n: an error, the state before or the state
//! after, and a store that goes on.
//!
//! Blocks of less than [`LARGE`] bytes are never refused: their size does not come from rows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use numpack::package::{PackOptions, UnpackOptions, pack, quiet, unpack, verify};
use numpack::prelude::*;
use numpack::vector::{SearchOptions, Vectors};

use crate::allocator::refusing;
use crate::alone::alone;

const ROWS: i64 = 40_000;

/// The arrays of a store: name, shape, and a hash of the bytes.
type Contents = Vec<(String, Vec<u64>, u64)>;

fn contents(store: &Store) -> Contents {
    let mut names = store.list_arrays();
    names.sort();
    let rows = |name: String| {
        let (shape, bytes) = store.load_vec::<u8>(&name).unwrap();
        let mut hash = DefaultHasher::new();
        bytes.hash(&mut hash);
        (name, shape, hash.finish())
    };
    names.into_iter().map(rows).collect()
}

/// A store with rows deleted here and there, made anew at `path`.
fn begin(path: &Path) -> Store {
    let store = OpenOptions::new().mode(Mode::Truncate).open(path).unwrap();
    store.save_slice("a", &vec![1_u8; ROWS as usize * 8], &[ROWS as u64, 8]).unwrap();
    store.save_slice("b", &vec![2_u8; ROWS as usize * 8], &[ROWS as u64, 8]).unwrap();
    let third: Vec<i64> = (0..ROWS).step_by(3).collect();
    store.drop_rows("b", &third).unwrap();
    store.replace_slice("a", &vec![3_u8; third.len() * 8], &third).unwrap();
    store
}

/// Where a verb works.
struct Place<'a> {
    store: &'a Store,
    path: PathBuf,
    package: PathBuf,
    values: &'a [u8],
    rows: &'a [i64],
    mask: &'a [bool],
}

type Verb = (&'static str, fn(&Place<'_>) -> NpkResult<()>);

const VERBS: [Verb; 17] = [
    ("save", |at| at.store.save_slice("a", at.values, &[at.values.len() as u64])),
    ("save new", |at| at.store.save_slice("new", at.values, &[at.values.len() as u64])),
    ("append", |at| at.store.append_slice("b", at.values)),
    ("replace", |at| at.store.replace_slice("b", &at.values[..at.rows.len() * 8], at.rows)),
    ("drop rows", |at| at.store.drop_rows("a", at.rows)),
    ("drop a mask", |at| at.store.drop_rows("a", Selection::Mask(at.mask))),
    ("compact", |at| at.store.compact_array("b")),
    ("clone", |at| at.store.clone_array("b", "copy")),
    ("sync", |at| at.store.sync_metadata()),
    ("load", |at| at.store.load_vec::<u8>("b").map(drop)),
    ("getitem", |at| at.store.getitem::<u8>("b", at.rows).map(drop)),
    ("stream", |at| at.store.stream_load::<u8>("b", 9000)?.try_for_each(|batch| batch.map(drop))),
    ("search", |at| {
        let query = Vectors::from_slice(&at.values[..8], 8)?;
        let rows = SearchOptions { rows: Selection::List(at.rows), ..SearchOptions::default() };
        at.store.search("b", &query, 5, Metric::L2, &rows).map(drop)
    }),
    ("verify", |at| at.store.verify().map(drop)),
    ("pack", |at| pack(&at.path, Some(&at.package), PackOptions::new().overwrite(true), quiet).map(drop)),
    ("unpack", |at| {
        let target = at.path.with_file_name("unpacked");
        verify(&at.package, quiet)?;
        unpack(&at.package, Some(&target), UnpackOptions::new().overwrite(true), quiet).map(drop)
    }),
    ("read after a reboot", |at| {
        let store = OpenOptions::new().mode(Mode::Read).open(at.path.with_file_name("untrusted"))?;
        store.load_vec::<u8>("a").map(drop)?;
        store.getitem::<u8>("b", at.rows).map(drop)
    }),
];

#[test]
fn a_refused_block_is_an_error_and_the_store_goes_on() {
    alone(module_path!(), "a_refused_block_is_an_error_and_the_store_goes_on", |dir| {
        let (values, rows) =
            (vec![7_u8; ROWS as usize * 8], (0..10_000).map(|row| 19_998 - 2 * row).collect::<Vec<i64>>());
        let mask: Vec<bool> = (0..ROWS).map(|row| row % 5 == 1).collect();
        let untrusted = dir.join("untrusted");
        drop(begin(&untrusted));
        std::fs::remove_file(untrusted.join("control.npkc")).unwrap();
        let path = dir.join("s.npk");
        let package = dir.join("s.npkg");
        pack(&untrusted, Some(&package), PackOptions::new(), quiet).unwrap();
        for (name, verb) in VERBS {
            let mut refused = 0;
            for n in 0.. {
                let store = begin(&path);
                let before = contents(&store);
                let at = Place {
                    store: &store,
                    path: path.clone(),
                    package: package.clone(),
                    values: &values,
                    rows: &rows,
                    mask: &mask,
                };
                let (outcome, happened) = refusing(n, || verb(&at));
                match outcome {
                    Ok(()) => {}
                    Err(NpkError::OutOfMemory { .. }) => {
                        refused += 1;
                        assert_eq!(contents(&store), before, "{name}: refused block {n}");
                        verb(&at).unwrap_or_else(|error| panic!("{name} again after block {n}: {error}"));
                    }
                    Err(other) => panic!("{name}: refused block {n}: {other}"),
                }
                let after = contents(&store);
                drop(store);
                assert_eq!(contents(&Store::new(&path).unwrap()), after, "{name}: block {n}, opened again");
                if !happened {
                    break;
                }
            }
            assert!(refused > 0 || name == "sync", "{name}: nothing was refused");
        }
    });
}
