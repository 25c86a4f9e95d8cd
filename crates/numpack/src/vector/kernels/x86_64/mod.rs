//! Kernels for AVX-512, with the values of the plain ones.

pub(crate) mod float16;
pub(crate) mod popcount;
pub(crate) mod sixteen;
pub(crate) mod vnni;
