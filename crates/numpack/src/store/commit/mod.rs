//! Commits: the state of an open store, how it follows other processes, and the one way to the log.

pub(crate) mod checkpoint;
pub(crate) mod state;
