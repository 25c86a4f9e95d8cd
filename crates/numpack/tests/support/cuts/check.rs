//! Runs a script on a disk that remembers, cuts the power everywhere, and looks at what comes back.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::journal::{Effect, Journal};
use super::script::{Model, Span, Step, WIDTH};
use super::states::{Choice, DiskState, Image, hash, hash_of};
use crate::contents::{Contents, contents};
use crate::disk::{Disk, Working};
use crate::folder::scratch;
use crate::values::values;
use numpack::Finding;
use numpack::prelude::*;

/// A call and the durability of the handle that makes it.
pub(crate) type Calls = Vec<(Durability, Step)>;

/// Calls, and how much to try of what a cut may leave of them.
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) calls: Calls,
    /// Calls at the beginning in which no cut is played.
    pub(crate) prelude: usize,
    /// At most so many states for each instant, drawn from all.
    pub(crate) states: usize,
    /// One state in so many is cut again while it recovers.
    pub(crate) again: u64,
}

/// What a script did to its disk.
struct Run {
    effects: Vec<Effect>,
    /// Number of effects when each call returned.
    ends: Vec<usize>,
    /// The store after so many calls.
    models: Vec<Model>,
    /// Whether each call, once it has returned, made everything up to it durable.
    durable: Vec<bool>,
}

/// What must be true at an instant: the calls that a cut may not take, and those that may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bounds {
    least: usize,
    most: usize,
}

/// A disk that remembers, in a folder of its own or in one with files.
fn journalled(path: &Path, boot: u8) -> (Arc<Disk>, Arc<Journal>) {
    let journal = Arc::new(Journal::default());
    let disk = Disk::new(path, journal.clone(), Some(boot));
    journal.know(disk.numbers());
    (disk, journal)
}

/// A process dies anywhere in the last call but one, another makes the last call with `power`, and then the
/// power is cut: what the second process saw is there.
pub(crate) fn die_then_cut(name: &str, calls: &[Step], states: usize) -> Tried {
    let (last, before) = (&calls[calls.len() - 1], &calls[..calls.len() - 2]);
    let open = |disk: &Arc<Disk>, durability| {
        Store::open_folder(disk.clone(), OpenOptions::new().durability(durability)).unwrap()
    };
    let mut tried = Tried::default();
    for at in 0.. {
        let dir = scratch();
        let (disk, journal) = journalled(dir.path(), 1);
        let store = open(&disk, Durability::Process);
        before.iter().enumerate().for_each(|(i, step)| step.act(&store, i).unwrap());
        journal.die_after(Some(at));
        // It may die behind its commit, and then it does not know.
        drop(calls[before.len()].act(&store, before.len()));
        drop(store);
        let died = journal.is_dead();
        journal.die_after(None);
        let store = open(&disk, Durability::Power);
        last.act(&store, calls.len() - 1).unwrap();
        let expected = contents(&store).unwrap();
        drop(store);
        let mut state = DiskState::default();
        let effects = journal.effects();
        effects.iter().for_each(|effect| state.push(effect));
        tried.renames = renames(&effects);
        for choice in draw(&state, states, at as u64) {
            let path = dir.path().join("cut");
            materialise(&state.image(choice), &path);
            let found =
                open_after(&path, 9).unwrap_or_else(|e| panic!("{name}: death at {at}, {choice:?}: {e}"));
            assert!(found.1 == expected, "{name}: death after effect {at}, {choice:?}: {:?}", found.1.keys());
            tried.states += 1;
        }
        if !died {
            break;
        }
    }
    tried
}

fn run(script: &Script) -> Run {
    let dir = scratch();
    let (disk, journal) = journalled(dir.path(), 1);
    let open = |durability| {
        let options = OpenOptions::new().durability(durability);
        Store::open_folder(disk.clone(), options).unwrap()
    };
    let power = script.calls.iter().any(|(durability, _)| *durability == Durability::Power);
    let stores = (open(Durability::Process), power.then(|| open(Durability::Power)));
    let mut run = Run { effects: vec![], ends: vec![], models: vec![Model::default()], durable: vec![] };
    for (i, (durability, step)) in script.calls.iter().enumerate() {
        let own = *durability == Durability::Power;
        let store = if own { stores.1.as_ref().unwrap() } else { &stores.0 };
        step.act(store, i).unwrap_or_else(|e| panic!("{}: call {i}, {step:?}: {e}", script.name));
        run.ends.push(journal.len());
        run.models.push(run.models[i].after(step, i));
        let committed = run.models[i + 1].commits > run.models[i].commits;
        run.durable.push(own && committed || matches!(step, Step::Sync));
    }
    run.effects = journal.effects();
    run
}

