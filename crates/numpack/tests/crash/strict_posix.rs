//! Power cuts on a disk that keeps only what strict POSIX says it must: every state that one may leave holds
//! what was synced, and of the rest the commits up to some one.

use numpack::prelude::*;

use crate::alone::alone;
use crate::cuts::check::{Calls, Script, Tried, die_then_cut, play};
use crate::cuts::script::{Model, Step};
use crate::cuts::states::hash;

use Durability::{Power, Process};

fn several(arrays: &[(&str, usize)]) -> Vec<(String, usize)> {
    arrays.iter().map(|&(name, rows)| (name.to_owned(), rows)).collect()
}

fn save(name: &str, rows: usize) -> Step {
    Step::Save(several(&[(name, rows)]))
}

fn ingest(arrays: &[(&str, usize)], all: bool) -> Step {
    Step::Ingest(several(arrays), all)
}

fn append(name: &str, rows: usize) -> Step {
    Step::Append(several(&[(name, rows)]))
}

fn replace(name: &str, rows: &[i64]) -> Step {
    Step::Replace(vec![(name.to_owned(), rows.to_vec())])
}

fn drop_rows(name: &str, rows: &[i64]) -> Step {
    Step::DropRows(name.to_owned(), rows.to_vec())
}

/// One call of each kind, after some arrays.
fn scenes() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        ("save new", vec![save("new", 5)]),
        ("save over", vec![save("a", 5), save("a", 6)]),
        ("save several", vec![Step::Save(several(&[("a", 3), ("new", 2), ("c", 4)]))]),
        ("ingest", vec![ingest(&[("new", 5), ("a", 2)], false), append("new", 2)]),
        ("ingest in place of all", vec![ingest(&[("a", 4), ("new", 3)], true), replace("a", &[1])]),
        ("append", vec![append("a", 3), append("a", 9)]),
        ("append several", vec![Step::Append(several(&[("a", 2), ("b", 3)]))]),
        ("replace", vec![replace("a", &[1, 2, 5]), replace("a", &[2, -1])]),
        ("replace several", vec![Step::Replace(vec![("a".into(), vec![0, 4]), ("c".into(), vec![3])])]),
        ("save, then replace", vec![save("new", 6), replace("new", &[1])]),
        ("append, then replace", vec![append("a", 6), replace("a", &[1])]),
        ("replace, then append", vec![replace("a", &[1]), append("a", 6)]),
        ("replace what was replaced", vec![save("new", 7), replace("new", &[2, 3]), replace("new", &[3, 4])]),
        ("replace a row twice", vec![save("new", 5), replace("new", &[3, 1, 3]), append("new", 3)]),
        ("replace in no order", vec![append("c", 5), replace("c", &[-1, 3, 0, 5, 4])]),
        (
            "append, replace, append",
            vec![append("b", 4), replace("b", &[5, 1]), append("b", 3), replace("b", &[-1])],
        ),
        ("replace in new ones", {
            let both = vec![("n".into(), vec![1, 2]), ("c".into(), vec![0, -1]), ("m".into(), vec![4])];
            vec![Step::Save(several(&[("n", 4), ("m", 5)])), append("c", 3), Step::Replace(both)]
        }),
        (
            "clone replaced",
            vec![save("new", 5), replace("new", &[1]), Step::Clone("new".into(), "copy".into())],
        ),
        ("drop rows", vec![drop_rows("a", &[0, 3, -1]), drop_rows("a", &[1])]),
        ("compact", vec![drop_rows("a", &[0, 3]), Step::Compact("a".into()), append("a", 2)]),
        ("compact replaced", vec![drop_rows("b", &[0]), replace("b", &[1]), Step::Compact("b".into())]),
        ("clone", vec![Step::Clone("a".into(), "copy".into()), append("copy", 2)]),
        ("drop an array", vec![Step::Remove("a".into()), save("a", 2)]),
        ("more files than wait for a sync", {
            let new = (0..9).map(|i| save(&format!("m{i}"), 1));
            new.chain([append("m1", 2), replace("m2", &[0]), save("m0", 2), append("a", 1)]).collect()
        }),
        ("reset", vec![Step::Reset, save("a", 4)]),
    ]
}

fn with(durability: Durability, steps: impl IntoIterator<Item = Step>) -> Calls {
    steps.into_iter().map(|step| (durability, step)).collect()
}

fn small() -> Vec<Step> {
    vec![
        Step::Save(several(&[("a", 8), ("b", 5)])),
        save("c", 6),
        append("a", 2),
        replace("b", &[1, 3]),
        drop_rows("c", &[1]),
    ]
}

