//! What `import` and `export` print when they are done.

use std::path::Path;

use numpack::ArrayMetadata;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::outcome::Outcome;
use crate::output::{self, Output, bytes, clean, shape};

/// Prints what was converted.
pub(crate) fn report(
    mut told: Value,
    target: &Path,
    (arrays, as_json): (&[ArrayMetadata], bool),
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if as_json {
        let describe = |array: &ArrayMetadata| {
            json!({
                "name": array.name,
                "dtype": array.dtype.name(),
                "shape": array.shape,
                "bytes": array.size_bytes,
            })
        };
        told["arrays"] = arrays.iter().map(describe).collect();
        output.json(&told)?;
        return Ok(Outcome::Fine);
    }
    let row = |a: &ArrayMetadata| [clean(&a.name), a.dtype.to_string(), shape(&a.shape), bytes(a.size_bytes)];
    output.table(["NAME", "DTYPE", "SHAPE", "SIZE"], &arrays.iter().map(row).collect::<Vec<_>>())?;
    let all: u64 = arrays.iter().map(|array| array.size_bytes).sum();
    let target = clean(&target.display().to_string());
    output.line(&format!("{target}: {}, {}", output::arrays(arrays.len()), bytes(all)))?;
    Ok(Outcome::Fine)
}
