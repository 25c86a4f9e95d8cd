//! What stands for `product.rs` in a build without numkong and on other CPUs than x86-64: there are no products of bfloat16.

pub(crate) const COLUMN_STEP: usize = 32;
pub(crate) const DEPTH_STEP: usize = 32;

/// Of this there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Product {}

#[derive(Debug)]
pub(crate) struct Packed;

/// Whether products can be made by AMX.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_amx() -> bool {
    false
}

impl Product {
    pub(crate) fn new() -> Option<Product> {
        None
    }

    pub(crate) fn prepare_thread(&self) {
        match *self {}
    }

    pub(crate) fn pack(&self, _b: &[u16], _columns: usize, _depth: usize) -> Packed {
        match *self {}
    }

    pub(crate) fn multiply(&self, _a: &[u16], _rows: usize, _b: &Packed, _c: &mut [f32]) {
        match *self {}
    }
}
