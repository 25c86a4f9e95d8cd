//! Power cuts on a disk that keeps only what strict POSIX says it must: every state that one may leave holds
//! what was synced, and of the rest the commits up to some one.
#![cfg(target_os = "linux")]

#[expect(dead_code, reason = "shared with the fault tests, which use all of it")]
mod common;
mod cuts;

use cuts::check::{Calls, Script, play};
use cuts::script::{Model, Step};
use cuts::states::hash;
use numpack::prelude::*;

use Durability::{Power, Process};

fn several(arrays: &[(&str, usize)]) -> Vec<(String, usize)> {
    arrays.iter().map(|&(name, rows)| (name.to_owned(), rows)).collect()
}

fn save(name: &str, rows: usize) -> Step {
    Step::Save(several(&[(name, rows)]))
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
        ("append", vec![append("a", 3), append("a", 9)]),
        ("append several", vec![Step::Append(several(&[("a", 2), ("b", 3)]))]),
        ("replace", vec![replace("a", &[1, 2, 5]), replace("a", &[2, -1])]),
        ("replace several", vec![Step::Replace(vec![("a".into(), vec![0, 4]), ("c".into(), vec![3])])]),
        ("save, then replace", vec![save("new", 6), replace("new", &[1])]),
        ("append, then replace", vec![append("a", 6), replace("a", &[1])]),
        ("drop rows", vec![drop_rows("a", &[0, 3, -1]), drop_rows("a", &[1])]),
        ("compact", vec![drop_rows("a", &[0, 3]), Step::Compact("a".into()), append("a", 2)]),
        ("compact replaced", vec![drop_rows("b", &[0]), replace("b", &[1]), Step::Compact("b".into())]),
        ("clone", vec![Step::Clone("a".into(), "copy".into()), append("copy", 2)]),
        ("drop an array", vec![Step::Remove("a".into()), save("a", 2)]),
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

fn play_all(scripts: impl IntoIterator<Item = Script>) {
    let mut wrong = Vec::new();
    let states: usize = scripts.into_iter().map(|script| play(&script, &mut wrong)).sum();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{states} states");
    assert!(states > 1000, "only {states} states were tried");
}

#[test]
fn what_was_synced_is_there_and_of_the_rest_a_prefix() {
    play_all(scenes().into_iter().map(|(name, steps)| {
        let mut calls = with(Process, small());
        calls.push((Process, Step::Sync));
        let prelude = calls.len();
        calls.extend(with(Process, steps));
        calls.extend(with(Process, [Step::Sync, save("last", 1)]));
        Script { name: name.into(), calls, prelude, states: 60 }
    }));
}

#[test]
fn without_a_sync_the_commits_up_to_some_one_are_there() {
    play_all(scenes().into_iter().map(|(name, steps)| {
        let calls = with(Process, small().into_iter().chain(steps));
        Script { name: name.into(), calls, prelude: 0, states: 40 }
    }));
}

#[test]
fn with_power_every_call_that_returned_is_there() {
    play_all(scenes().into_iter().map(|(name, steps)| {
        let calls = with(Power, small().into_iter().chain(steps));
        Script { name: name.into(), calls, prelude: small().len(), states: 60 }
    }));
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
    let some: Vec<i64> = (0..rows as i64).filter(|row| (drawn >> (row % 40 + 8)) % 4 == 0).collect();
    match drawn % 14 {
        0 | 1 => Step::Save(several(&[(&new, drawn as usize / 512 % 9 + 1)])),
        2 if name != "x" => Step::Save(several(&[(&name, 3), ("x", 2)])),
        3 | 4 => append(&name, drawn as usize / 512 % 7 + 1),
        5..=8 if !some.is_empty() => replace(&name, &some),
        9 if !some.is_empty() => drop_rows(&name, &some),
        10 => Step::Compact(name),
        11 if model.sizes().iter().all(|(known, _)| *known != new) => Step::Clone(name, new),
        12 if drawn % 3 == 0 => Step::Remove(name),
        13 if drawn % 5 == 0 => Step::Reset,
        12 | 13 => Step::Sync,
        _ => append(&name, 1),
    }
}

#[test]
fn random_calls_with_and_without_power_keep_what_they_promise() {
    play_all((0..24).map(|seed| {
        let mixed = |drawn| if seed % 3 == 0 || drawn % 2 == 0 { Process } else { Power };
        let calls = random(seed, 16, mixed);
        Script { name: format!("seed {seed}"), calls, prelude: 0, states: 12 }
    }));
}
