//! The verbs of `NumPack`, a file each: convert, release the GIL, call the engine, wrap.
//!
//! While a batch is under way each verb hands its arguments to it (`python/numpack/batch.py`).

mod append;
mod batch;
mod copy;
mod drop;
mod getitem;
mod load;
mod metadata;
mod rename;
mod replace;
mod save;
mod search;
pub(crate) mod stream;
mod sync;
mod update;
mod verify;
