//! Many writers: threads append to one store at once, and none loses what another wrote.
//!
//! The same program, with processes, in Python: many_writers.py.

use std::error::Error;
use std::path::Path;
use std::thread;

use numpack::prelude::*;

const WRITERS: i64 = 4;
const CALLS: i64 = 25;
const ROWS: usize = 40;

/// Appends blocks of rows, each of which names its writer and the call that wrote it.
fn write(path: &Path, writer: i64) -> NpkResult<()> {
    let store = OpenOptions::new().open(path)?; // as another process would; a clone of a handle works too
    for call in 0..CALLS {
        store.append_slice("events", &[writer, call].repeat(ROWS))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = &folder.path().join("shared.npk");
    let store = OpenOptions::new().open(path)?;
    store.save_slice::<i64>("events", &[], &[0, 2])?;

    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(path, writer))).collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().unwrap_or_else(|_| panic!("a writer panicked")))
    })?;

    let (shape, events) = store.load_vec::<i64>("events")?; // what others committed is there
    println!("{} rows of {WRITERS} threads", shape[0]);
    let blocks: Vec<_> = events.chunks(ROWS * 2).collect();
    assert!(blocks.iter().all(|block| **block == block[..2].repeat(ROWS)), "no call was torn apart");
    for writer in 0..WRITERS {
        let calls = blocks.iter().filter(|block| block[0] == writer).map(|block| block[1]);
        assert!(calls.eq(0..CALLS), "no call of writer {writer} is missing");
    }
    Ok(())
}
