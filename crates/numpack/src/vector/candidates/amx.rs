//! Products of bfloat16 by the tile instructions of AMX, in inline assembly: Rust has no stable intrinsics.
//!
//! A product is one piece of assembly that configures the tiles, goes over all blocks and releases them: no
//! tile is in use before or behind it, on any thread. Packing is not here (`product.rs`), nor is what the
//! instructions mean (`tiles.rs`, the emulation that tests compare with).
//!
//! The tiles of a block of 32 rows and 32 queries, 16 x 16 products each:
//!
//! ```text
//!                     tmm6   tmm7     queries, 32 elements of 16 each
//! rows, the same      -----------
//!           tmm4   |  tmm0   tmm1     sums
//!           tmm5   |  tmm2   tmm3
//! ```
#![expect(unsafe_code, reason = "inline assembly, and the system call for its registers")]

use std::arch::asm;
use std::arch::x86_64::{__cpuid_count, _xgetbv, CpuidResult};
use std::mem::offset_of;
use std::sync::OnceLock;

use crate::vector::candidates::blocks::{DEPTH_STEP, Multiply, ROW_STEP, TILE_CONFIG};

/// Whether the CPU has tiles of bfloat16 of the sizes used here, and the system saves them.
pub(crate) fn is_detected() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    const AMX_BF16_AND_TILE: u32 = 1 << 22 | 1 << 24;
    const XTILECFG_AND_XTILEDATA: u64 = 1 << 17 | 1 << 18;
    if cpuid(0, 0).eax < 0x1d || cpuid(1, 0).ecx & OSXSAVE == 0 {
        return false;
    }
    // SAFETY: with OSXSAVE there is `xgetbv`.
    let saved = unsafe { _xgetbv(0) };
    cpuid(7, 0).edx & AMX_BF16_AND_TILE == AMX_BF16_AND_TILE
        && saved & XTILECFG_AND_XTILEDATA == XTILECFG_AND_XTILEDATA
        && has_full_tiles(cpuid(0x1d, 1))
}

/// Whether palette 1 has eight tiles of 16 rows of 64 bytes.
fn has_full_tiles(palette: CpuidResult) -> bool {
    palette.ebx >> 16 >= 8 && palette.ebx & 0xffff >= 64 && palette.ecx & 0xffff >= 16
}

fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    // Unsafe in the oldest compiler that we promise, safe in later ones: a pointer is unsafe in all.
    let ask: unsafe fn(u32, u32) -> CpuidResult = __cpuid_count;
    // SAFETY: every x86-64 CPU has the instruction.
    unsafe { ask(leaf, subleaf) }
}

/// The code, once the system has granted the registers to this process; asked for at the first call.
pub(crate) fn kernel() -> Option<Multiply> {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    let granted = *GRANTED.get_or_init(|| is_detected() && request());
    granted.then_some(multiply as Multiply)
}

/// Asks Linux for the registers: it saves them only for processes that want them. What it grants holds for
/// all threads of the process, and for children that it forks.
fn request() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: a call with two numbers, which touches no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// What the assembly reads from memory, as there are not enough registers.
#[repr(C, align(64))]
struct Frame {
    config: [u8; 64],
    b: *const u16,
    b_end: *const u16,
    steps: usize,
}

/// Sums of all products of a block; `top` and `bottom` point to its rows again, `b` behind its panel.
macro_rules! sum_block {
    () => {
        "tilezero tmm0
         tilezero tmm1
         tilezero tmm2
         tilezero tmm3
         mov {count}, [{frame} + {steps}]
     4:
         tileloadd tmm4, [{top} + {a_row}]
         tileloadd tmm6, [{b} + {b_row}]
         tileloadd tmm7, [{b} + {b_row} + 1024]
         tdpbf16ps tmm0, tmm4, tmm6
         tdpbf16ps tmm1, tmm4, tmm7
         tileloadd tmm5, [{bottom} + {a_row}]
         tdpbf16ps tmm2, tmm5, tmm6
         tdpbf16ps tmm3, tmm5, tmm7
         add {top}, 64
         add {bottom}, 64
         add {b}, 2048
         dec {count}
         jnz 4b
         sub {top}, {a_row}
         sub {bottom}, {a_row}"
    };
}

/// Stores the sums of a block; `c` points behind them.
macro_rules! store_block {
    () => {
        "mov {count}, {c_row}
         shl {count}, 4
         add {count}, {c}
         tilestored [{c} + {c_row}], tmm0
         tilestored [{c} + {c_row} + 64], tmm1
         tilestored [{count} + {c_row}], tmm2
         tilestored [{count} + {c_row} + 64], tmm3
         add {c}, 128"
    };
}

/// # Safety
/// As for [`Multiply`].
pub(crate) unsafe fn multiply(
    a: *const u16,
    rows: usize,
    b: *const u16,
    columns: usize,
    depth: usize,
    c: *mut f32,
) {
    // SAFETY: `b` has `columns * depth` elements.
    let b_end = unsafe { b.add(columns * depth) };
    let frame = Frame { config: TILE_CONFIG, b, b_end, steps: depth / DEPTH_STEP };
    // SAFETY: the caller's promise: loads are of whole blocks inside `a` and `b`, stores inside `c`. The tiles
    // and their configuration belong to no code around: calls may change them.
    unsafe {
        asm!(
            "ldtilecfg [{frame} + {config}]",
            "2:", // 32 rows of `a`
            "mov {b}, [{frame} + {b_start}]",
            "3:", // with a panel of `b`
            sum_block!(),
            store_block!(),
            "cmp {b}, [{frame} + {b_end}]",
            "jne 3b",
            "mov {count}, {a_row}",
            "shl {count}, 5",
            "add {top}, {count}",
            "add {bottom}, {count}",
            "mov {count}, {c_row}",
            "shl {count}, 5",
            "sub {count}, {c_row}",
            "add {c}, {count}", // 31 rows: behind all panels it is one row further
            "dec {blocks}",
            "jnz 2b",
            "tilerelease",
            frame = in(reg) &raw const frame,
            config = const offset_of!(Frame, config),
            b_start = const offset_of!(Frame, b),
            b_end = const offset_of!(Frame, b_end),
            steps = const offset_of!(Frame, steps),
            top = inout(reg) a => _,
            bottom = inout(reg) a.add(ROW_STEP / 2 * depth) => _,
            a_row = in(reg) depth * size_of::<u16>(),
            b = out(reg) _,
            b_row = in(reg) 64_usize,
            c = inout(reg) c => _,
            c_row = in(reg) columns * size_of::<f32>(),
            blocks = inout(reg) rows / ROW_STEP => _,
            count = out(reg) _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