impl Run {
    fn bounds(&self, effects: usize) -> Bounds {
        let returned = self.ends.partition_point(|&end| end <= effects);
        let least = self.durable[..returned].iter().rposition(|&durable| durable).map_or(0, |at| at + 1);
        Bounds { least, most: (returned + 1).min(self.ends.len()) }
    }

    /// Whether `got` is the state after some call within the bounds.
    fn holds(&self, got: &Contents, Bounds { least, most }: Bounds) -> bool {
        (least..=most).any(|k| self.models[k].matches(got, &Span(&self.models[k..=most])))
    }

    /// Whether rows of the array were replaced by a call that may be lost: the file may then have some of them.
    fn may_be_torn(&self, array: &String, Bounds { least, most }: Bounds) -> bool {
        self.models[least + 1..=most].iter().any(|model| model.replaced_arrays().any(|name| name == array))
    }

    /// Names, shapes and rows of what was found, and which call wrote them.
    fn describe(&self, got: &Contents) -> String {
        let describe = |(name, (shape, values)): (&String, &(Vec<u64>, Vec<f32>))| {
            let calls: Vec<u64> = values.iter().step_by(WIDTH).map(|&v| v as u64 / 100_000).collect();
            let zeros = values.iter().filter(|&&v| v == 0.0).count();
            format!("{name} {shape:?} rows of calls {calls:?}, {zeros} zeros")
        };
        got.iter().map(describe).collect::<Vec<_>>().join("; ")
    }
}

/// Failures that are listed; one cause tends to show in hundreds of states.
const LISTED: usize = 8;

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    pub(crate) states: usize,
    /// Renames in the part of the script that was cut: checkpoints and reused files.
    pub(crate) renames: usize,
}

/// Plays the script and every cut in it, and adds what was wrong.
pub(crate) fn play(script: &Script, wrong: &mut Vec<String>) -> Tried {
    let run = run(script);
    let dir = scratch();
    let path = dir.path().join("store");
    let from = script.prelude.checked_sub(1).map_or(0, |last| run.ends[last]);
    let (mut disk, mut seen) = (DiskState::default(), HashSet::new());
    for n in 0..=run.effects.len() {
        if n > 0 {
            disk.push(&run.effects[n - 1]);
        }
        if n < from {
            continue;
        }
        let bounds = run.bounds(n);
        for choice in draw(&disk, script.states, hash(&(n, &script.name))) {
            let image = disk.image(choice);
            let number = hash_of(&image);
            if !seen.insert((number, bounds)) {
                continue;
            }
            let mut result = check(&image, &run, bounds, &path, 9);
            if number.is_multiple_of(script.again) {
                result = result.and_then(|()| cut_again(&image, &run, bounds, &path));
            }
            if let Err(error) = result {
                wrong.push(format!("{}: cut after effect {n}, {choice:?}: {error}", script.name));
            }
            if wrong.len() >= LISTED {
                return Tried::default();
            }
        }
    }
    Tried { states: seen.len(), renames: renames(&run.effects[from..]) }
}

fn renames(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Names(names) if names.len() == 2)).count()
}

/// The choices to try: the first always, a part of the others where there are too many, some random ones.
fn draw(disk: &DiskState, most: usize, seed: u64) -> Vec<Choice> {
    let (mut choices, mut rest) = disk.choices();
    let few = rest.len().min(most / 3);
    rest.extend((0..few as u64).map(|i| Choice::Random(seed.wrapping_add(i))));
    rest.sort_by_cached_key(|choice| hash(&(seed, format!("{choice:?}"))));
    choices.extend(rest.into_iter().take(most));
    choices
}

