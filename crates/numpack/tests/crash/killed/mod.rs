//! Children are killed at random instants inside every mutating call.
//!
//! A child runs a fixed sequence of calls and says when each begins and returns. After the kill the store
//! must hold the state after the last acknowledged call, or after the one that was under way: never between,
//! never less. The expected state is computed by a model that knows nothing of files.

mod model;
mod perform;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use numpack::Finding;
use numpack::prelude::*;

use crate::folder::scratch;
use crate::procs::{self, child};
use crate::random::Random;
use model::{Counts, Model, WIDTH, after_call, cells, model_call, plan};
use perform::store_call;

const NEXT: &str = "NUMPACK_TEST_NEXT";
const SCENARIO: &str = "NUMPACK_TEST_SCENARIO";

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
    let mut command = child(module_path!(), "work", path);
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
    let output = child(module_path!(), "look", path).output().unwrap();
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
#[expect(clippy::too_many_lines, reason = "from one kill to the next, what may be there is passed on")]
fn suite(scenario: &str, kills: u32, longest_us: u64) {
    let dir = scratch();
    let path = dir.path().join("store");
    drop(Store::new(&path).unwrap());
    let open_reader = OpenOptions::new().mode(Mode::Read).open(&path).unwrap();
    let mut random = Random::new();
    let (mut model, mut next, mut inside) = (Model::new(), 1, 0);
    let first = plan(scenario, 0, &Counts::new());
    store_call(&Store::new(&path).unwrap(), 0, first, &Counts::new(), || ()).unwrap();
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
        let most = match scenario {
            "ingest" => 8,
            "save_new" | "reset" => 4,
            _ => 2,
        };
        assert!(left.len() <= most, "{scenario}: {left:?}");
        let found = match kill % 3 {
            0 => digest(&open_reader),
            1 => look_by_child(&path),
            _ => digest(&Store::new(&path).unwrap()),
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
        let store = Store::new(&path).unwrap();
        let after = after_call(scenario, &model, i);
        if digest(&store) == digest_of_model(&after) {
            model = after;
        }
    }
    let store = Store::new(&path).unwrap();
    store.sync_metadata().unwrap();
    assert_eq!(digest(&store), digest_of_model(&model));
    assert_eq!(strays(&store), []);
    let (files, arrays) = (data_files(&path), store.list_arrays().len());
    assert!(files <= arrays + 1, "{scenario}: {files} files for {arrays} arrays and one recycled one");
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
fn killed_in_ingest() {
    suite("ingest", 32, 2_500);
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
