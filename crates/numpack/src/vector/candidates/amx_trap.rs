//! The assembly of `amx.rs` on CPUs without AMX: each tile instruction is undefined there, and the handler of
//! that signal decodes it from its bytes and has `tiles.rs` carry it out.
//!
//! So tests run the very bytes that a CPU with AMX runs: operands and their order, addresses and strides,
//! loops, the configuration. Only instructions of `amx.rs` are decoded; any other ends the process as before.
#![expect(unsafe_code, reason = "a signal handler, and memory at the addresses of instructions")]

use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use crate::vector::candidates::blocks::Multiply;
use crate::vector::candidates::tiles::Tiles;

/// The tiles of the thread that multiplies; null when none does.
static TILES: AtomicPtr<Tiles> = AtomicPtr::new(null_mut());

/// `amx::multiply`, emulated.
///
/// # Safety
/// As for [`Multiply`], but for the CPU.
pub(crate) unsafe fn multiply(
    a: *const u16,
    rows: usize,
    b: *const u16,
    columns: usize,
    depth: usize,
    c: *mut f32,
) {
    static INSTALLED: Once = Once::new();
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    INSTALLED.call_once(install);
    let mut tiles = Tiles::default();
    TILES.store(&raw mut tiles, Ordering::SeqCst);
    let code: Multiply = crate::vector::candidates::amx::multiply;
    // SAFETY: the caller's promise; what the CPU does not have, the handler does.
    unsafe { code(a, rows, b, columns, depth, c) };
    TILES.store(null_mut(), Ordering::SeqCst);
    assert!(!tiles.is_configured(), "tiles are released");
}

fn install() {
    // SAFETY: zeros are a valid `sigaction`; the handler has the type of one with `SA_SIGINFO`.
    let status = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_undefined as extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGILL, &action, null_mut())
    };
    assert_eq!(status, 0, "a handler for undefined instructions");
}

extern "C" fn on_undefined(_signal: c_int, _info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system gives the context of the thread; the tiles are null or those of the only caller.
    unsafe {
        let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
        let code = registers[libc::REG_RIP as usize] as *const u8;
        let length = TILES.load(Ordering::SeqCst).as_mut().and_then(|tiles| execute(code, registers, tiles));
        match length {
            Some(length) => registers[libc::REG_RIP as usize] += length,
            // The instruction is met again, and ends the process.
            None => {
                libc::signal(libc::SIGILL, libc::SIG_DFL);
            }
        }
    }
}

/// Carries out the tile instruction at `code` and returns its length; `None` when it is another one.
///
/// # Safety
/// The instruction and what it reads and writes must be there.
unsafe fn execute(code: *const u8, registers: &[i64; 23], tiles: &mut Tiles) -> Option<i64> {
    // SAFETY: VEX instructions have five bytes at least, and code does not end behind one.
    let [0xc4, extensions, vector, opcode, operands] = *(unsafe { &*code.cast::<[u8; 5]>() }) else {
        return None;
    };
    // Map 0F38, 128 bits; extensions and the second source are inverted.
    if extensions & 0x1f != 2 || vector & 0x84 != 0 {
        return None;
    }
    let (reg, rm) = (usize::from(operands >> 3 & 7), usize::from(operands & 7));
    let source = usize::from(!vector >> 3 & 15);
    if operands >> 6 == 3 {
        match (vector & 3, opcode) {
            (0, 0x49) if operands == 0xc0 => tiles.release(),
            (3, 0x49) => tiles.zero(reg),
            (2, 0x5c) => tiles.dot(reg, rm, source),
            _ => return None,
        }
        return Some(5);
    }
    // SAFETY: the caller's promise.
    let memory = unsafe { Memory::decode(code, registers) };
    let stride = memory.stride?;
    // SAFETY: the caller's promise.
    unsafe {
        match (vector & 3, opcode, reg) {
            (0, 0x49, 0) => tiles.configure(&*(memory.base as *const [u8; 64])),
            (3, 0x4b, _) => tiles.load(reg, memory.base as *const u8, stride),
            (2, 0x4b, _) => tiles.store(reg, memory.base as *mut u8, stride),
            _ => return None,
        }
    }
    Some(memory.length)
}

/// A memory operand.
struct Memory {
    /// The address without the index.
    base: usize,
    /// The index with its scale; 0 when there is none, missing when the form is not decoded.
    stride: Option<usize>,
    /// Bytes of the instruction.
    length: i64,
}

impl Memory {
    /// # Safety
    /// The instruction must be there.
    unsafe fn decode(code: *const u8, registers: &[i64; 23]) -> Memory {
        // SAFETY: the caller's promise; every byte is read only if the ones before say that it is there.
        let byte = |at: usize| unsafe { *code.add(at) };
        let (extensions, operands) = (!byte(1), byte(4));
        let (mode, mut base, mut length) = (operands >> 6, operands & 7, 5);
        let mut stride = Some(0);
        if base == 4 {
            let sib = byte(5);
            length = 6;
            base = sib & 7;
            let index = sib >> 3 & 7 | (extensions >> 6 & 1) << 3;
            if index != 4 {
                stride = Some((general(registers, index) as usize) << (sib >> 6));
            }
        }
        if base == 5 && mode == 0 {
            stride = None;
        }
        let offset = match mode {
            1 => i64::from(byte(length) as i8),
            2 => i64::from(i32::from_le_bytes(std::array::from_fn(|i| byte(length + i)))),
            _ => 0,
        };
        length += [0, 1, 4, 0][usize::from(mode)];
        let base = general(registers, base | (extensions >> 5 & 1) << 3).wrapping_add(offset) as usize;
        Memory { base, stride, length: length as i64 }
    }
}

/// The register with this number in instructions.
fn general(registers: &[i64; 23], number: u8) -> i64 {
    use libc::{REG_R8, REG_RAX, REG_RBP, REG_RBX, REG_RCX, REG_RDI, REG_RDX, REG_RSI, REG_RSP};
    let low = [REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI];
    let place = low.get(usize::from(number)).copied().unwrap_or(REG_R8 + c_int::from(number) - 8);
    registers[place as usize]
}
