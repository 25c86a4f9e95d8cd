//! Commits: the state of an open store, who may change it and how, and how it follows other processes.

pub(crate) mod checkpoint;
mod follow;
pub(crate) mod guard;
pub(crate) mod ingests;
pub(crate) mod state;
pub(crate) mod transaction;
