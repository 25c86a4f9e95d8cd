//! Children are killed at random instants inside every mutating call.
//!
//! A child runs a fixed sequence of calls and says when each begins and returns. After the kill the store
//! must hold the state after the last acknowledged call, or after the one that was under way: never between,
//! never less. The expected state is computed by a model that knows nothing of files.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod procs;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use numpack::prelude::*;
use numpack::{Finding, Incoming, RawArray};
use procs::{Random, child, scratch};

/// Elements of a row: 128 bytes.
const WIDTH: usize = 16;
const NEXT: &str = "NUMPACK_TEST_NEXT";
const SCENARIO: &str = "NUMPACK_TEST_SCENARIO";

/// A row by the call that wrote it and its place then.
type Row = (u32, u32);
type Model = BTreeMap<String, Vec<Row>>;
/// Rows by array.
type Counts = BTreeMap<String, usize>;

enum Call {
    Save(Vec<(String, usize)>),
    /// Piece by piece; another array goes in the same commit.
    SaveFrom(String, usize, String),
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
fn plan(scenario: &str, i: u32, counts: &Counts) -> Call {
    let rows = counts.get("a").copied();
    let turn = i as usize;
    match (scenario, rows) {
        ("save_new", _) if counts.len() > 12 => Call::Reset,
        ("save_new", _) => {
            Call::Save(vec![(format!("n{i}"), 64 + turn * 997 % 9000), (format!("ü/{i}"), turn % 5)])
        }
        ("save_over", _) => Call::Save(vec![(a(), 8192 * (1 + turn / 12 % 8) - turn % 6 * 100)]),
        ("save_from", _) => {
            Call::SaveFrom(format!("s{}", i % 4), 64 + turn * 997 % 9000, format!("s{}", (i + 2) % 4))
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

fn fresh(i: u32, start: usize, n: usize) -> Vec<Row> {
    (start..start + n).map(|id| (i, id as u32)).collect()
}

fn cells(rows: &[Row]) -> Vec<u64> {
    let cell = |&(version, id): &Row, k: u64| u64::from(version) << 40 | u64::from(id) << 8 | k;
    rows.iter().flat_map(|row| (0..WIDTH as u64).map(move |k| cell(row, k))).collect()
}

fn model_call(model: &mut Model, i: u32, call: Call) {
    match call {
        Call::Save(arrays) => model.extend(arrays.into_iter().map(|(name, n)| (name, fresh(i, 0, n)))),
        Call::SaveFrom(name, n, gone) => {
            model.insert(name, fresh(i, 0, n));
            model.remove(&gone);
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
            let gone: std::collections::HashSet<i64> = at.into_iter().collect();
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
fn after_call(scenario: &str, model: &Model, i: u32) -> Model {
    let mut after = model.clone();
    let counts = model.iter().map(|(name, rows)| (name.clone(), rows.len())).collect();
    model_call(&mut after, i, plan(scenario, i, &counts));
    after
}

fn raw<'a>(name: &'a str, shape: &'a [u64; 2], bytes: &'a [u8]) -> RawArray<'a> {
    RawArray { name, dtype: DataType::Uint64, shape, bytes }
}

fn with_raw<R>(i: u32, arrays: &[(String, usize, usize)], run: impl FnOnce(&[RawArray<'_>]) -> R) -> R {
    let parts: Vec<_> = arrays
        .iter()
        .map(|(name, start, n)| {
            let bytes: Vec<u8> =
                cells(&fresh(i, *start, *n)).iter().flat_map(|cell| cell.to_le_bytes()).collect();
            (name, [*n as u64, WIDTH as u64], bytes)
        })
        .collect();
    run(&parts.iter().map(|(name, shape, bytes)| raw(name, shape, bytes)).collect::<Vec<_>>())
}

/// Prepares call `i` and returns what makes it, so that only the call itself stands between the marks.
fn store_call(store: &Store, i: u32, call: Call, counts: &Counts, mark: impl Fn()) -> NpkResult<()> {
    match call {
        Call::Save(arrays) => {
            let arrays: Vec<_> = arrays.into_iter().map(|(name, n)| (name, 0, n)).collect();
            with_raw(i, &arrays, |raw| {
                mark();
                store.save_raw(raw)
            })
        }
        Call::SaveFrom(name, n, gone) => with_raw(i, &[(name, 0, n)], |raw| {
            let [array] = raw else { panic!("one array") };
            let (name, dropped) = (array.name, &[gone.as_str()][..]);
            let incoming =
                Incoming { name, dtype: array.dtype, shape: array.shape, overwrite: true, dropped };
            mark();
            store.save_from(&incoming, |writer| {
                array.bytes.chunks(5000).try_for_each(|part| writer.write(part))
            })
        }),
        Call::Append(arrays) => {
            let arrays: Vec<_> = arrays
                .into_iter()
                .map(|(name, n)| {
                    let start = counts[&name];
                    (name, start, n)
                })
                .collect();
            with_raw(i, &arrays, |raw| {
                mark();
                store.append_raw(raw)
            })
        }
        Call::Replace(name, at) => {
            let values = cells(&at.iter().map(|&at| (i, at as u32)).collect::<Vec<_>>());
            mark();
            store.replace_slice(&name, &values, &at)
        }
        Call::DropRows(name, at) => {
            mark();
            store.drop_arrays(&name, Some(&at))
        }
        Call::Remove(names) => {
            mark();
            store.drop_many(&names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Call::Compact(name) => {
            mark();
            store.compact_array(&name)
        }
        Call::Clone(from, to) => {
            mark();
            store.clone_array(&from, &to)
        }
        Call::Reset => {
            mark();
            store.reset()
        }
    }
}

fn counts_of(store: &Store) -> NpkResult<Counts> {
    store
        .list_arrays()
        .into_iter()
        .map(|name| Ok((name.clone(), store.get_shape(&name)?[0] as usize)))
        .collect()
}

fn hash(values: &[u64]) -> u64 {
    values
        .iter()
        .fold(7, |hash: u64, value| (hash.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// What a store holds, in one line.
fn digest(store: &Store) -> String {
    let mut names = store.list_arrays();
    names.sort();
    let parts: Vec<String> = names
        .iter()
        .map(|name| {
            let (shape, values) = store.load_vec::<u64>(name).unwrap();
            assert_eq!(store.get_shape(name).unwrap(), shape);
            format!("{name}={:?}:{:x}", shape, hash(&values))
        })
        .collect();
    let report = store.verify().unwrap();
    assert!(report.is_intact(), "{:?}", report.findings);
    parts.join(";")
}

fn digest_of_model(model: &Model) -> String {
    let parts: Vec<String> = model
        .iter()
        .map(|(name, rows)| format!("{name}={:?}:{:x}", [rows.len(), WIDTH], hash(&cells(rows))))
        .collect();
    parts.join(";")
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// What the children do; nothing in the process that the user started.
#[test]
fn child_entry() {
    let Some((role, path)) = procs::role() else { return };
    let store = Store::new(path).unwrap();
    if role == "look" {
        return say(&format!("\n@digest {}", digest(&store)));
    }
    let scenario = std::env::var(SCENARIO).unwrap();
    let first: u32 = std::env::var(NEXT).unwrap().parse().unwrap();
    say("\n@ready");
    for i in first.. {
        let counts = counts_of(&store).unwrap();
        let call = plan(&scenario, i, &counts);
        store_call(&store, i, call, &counts, || say("@begin")).unwrap();
        say("@done");
    }
}

/// What became of a killed child.
#[derive(Default)]
struct Killed {
    done: u32,
    inside: bool,
}

impl Killed {
    fn note(&mut self, line: &str) {
        match line {
            "@begin" => self.inside = true,
            "@done" => {
                self.inside = false;
                self.done += 1;
            }
            _ => {}
        }
    }
}

/// Runs a child up to a random instant: `delay` after the beginning of its call number `begun`, or after its
/// start when that is 0.
fn run_and_kill(scenario: &str, path: &Path, next: u32, begun: u64, delay: Duration) -> Killed {
    let mut command = child("work", path);
    let mut process = command.env(SCENARIO, scenario).env(NEXT, next.to_string()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut killed = Killed::default();
    let mut left = begun;
    while left > 0 {
        let line = lines.next().expect("the child ended by itself").unwrap();
        left -= u64::from(line == "@begin");
        killed.note(&line);
    }
    thread::sleep(delay);
    process.kill().unwrap();
    let status = process.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(libc::SIGKILL), "{status}");
    lines.for_each(|line| killed.note(&line.unwrap()));
    killed
}

fn look_by_child(path: &Path) -> String {
    let output = child("look", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("@digest ")).unwrap().trim_end().to_owned()
}

fn strays(store: &Store) -> Vec<Finding> {
    let findings = store.verify().unwrap().findings;
    findings.into_iter().filter(|finding| !finding.is_damage()).collect()
}

fn data_files(path: &Path) -> usize {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "npkd")).count()
}

/// Kills `kills` children at random instants up to `longest_us` after the beginning of one of their calls.
fn suite(scenario: &str, kills: u32, longest_us: u64) {
    let dir = scratch();
    let path = dir.path().join("store");
    drop(Store::new(path.clone()).unwrap());
    let open_reader = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
    let mut random = Random::new();
    let (mut model, mut next, mut inside) = (Model::new(), 1, 0);
    let first = plan(scenario, 0, &Counts::new());
    store_call(&Store::new(path.clone()).unwrap(), 0, first, &Counts::new(), || ()).unwrap();
    model_call(&mut model, 0, plan(scenario, 0, &Counts::new()));
    // A dead child's last call, as long as nobody has said whether it counts.
    let mut open_end = None;
    for kill in 0..kills {
        // Some die while they open the store and mend what the one before left.
        let early = kill % 5 == 4;
        let begun = if early { 0 } else { 1 + random.below(5) };
        let delay = Duration::from_micros(random.below(if early { 12_000 } else { longest_us }));
        let killed = run_and_kill(scenario, &path, next, begun, delay);
        inside += u32::from(killed.inside);
        let done = next..next + killed.done;
        next = done.end + 1;
        let mut candidates = vec![model.clone()];
        if let Some(i) = open_end.take() {
            candidates.push(after_call(scenario, &model, i));
        }
        for candidate in &mut candidates {
            for i in done.clone() {
                *candidate = after_call(scenario, candidate, i);
            }
        }
        // As the dead child left it: a reader mends nothing.
        let left = strays(&open_reader);
        let most = if scenario == "save_new" || scenario == "reset" { 4 } else { 2 };
        assert!(left.len() <= most, "{scenario}: {left:?}");
        let found = match kill % 3 {
            0 => digest(&open_reader),
            1 => look_by_child(&path),
            _ => digest(&Store::new(path.clone()).unwrap()),
        };
        let is_found = |model: &Model| digest_of_model(model) == found;
        model = match candidates.iter().position(is_found) {
            Some(at) => {
                // A reader does not decide about a record that was written and never published: the next
                // writer may find it whole.
                open_end = (kill % 3 == 0).then_some(done.end);
                candidates.swap_remove(at)
            }
            None => {
                let after = candidates.iter().map(|model| after_call(scenario, model, done.end));
                let found_after = after.clone().find(is_found);
                let expected: Vec<_> =
                    candidates.iter().cloned().chain(after).map(|model| digest_of_model(&model)).collect();
                found_after.unwrap_or_else(|| {
                    panic!(
                        "{scenario}: call {} is torn, kill {kill}: {found} is none of {expected:?}",
                        done.end
                    )
                })
            }
        };
        if kill % 3 != 0 {
            assert_eq!(digest(&open_reader), found, "{scenario}: an open reader disagrees");
        }
    }
    if let Some(i) = open_end {
        let store = Store::new(path.clone()).unwrap();
        let after = after_call(scenario, &model, i);
        if digest(&store) == digest_of_model(&after) {
            model = after;
        }
    }
    let store = Store::new(path.clone()).unwrap();
    store.sync_metadata().unwrap();
    assert_eq!(digest(&store), digest_of_model(&model));
    assert_eq!(strays(&store), []);
    let (files, arrays) = (data_files(&path), store.list_arrays().len());
    assert!(files <= arrays + 1, "{scenario}: {files} files for {arrays} arrays and one spare");
    println!("{scenario}: {kills} kills, {inside} inside a call, {next} calls");
    assert!(inside > 0 && next > kills / 2, "the kills came too early to mean anything");
}

#[test]
fn killed_in_save_of_new_arrays() {
    suite("save_new", 26, 1_500);
}

#[test]
fn killed_in_save_over_an_array() {
    suite("save_over", 32, 4_000);
}

#[test]
fn killed_in_save_from() {
    suite("save_from", 26, 1_500);
}

#[test]
fn killed_in_append() {
    suite("append", 30, 1_500);
}

#[test]
fn killed_in_replace_of_scattered_rows() {
    suite("replace", 32, 1_500);
}

#[test]
fn killed_in_replace_of_a_large_run() {
    suite("replace_large", 8, 120_000);
}

#[test]
fn killed_in_drop_rows() {
    suite("drop_rows", 30, 500);
}

#[test]
fn killed_in_compact() {
    suite("compact", 28, 4_000);
}

#[test]
fn killed_in_clone() {
    suite("clone", 26, 3_000);
}

#[test]
fn killed_in_reset() {
    suite("reset", 26, 1_500);
}

#[test]
fn killed_while_making_the_store() {
    let dir = scratch();
    let mut random = Random::new();
    for kill in 0..16 {
        let path = dir.path().join(kill.to_string());
        let killed = run_and_kill("append", &path, 0, 0, Duration::from_micros(random.below(12_000)));
        let store = Store::new(path).unwrap();
        let rows = counts_of(&store).unwrap();
        assert!(killed.done == 0 || rows.len() == 2, "{rows:?}");
        digest(&store);
        store.save_slice("x", &[1_u8], &[1]).unwrap();
        assert_eq!(strays(&store), []);
    }
}
