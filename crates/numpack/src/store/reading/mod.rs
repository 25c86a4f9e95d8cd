//! Reading: copies, snapshots and searches of one commit, beside writers that never wait for them.

pub(crate) mod copy;
pub(crate) mod held;
pub(crate) mod overlay;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod snapshot;
