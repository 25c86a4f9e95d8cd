//! `unpack`: a store from a package.

use numpack::NpkResult;
use numpack::package::{self, Progress, UnpackOptions};
use serde_json::json;

use crate::args::Unpack;
use crate::outcome::Outcome;
use crate::output::{Output, arrays, bytes, clean};
use crate::progress::Work;

/// Unpacks a package.
///
/// # Errors
/// Those of [`package::unpack`] and of printing.
pub(crate) fn unpack(args: &Unpack, output: &mut Output) -> NpkResult<Outcome> {
    let options = UnpackOptions::new().overwrite(args.overwrite).verify(!args.no_verify);
    let work = Work::new("unpacking", !args.json)?;
    let step = |now: Progress| work.at(now.done, now.total);
    let path = package::unpack(&args.package, args.store.as_deref(), options, step)?;
    drop(work);
    let info = package::info(&args.package)?;
    let shown = info.arrays.iter().filter(|array| !array.is_hidden()).count();
    if args.json {
        output.json(&json!({
            "store": path.display().to_string(),
            "arrays": shown,
            "bytes": info.original_bytes(),
        }))?;
    } else {
        let path = clean(&path.display().to_string());
        output.line(&format!("{path}: {}, {}", arrays(shown), bytes(info.original_bytes())))?;
    }
    Ok(Outcome::Fine)
}