/// Plays scripts; `most` states for each instant, one in `again` of them cut again.
fn play_all(most: usize, again: u64, scripts: impl IntoIterator<Item = (String, Calls, usize)>) -> Tried {
    let (mut wrong, mut tried) = (Vec::new(), Tried::default());
    for (name, calls, prelude) in scripts {
        let Tried { states, renames } =
            play(&Script { name, calls, prelude, states: most, again }, &mut wrong);
        tried = Tried { states: tried.states + states, renames: tried.renames + renames };
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{tried:?}");
    tried
}

#[test]
fn what_was_synced_is_there_and_of_the_rest_a_prefix() {
    let tried = play_all(
        16,
        300,
        scenes().into_iter().map(|(name, steps)| {
            let mut calls = with(Process, small());
            calls.push((Process, Step::Sync));
            let prelude = calls.len();
            calls.extend(with(Process, steps));
            calls.extend(with(Process, [Step::Sync, save("last", 1)]));
            (name.into(), calls, prelude)
        }),
    );
    assert!(tried.states > 1000, "{tried:?}");
}

#[test]
fn without_a_sync_the_commits_up_to_some_one_are_there() {
    let tried = play_all(
        6,
        300,
        scenes()
            .into_iter()
            .map(|(name, steps)| (name.into(), with(Process, small().into_iter().chain(steps)), 0)),
    );
    assert!(tried.states > 1000, "{tried:?}");
}

#[test]
fn with_power_every_call_that_returned_is_there() {
    let tried = play_all(
        16,
        300,
        scenes()
            .into_iter()
            .map(|(name, steps)| (name.into(), with(Power, small().into_iter().chain(steps)), small().len())),
    );
    assert!(tried.states > 1000, "{tried:?}");
}

/// Rows of an array whose file is kept to be used again: just over 1 MiB.
const BIG: usize = 4100;

#[test]
fn a_file_that_is_used_again_is_no_longer_needed() {
    alone(module_path!(), "a_file_that_is_used_again_is_no_longer_needed", |_dir| {
        let big = || save("big", BIG);
        let process =
            [big(), big(), big(), Step::Sync, big(), big(), replace("big", &[9, 2000]), big(), big()];
        let power = [big(), big(), replace("big", &[9, 2000]), big(), big(), big()];
        let scripts =
            [("process".into(), with(Process, process), 1), ("power".into(), with(Power, power), 1)];
        let tried = play_all(2, 400, scripts);
        assert!(tried.renames >= 4, "{tried:?}");
    });
}

/// So many saves of one row under a long name that the second next one starts a new log: 957 records of 1,096
/// bytes make more than 1 MiB of operations.
fn long_log() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..953).map(|_| save(&long_name(), 1)).collect();
    steps.splice(100..100, [save("a", 8), append("a", 2), drop_rows("a", &[1])]);
    steps.push(Step::Sync);
    steps
}

fn long_name() -> String {
    "n".repeat(1000)
}

#[test]
fn a_checkpoint_takes_nothing() {
    let long = |rows| save(&long_name(), rows);
    let steps = [append("a", 3), long(1), long(1), long(2), long(1), append("a", 2)];
    let scripts = [Process, Power].map(|durability| {
        let mut calls = with(Process, long_log());
        calls.extend(with(durability, steps.clone()));
        (format!("{durability:?}"), calls, long_log().len())
    });
    let tried = play_all(20, 400, scripts);
    assert!(tried.renames >= 2, "{tried:?}");
}

#[test]
fn with_power_a_call_stays_though_another_process_died_before_it() {
    let mut tried = 0;
    for (name, steps) in scenes() {
        let calls: Vec<Step> = small().into_iter().chain(steps).chain([save("last", 1)]).collect();
        tried += die_then_cut(name, &calls, 2).states;
    }
    let mut calls = long_log();
    calls.extend([save(&long_name(), 1), save(&long_name(), 1), append("a", 3), save(&long_name(), 1)]);
    calls.extend([save(&long_name(), 1), append("a", 1)]);
    let checkpoint = die_then_cut("checkpoint", &calls, 2);
    // One rename made the store.
    assert!(checkpoint.renames == 2 && tried > 500, "{checkpoint:?}, {tried}");
}

/// Calls at random, each of which can be made; `durability` says how the handle of a call keeps it.
fn random(seed: u64, calls: usize, durability: impl Fn(u64) -> Durability) -> Calls {
    let mut model = Model::default();
    let steps = (0..calls).map(|i| {
        let drawn = hash(&(seed, i));
        let step = random_step(drawn, &model);
        model = model.after(&step, i);
        (durability(drawn >> 32), step)
    });
    steps.collect()
}

fn random_step(drawn: u64, model: &Model) -> Step {
    let sizes = model.sizes();
    let new = format!("n{}", drawn / 7 % 4);
    let Some((name, rows)) = sizes.get(drawn as usize / 64 % sizes.len().max(1)).cloned() else {
        return save(&new, 4);
    };
    let some: Vec<i64> = (0..rows as i64).filter(|row| (drawn >> (row % 40 + 8)).is_multiple_of(4)).collect();
    match drawn % 14 {
        0 | 1 => Step::Save(several(&[(&new, drawn as usize / 512 % 9 + 1)])),
        2 if name != "x" && drawn.is_multiple_of(3) => {
            ingest(&[(&name, 3), ("x", 2)], drawn.is_multiple_of(5))
        }
        2 if name != "x" => Step::Save(several(&[(&name, 3), ("x", 2)])),
        3 | 4 => append(&name, drawn as usize / 512 % 7 + 1),
        5..=8 if !some.is_empty() => replace(&name, &some),
        9 if !some.is_empty() => drop_rows(&name, &some),
        10 => Step::Compact(name),
        11 if model.sizes().iter().all(|(known, _)| *known != new) => Step::Clone(name, new),
        12 if drawn.is_multiple_of(3) => Step::Remove(name),
        13 if drawn.is_multiple_of(5) => Step::Reset,
        12 | 13 => Step::Sync,
        _ => append(&name, 1),
    }
}

#[test]
fn random_calls_with_and_without_power_keep_what_they_promise() {
    let tried = play_all(
        3,
        300,
        (0..12).map(|seed| {
            let mixed = |drawn| if seed % 3 == 0 || drawn % 2 == 1 { Process } else { Power };
            (format!("seed {seed}"), random(seed, 16, mixed), 0)
        }),
    );
    assert!(tried.states > 1000, "{tried:?}");
}
