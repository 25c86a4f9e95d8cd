//! Kernels: the score of a pair of vectors, the same to the last bit on every CPU.

pub(crate) mod bits;
pub(crate) mod bytes;
pub(crate) mod cpu;
pub(crate) mod element;
pub(crate) mod exact;
pub(crate) mod float_mode;
pub(crate) mod measure;
pub(crate) mod numbers;
pub(crate) mod row;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) mod x86_64;
