//! Power cuts in strict POSIX: what was asked of a disk, what a cut may leave of it, and what must be true.

pub(crate) mod check;
pub(crate) mod journal;
pub(crate) mod script;
pub(crate) mod states;
