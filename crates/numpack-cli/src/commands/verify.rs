//! `verify`: whether a store or a package is damaged.

use numpack::package::{self, Progress};
use numpack::{NpkError, NpkResult};
use serde_json::{Value, json};

use crate::args::Verify;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, arrays, clean};
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
            return damaged(
                args,
                &text,
                "the store cannot be opened; `numpack repair` makes a new one of what is intact",
                output,
            );
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
        let state = if report.is_intact() { "intact" } else { "damaged" };
        let all = arrays(report.arrays);
        output.line(&format!("{state}: {all}, {} of them checked by checksum", report.checksummed))?;
        if !report.is_intact() {
            output.line(COPIES)?;
            output.line("`numpack repair OLD NEW` makes a new store of what is intact")?;
        }
    }
    Ok(if report.is_intact() { Outcome::Fine } else { Outcome::Finding })
}

/// What a store that was copied file by file is to be told from a bad disk by.
const COPIES: &str = "Is it a copy that was made while somebody wrote? Copy it again with `numpack pack`, or stop its writers first.";

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
        output.line(&format!("intact: {}, {count} of them checked by checksum", arrays(count)))?;
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
