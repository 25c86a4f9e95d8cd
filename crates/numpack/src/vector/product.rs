//! The matrix product of bfloat16 vectors, from numkong: the one piece of foreign code in a search.
//!
//! It is asked for one instruction set by capability mask, so that every level can be tested on one CPU
//! and nothing global changes. Its results are estimates with a bound, see `certify.rs`; no score that a
//! caller sees is computed here.
#![expect(unsafe_code, reason = "calls into the C of numkong")]

use std::ffi::c_int;

use numkong::cap;
use numkong::capabilities::{available, configure_thread};

use super::level::SimdLevel;

/// Sizes of tiles are multiples of these, so that kernels need no code for remainders.
pub(super) const COLUMN_STEP: usize = 32;
pub(super) const DEPTH_STEP: usize = 32;

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
pub(super) struct Product {
    size: SizeOf,
    pack: Pack,
    multiply: Multiply,
    capability: u64,
}

/// Vectors in the order that one kernel wants them.
#[derive(Debug)]
pub(super) struct Packed {
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
    /// The kernels for this level; `None` where there are none.
    pub(super) fn new(level: SimdLevel) -> Option<Product> {
        let mut viable = available() & mask(level.min(SimdLevel::best()));
        if viable & AMX != 0 && !configure_thread() {
            viable &= !AMX;
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
        Some(Product { size, pack, multiply, capability })
    }

    /// The instruction set of the kernels.
    pub(super) fn name(&self) -> &'static str {
        NAMES.iter().find(|(bit, _)| *bit == self.capability).map_or("serial", |(_, name)| name)
    }

    /// Whether products of bfloat16 are faster than those of `f32`: not by AVX-512 and below.
    pub(super) fn is_fast(&self) -> bool {
        self.capability & AMX != 0 || (!cfg!(target_arch = "x86_64") && self.capability != cap::SERIAL)
    }

    /// Lets this thread use the kernels: the system grants AMX registers on request.
    pub(super) fn prepare_thread(&self) {
        if self.capability & AMX != 0 {
            configure_thread();
        }
    }

    /// Packs the rows of `b`, `columns` vectors of `depth` elements each.
    ///
    /// # Panics
    /// When the sizes are not multiples of the steps or `b` has another length.
    pub(super) fn pack(&self, b: &[u16], columns: usize, depth: usize) -> Packed {
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
    pub(super) fn multiply(&self, a: &[u16], rows: usize, b: &Packed, c: &mut [f32]) {
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
#[cfg(target_arch = "x86_64")]
pub(super) fn has_amx() -> bool {
    available() & cap::SAPPHIREAMX != 0
}

const AMX: u64 = cap::SAPPHIREAMX | cap::GRANITEAMX;

/// Instruction sets that have the product, by numkong's bit.
const NAMES: [(u64, &str); 13] = [
    (cap::HASWELL, "avx2"),
    (cap::SKYLAKE, "avx512"),
    (cap::GENOA, "avx512bf16"),
    (cap::SAPPHIREAMX, "amx"),
    (cap::GRANITEAMX, "amx"),
    (cap::DIAMOND, "avx10.2"),
    (cap::NEON, "neon"),
    (cap::NEONBFDOT, "neon-bf16"),
    (cap::SVE, "sve"),
    (cap::SVEBFDOT, "sve-bf16"),
    (cap::SME, "sme"),
    (cap::SME2, "sme2"),
    (cap::RVV, "rvv"),
];

/// The instruction sets of a level.
fn mask(level: SimdLevel) -> u64 {
    if level == SimdLevel::Serial {
        return cap::SERIAL;
    }
    if !cfg!(target_arch = "x86_64") {
        return u64::MAX;
    }
    let steps = [
        (SimdLevel::Avx2, cap::SERIAL | cap::HASWELL),
        (SimdLevel::Avx512, cap::SKYLAKE | cap::ICELAKE),
        (SimdLevel::Amx, AMX),
    ];
    steps.iter().filter(|(step, _)| *step <= level).fold(0, |mask, (_, bits)| mask | bits)
}
