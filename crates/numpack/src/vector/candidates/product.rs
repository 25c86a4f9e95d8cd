//! The matrix product of bfloat16 vectors by AMX, from numkong: the one piece of foreign code in a search.
//!
//! It is asked for its kernels by capability mask, so that nothing global changes. Its results are estimates
//! with a bound, see `certify.rs`; no score that a caller sees is computed here.
#![expect(unsafe_code, reason = "calls into the C of numkong")]

use std::ffi::c_int;

use numkong::cap;
use numkong::capabilities::{available, configure_thread};

/// Sizes of tiles are multiples of these, so that kernels need no code for remainders.
pub(crate) const COLUMN_STEP: usize = 32;
pub(crate) const DEPTH_STEP: usize = 32;

type SizeOf = unsafe extern "C" fn(columns: usize, depth: usize) -> usize;
type Pack =
    unsafe extern "C" fn(b: *const u16, columns: usize, depth: usize, b_stride: usize, packed: *mut u8);
type Multiply = unsafe extern "C" fn(
    a: *const u16,
    packed: *const u8,
    c: *mut f32,
    rows: usize,
    columns: usize,
    depth: usize,
    a_stride: usize,
    c_stride: usize,
);
type Kernel = unsafe extern "C" fn();

/// The kernel kinds and the dtype code of `numkong/capabilities.h` and `numkong/types.h` in version 7.
const KIND_SIZE: c_int = b'P' as c_int;
const KIND_PACK: c_int = b'Q' as c_int;
const KIND_MULTIPLY: c_int = b'G' as c_int;
const BFLOAT16: c_int = 1 << 13;

unsafe extern "C" {
    fn nk_find_kernel_punned(
        kind: c_int,
        dtype: c_int,
        viable: u64,
        kernel: *mut Option<Kernel>,
        capability: *mut u64,
    );
}

/// `C = A · Bᵀ` for bfloat16 `A` and packed `B`, accumulated in `float32`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    size: SizeOf,
    pack: Pack,
    multiply: Multiply,
}

/// Vectors in the order that one kernel wants them.
#[derive(Debug)]
pub(crate) struct Packed {
    lines: Vec<Line>,
    columns: usize,
    depth: usize,
}

/// A cache line; kernels load packed vectors by whole lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Line {
    _words: [u64; 8],
}

impl Product {
    /// The kernels for AMX; `None` when this CPU or the system has none.
    pub(crate) fn new() -> Option<Product> {
        let viable = available() & AMX;
        if viable == 0 || !configure_thread() {
            return None;
        }
        let (multiply, capability) = find(KIND_MULTIPLY, viable)?;
        let (pack, pack_capability) = find(KIND_PACK, capability)?;
        let (size, size_capability) = find(KIND_SIZE, capability)?;
        if pack_capability != capability || size_capability != capability {
            return None;
        }
        // SAFETY: the kernels of these kinds on bfloat16 have these types (`numkong/dots.h`).
        let (size, pack, multiply) = unsafe {
            (
                std::mem::transmute::<Kernel, SizeOf>(size),
                std::mem::transmute::<Kernel, Pack>(pack),
                std::mem::transmute::<Kernel, Multiply>(multiply),
            )
        };
        Some(Product { size, pack, multiply })
    }

    /// Lets this thread use the kernels: the system grants AMX registers on request.
    pub(crate) fn prepare_thread(&self) {
        configure_thread();
    }

    /// Packs the rows of `b`, `columns` vectors of `depth` elements each.
    ///
    /// # Panics
    /// When the sizes are not multiples of the steps or `b` has another length.
    pub(crate) fn pack(&self, b: &[u16], columns: usize, depth: usize) -> Packed {
        check(b.len(), columns, depth);
        assert!(columns.is_multiple_of(COLUMN_STEP), "columns fill tiles");
        // SAFETY: a computation on two numbers.
        let bytes = unsafe { (self.size)(columns, depth) };
        let mut lines = vec![Line::default(); bytes.div_ceil(64)];
        let stride = depth * size_of::<u16>();
        // SAFETY: `b` holds `columns` rows of `stride` bytes, and `lines` at least the bytes asked for.
        unsafe { (self.pack)(b.as_ptr(), columns, depth, stride, lines.as_mut_ptr().cast()) }
        Packed { lines, columns, depth }
    }

    /// `c[i][j] = a[i] · b[j]` for `rows` rows of `a`; `c` has a row of all columns for each.
    ///
    /// # Panics
    /// When a length does not fit.
    pub(crate) fn multiply(&self, a: &[u16], rows: usize, b: &Packed, c: &mut [f32]) {
        check(a.len(), rows, b.depth);
        assert_eq!(Some(c.len()), rows.checked_mul(b.columns), "one result for every pair");
        let (a_stride, c_stride) = (b.depth * size_of::<u16>(), b.columns * size_of::<f32>());
        // SAFETY: the asserts; `b` was packed by the kernels of the same instruction set, which
        // `Product::new` has found on this CPU, and the thread was prepared.
        unsafe {
            let packed = b.lines.as_ptr().cast();
            (self.multiply)(a.as_ptr(), packed, c.as_mut_ptr(), rows, b.columns, b.depth, a_stride, c_stride);
        }
    }
}

fn check(len: usize, rows: usize, depth: usize) {
    assert!(depth.is_multiple_of(DEPTH_STEP), "vectors fill tiles");
    assert_eq!(Some(len), rows.checked_mul(depth), "whole rows");
}

fn find(kind: c_int, viable: u64) -> Option<(Kernel, u64)> {
    let (mut kernel, mut capability) = (None, 0);
    // SAFETY: both targets are writable; a null pointer is `None`.
    unsafe { nk_find_kernel_punned(kind, BFLOAT16, viable, &mut kernel, &mut capability) };
    kernel.map(|kernel| (kernel, capability))
}

/// Whether products can be made by AMX.
pub(crate) fn has_amx() -> bool {
    available() & cap::SAPPHIREAMX != 0
}

const AMX: u64 = cap::SAPPHIREAMX | cap::GRANITEAMX;
