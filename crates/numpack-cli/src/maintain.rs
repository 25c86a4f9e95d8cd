//! `verify` and `compact`.

use numpack::package::{self, Progress};
use numpack::{Mode, NpkError, NpkResult, OpenOptions};
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::{Compact, Verify};
use crate::inspect::open;
use crate::output::{Output, arrays, bytes, clean};
use crate::progress::Work;

/// Checks a store or a package and prints every finding.
///
/// # Errors
/// Those of opening and printing; damage is an outcome.
pub(crate) fn verify(args: &Verify, output: &mut Output) -> NpkResult<Outcome> {
    if args.path.is_file() {
        return verify_package(args, output);
    }
    let report = match open(&args.path) {
        Ok(store) => store.verify()?,
        // A log that cannot be opened is what this command is asked about.
        Err(NpkError::Corrupted { file, offset, reason }) => {
            let text = format!("{} is damaged at byte {offset}: {reason}", file.display());
            return damaged(args, &text, "the store cannot be opened", output);
        }
        Err(error) => return Err(error),
    };
    if args.json {
        let finding = |finding: &numpack::Finding| json!({ "damage": finding.is_damage(), "text": finding.to_string() });
        let findings: Vec<Value> = report.findings.iter().map(finding).collect();
        output.json(&json!({
            "store": args.path.display().to_string(),
            "sound": report.is_intact(),
            "arrays": report.arrays,
            "checksummed": report.checksummed,
            "findings": findings,
        }))?;
    } else {
        for finding in &report.findings {
            output.line(&clean(&finding.to_string()))?;
        }
        let state = if report.is_intact() { "sound" } else { "damaged" };
        let all = arrays(report.arrays);
        output.line(&format!("{state}: {all}, {} of them checked by checksum", report.checksummed))?;
    }
    Ok(if report.is_intact() { Outcome::Fine } else { Outcome::Finding })
}

fn verify_package(args: &Verify, output: &mut Output) -> NpkResult<Outcome> {
    let work = Work::new("verifying", !args.json)?;
    let info = match package::verify(&args.path, |now: Progress| work.at(now.done, now.total)) {
        Err(error @ NpkError::Corrupted { .. }) => {
            drop(work);
            return damaged(args, &error.to_string(), "the package cannot be unpacked", output);
        }
        other => other?,
    };
    drop(work);
    let count = info.arrays.len();
    if args.json {
        output.json(&json!({
            "package": args.path.display().to_string(),
            "sound": true,
            "arrays": count,
            "checksummed": count,
            "findings": [],
        }))?;
    } else {
        output.line(&format!("sound: {}, {count} of them checked by checksum", arrays(count)))?;
    }
    Ok(Outcome::Fine)
}

/// Damage behind which nothing can be looked at.
fn damaged(args: &Verify, text: &str, consequence: &str, output: &mut Output) -> NpkResult<Outcome> {
    if args.json {
        let what = if args.path.is_file() { "package" } else { "store" };
        output.json(&json!({
            what: args.path.display().to_string(),
            "sound": false,
            "findings": [{ "damage": true, "text": text }],
        }))?;
    } else {
        output.line(&clean(text))?;
        output.line(&format!("damaged: {consequence}"))?;
    }
    Ok(Outcome::Finding)
}

/// Rewrites arrays that have deleted rows.
///
/// # Errors
/// Those of opening, compacting and printing.
pub(crate) fn compact(args: &Compact, output: &mut Output) -> NpkResult<Outcome> {
    let store = OpenOptions::new().mode(Mode::ReadWrite).open(&args.store)?;
    let names = if args.arrays.is_empty() { store.list_all_arrays() } else { args.arrays.clone() };
    // An unknown name is refused before any array is rewritten.
    let arrays = names.iter().map(|name| store.get_array_metadata(name)).collect::<NpkResult<Vec<_>>>()?;
    let mut done = Vec::new();
    for array in arrays.iter().filter(|array| array.deleted_rows > 0) {
        store.compact_array(&array.name)?;
        done.push((&array.name, array.deleted_rows, array.file_bytes - array.size_bytes));
    }
    store.sync_metadata()?;
    let freed: u64 = done.iter().map(|(_, _, freed)| freed).sum();
    if args.json {
        let array =
            |(name, rows, freed): &(&String, u64, u64)| json!({ "name": name, "rows": rows, "bytes": freed });
        let arrays: Vec<Value> = done.iter().map(array).collect();
        output.json(
            &json!({ "store": args.store.display().to_string(), "freed_bytes": freed, "arrays": arrays }),
        )?;
        return Ok(Outcome::Fine);
    }
    for (name, rows, freed) in &done {
        output.line(&format!("{}: {rows} deleted rows, {}", clean(name), bytes(*freed)))?;
    }
    output.line(&format!("{} freed in {} of {} arrays", bytes(freed), done.len(), arrays.len()))?;
    Ok(Outcome::Fine)
}
