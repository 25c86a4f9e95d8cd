//! Turns the seed's statements into functions.
//!
//! A text in `seed/` that is whole items is included as it is. One that is bare statements cannot be
//! included by itself, so it gets a signature before it and `Ok(())` behind it; its own bytes are not touched.

use std::{env, fs, io, path::PathBuf};

/// Each text of bare statements, with the signature that supplies the variables it uses.
const FRAGMENTS: [(&str, &str); 3] = [
    ("streaming_load", "fn streaming_load(io: &ParallelIO) -> NpkResult<()>"),
    (
        "performance_tips",
        "fn performance_tips(io: &ParallelIO, data_a: ArrayD<f32>, data_b: ArrayD<f32>) -> NpkResult<()>",
    ),
    ("error_handling", "fn error_handling(io: &ParallelIO) -> numpack::prelude::NpkResult<()>"),
];

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (name, signature) in FRAGMENTS {
        let seed = format!("seed/{name}.rs");
        println!("cargo::rerun-if-changed={seed}");
        let text = fs::read_to_string(&seed)?;
        fs::write(out.join(format!("{name}.rs")), format!("{signature} {{\n{text}\nOk(())\n}}\n"))?;
    }
    Ok(())
}
