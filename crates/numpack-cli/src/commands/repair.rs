//! `repair`: what is intact of a damaged store, in a new one.

use numpack::{NpkResult, RepairReport};
use serde_json::{Value, json};

use crate::args::Repair;
use crate::outcome::Outcome;
use crate::output::{Output, arrays, clean};
use crate::progress::Work;

/// Rebuilds a store and prints what came over and what did not.
///
/// # Errors
/// Those of [`numpack::repair`] and of printing; damage is an outcome.
pub(crate) fn repair(args: &Repair, output: &mut Output) -> NpkResult<Outcome> {
    let work = Work::new("repairing", !args.json)?;
    let report = numpack::repair(&args.store, &args.new_store, |done, total| work.at(done, total))?;
    drop(work);
    if args.json {
        output.json(&described(args, &report))?;
    } else {
        told(args, &report, output)?;
    }
    Ok(if report.is_complete() { Outcome::Fine } else { Outcome::Finding })
}

fn described(args: &Repair, report: &RepairReport) -> Value {
    let recovered = report.recovered.iter().map(|array| {
        json!({ "name": array.name, "rows": array.rows, "proven": array.is_proven, "commit": array.commit })
    });
    let left_out = report.left_out.iter().map(|lost| json!({ "name": lost.name, "reason": lost.reason }));
    json!({
        "store": args.new_store.display().to_string(),
        "complete": report.is_complete(),
        "recovered": recovered.collect::<Vec<_>>(),
        "left_out": left_out.collect::<Vec<_>>(),
        "log_problems": report.log_problems,
        "log_bytes_lost": report.log_bytes_lost,
        "unknown_files": report.unknown_files,
        "last_commit": report.last_commit,
        "last_state": report.is_last_state,
    })
}

fn told(args: &Repair, report: &RepairReport, output: &mut Output) -> NpkResult<()> {
    for problem in &report.log_problems {
        output.line(&format!("log: {}", clean(problem)))?;
    }
    for lost in &report.left_out {
        output.line(&format!("left out: array {:?}: {}", lost.name, clean(&lost.reason)))?;
    }
    for array in report.recovered.iter().filter(|array| !array.is_proven) {
        output.line(&format!("not proven: array {:?} has no checksum", array.name))?;
    }
    for file in &report.unknown_files {
        output.line(&format!("unknown: {}: no commit that can be read names it", clean(file)))?;
    }
    if !report.is_last_state {
        let state = report.last_commit.map_or("no commit could be read".into(), |commit| {
            format!("not every commit could be read; the last is {commit}: arrays may be older than they were, or missing")
        });
        output.line(&state)?;
    }
    let target = clean(&args.new_store.display().to_string());
    output.line(&format!("{target}: {}, {} left out", arrays(report.recovered.len()), report.left_out.len()))
}