fn materialise(image: &Image, path: &Path) {
    if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
    fs::create_dir(path).unwrap();
    for (name, bytes) in image {
        let file = File::create_new(path.join(name.to_string())).unwrap();
        file.set_len(bytes.len).unwrap();
        let used = bytes.head.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
        file.write_all_at(&bytes.head[..used], 0).unwrap();
    }
}

/// The store at `path` as the next boot finds it, and all that is in it.
fn open_after(path: &Path, boot: u8) -> NpkResult<(Store, Contents)> {
    let disk = Disk::new(path, Arc::new(Working), Some(boot));
    let store = Store::open_folder(disk, OpenOptions::new())?;
    let got = contents(&store)?;
    Ok((store, got))
}

/// What a reader finds, who may mend nothing; nothing where the cut left no store.
fn read(path: &Path, boot: u8) -> NpkResult<Contents> {
    let disk = Disk::new(path, Arc::new(Working), Some(boot));
    match Store::open_folder(disk, OpenOptions::new().mode(Mode::Read)) {
        Err(NpkError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Contents::new()),
        store => contents(&store?),
    }
}

/// Opens the store after the cut: it holds a state within the bounds, is intact, works, and keeps it all.
fn check(image: &Image, run: &Run, bounds: Bounds, path: &Path, boot: u8) -> Result<(), String> {
    materialise(image, path);
    let error = |e: NpkError| e.to_string();
    let seen = read(path, boot).map_err(|e| format!("a reader: {e}"))?;
    let (store, mut got) = open_after(path, boot).map_err(error)?;
    if !run.holds(&got, bounds) {
        return Err(format!("no state within {bounds:?}: {}", run.describe(&got)));
    }
    if seen != got {
        return Err(format!("a reader finds {}, a writer {}", run.describe(&seen), run.describe(&got)));
    }
    let torn_only = |finding: &Finding| match finding {
        Finding::Contents { array, .. } => run.may_be_torn(array, bounds),
        _ => false,
    };
    let report = store.verify().map_err(error)?;
    if !report.findings.iter().all(torn_only) {
        return Err(format!("{:?}", report.findings));
    }
    store.save_slice("later", &values(1, 8), &[2, 4]).map_err(error)?;
    store.append_slice("later", &values(20, 4)).map_err(error)?;
    got.insert("later".into(), (vec![3, 4], [values(1, 8), values(20, 4)].concat()));
    drop(store);
    match open_after(path, boot).map_err(error)?.1 == got {
        true => Ok(()),
        false => Err("the next opening finds something else".into()),
    }
}

/// States tried for each instant of a recovery.
const AGAIN: usize = 3;

/// Cuts the power again or kills the process, anywhere in the recovery and in a call with `power` after it, which must then stay.
fn cut_again(image: &Image, run: &Run, bounds: Bounds, path: &Path) -> Result<(), String> {
    materialise(image, path);
    let (disk, journal) = journalled(path, 9);
    let mut state = DiskState::holding(image, &disk.numbers());
    let options = OpenOptions::new().durability(Durability::Power);
    let store = Store::open_folder(disk, options).map_err(|e| e.to_string())?;
    let recovered = (journal.len(), contents(&store).unwrap());
    let row = values(7, WIDTH);
    let grows = recovered.1.keys().next();
    grows.map_or(Ok(()), |name| store.append_slice(name, &row)).map_err(|e| e.to_string())?;
    let last = contents(&store).unwrap();
    drop(store);
    let effects = journal.effects();
    for n in 0..=effects.len() {
        if n > 0 {
            state.push(&effects[n - 1]);
        }
        // In the same boot nothing is lost: there only the process died.
        let cuts = draw(&state, AGAIN, n as u64).into_iter().map(|choice| (choice, 10));
        for (choice, boot) in cuts.chain([(Choice::All, 9)]) {
            let image = state.image(choice);
            let result = if n < recovered.0 {
                check(&image, run, bounds, path, boot)
            } else {
                materialise(&image, path);
                let done = n == effects.len();
                match open_after(path, boot).map_err(|e| e.to_string())?.1 {
                    got if got == last || !done && got == recovered.1 => Ok(()),
                    got => Err(format!("found {}, not {}", run.describe(&got), run.describe(&last))),
                }
            };
            result.map_err(|e| format!("and again after effect {n}, boot {boot}, {choice:?}: {e}"))?;
        }
    }
    Ok(())
}
