//! Share a package: a store becomes one compressed file with checksums, and a store again elsewhere.
//!
//! The same program in Python: share_a_package.py.

use std::error::Error;
use std::fs;

use numpack::package::{self, PackOptions, UnpackOptions};
use numpack::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let here = folder.path().join("data.npk");
    let readings: Vec<i64> = (0..400_000).map(|i| i * i % 101).collect();
    let store = OpenOptions::new().open(&here)?;
    store.save_slice("readings", &readings, &[100_000, 4])?;
    store.save_slice("station", &[47.4, 8.5], &[2])?;
    store.close()?;

    let packed = package::pack(&here, None, PackOptions::new(), package::quiet)?;
    let info = package::info(&packed)?;
    println!("{}: {} arrays, {:.2} of their size", packed.display(), info.arrays.len(), info.ratio());

    let there = folder.path().join("elsewhere").join("data.npk");
    let copy = package::unpack(&packed, Some(&there), UnpackOptions::new(), package::quiet)?;
    let store = OpenOptions::new().mode(Mode::Read).open(copy)?;
    assert_eq!(store.load_vec::<i64>("readings")?.1, readings);
    println!("unpacked: {:?}", store.list_arrays());

    let mut damaged = fs::read(&packed)?;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&packed, damaged)?;
    let nowhere = folder.path().join("damaged.npk");
    let found = package::unpack(&packed, Some(&nowhere), UnpackOptions::new(), package::quiet);
    assert!(matches!(found, Err(NpkError::Corrupted { .. })), "damage went unnoticed: {found:?}");
    assert!(!nowhere.exists());
    println!("one flipped bit is found");
    Ok(())
}
