//! What several test programs share.

pub(crate) mod disk;
pub(crate) mod scene;
