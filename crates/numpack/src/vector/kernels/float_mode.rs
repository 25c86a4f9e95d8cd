//! The floating-point mode of a thread, which other code in the process may have changed: flush-to-zero,
//! rounding, traps. Scores are those of the default mode, so every search works in it.
//!
//! The entry points of a search and each of its tasks on other threads run inside [`in_default_mode`]; what
//! they call need not think of it. The caller's mode is put back, whatever ends the call.
#![expect(unsafe_code, reason = "inline assembly reads and writes the control register")]

use std::marker::PhantomData;

/// Runs `work` in the default mode: rounding to the nearest, denormal numbers, no traps.
pub(crate) fn in_default_mode<R>(work: impl FnOnce() -> R) -> R {
    let _mode = DefaultMode::enter();
    call(work)
}

/// The compiler knows of no mode and could move arithmetic out of the scope of the guard, but not out of a
/// call that is not inlined.
#[inline(never)]
fn call<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// The thread is in the default mode until this is dropped.
struct DefaultMode {
    /// The caller's word, if it is another mode.
    caller: Option<register::Word>,
    /// The register is the thread's.
    _not_send: PhantomData<*const ()>,
}

impl DefaultMode {
    fn enter() -> DefaultMode {
        let word = register::read();
        let caller = (word & register::MODE != register::DEFAULT & register::MODE).then_some(word);
        if caller.is_some() {
            register::write(register::DEFAULT);
        }
        DefaultMode { caller, _not_send: PhantomData }
    }
}

impl Drop for DefaultMode {
    fn drop(&mut self) {
        if let Some(word) = self.caller {
            register::write(word);
        }
    }
}

/// MXCSR.
#[cfg(target_arch = "x86_64")]
mod register {
    use std::arch::asm;

    pub(crate) type Word = u32;
    /// As a process starts: exceptions masked, all else off.
    pub(crate) const DEFAULT: Word = 0x1f80;
    /// All but the exceptions that have been met.
    pub(crate) const MODE: Word = 0xffff_ffc0;

    pub(crate) fn read() -> Word {
        let mut word = 0;
        // SAFETY: stores four bytes in `word`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut word, options(nostack, preserves_flags)) };
        word
    }

    pub(crate) fn write(word: Word) {
        // SAFETY: loads four bytes; they are the mode that compilers assume, or one that `read` has met.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const word, options(nostack)) };
    }
}

/// FPCR.
#[cfg(target_arch = "aarch64")]
mod register {
    use std::arch::asm;

    pub(crate) type Word = u64;
    /// As a process starts: all off.
    pub(crate) const DEFAULT: Word = 0;
    pub(crate) const MODE: Word = u64::MAX;

    pub(crate) fn read() -> Word {
        let word;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nostack, preserves_flags)) };
        word
    }

    pub(crate) fn write(word: Word) {
        // SAFETY: the mode that compilers assume, or one that `read` has met.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nostack)) };
    }
}

/// CPUs whose mode is left as it is.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod register {
    pub(crate) type Word = u32;
    pub(crate) const DEFAULT: Word = 0;
    pub(crate) const MODE: Word = 0;

    pub(crate) fn read() -> Word {
        DEFAULT
    }

    pub(crate) fn write(_word: Word) {}
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Flush-to-zero.
    #[cfg(target_arch = "x86_64")]
    const FLUSH: register::Word = 0x9fc0;
    #[cfg(target_arch = "aarch64")]
    const FLUSH: register::Word = 1 << 24;

    #[inline(never)]
    fn half(x: f64) -> f64 {
        black_box(x) * black_box(0.5)
    }

    /// Runs `work` where denormal numbers are flushed, and says whether they still are behind it.
    fn flushing<R>(work: impl FnOnce() -> R) -> (R, bool) {
        let before = register::read();
        register::write(FLUSH);
        let result = catch_unwind(AssertUnwindSafe(|| call(work)));
        let after = register::read();
        register::write(before);
        (result.expect("no panic"), after & register::MODE == FLUSH & register::MODE)
    }

    #[test]
    fn denormal_numbers_count_inside_and_the_caller_keeps_its_mode() {
        let (zero, _) = flushing(|| half(f64::MIN_POSITIVE).to_bits());
        assert_eq!(zero, 0, "the mode that is to be left flushes");
        let (inside, kept) = flushing(|| in_default_mode(|| half(f64::MIN_POSITIVE).to_bits()));
        assert_eq!((inside, kept), (1 << 51, true));
    }

    #[test]
    fn the_mode_comes_back_after_a_panic() {
        let panics = || in_default_mode(|| -> u64 { panic!("half-way") });
        let (caught, kept) = flushing(|| catch_unwind(panics).is_err());
        assert_eq!((caught, kept), (true, true));
    }

    #[test]
    fn calls_inside_each_other_end_in_the_mode_of_the_first() {
        let inner = || in_default_mode(|| half(f64::MIN_POSITIVE).to_bits());
        let (inside, kept) = flushing(|| in_default_mode(|| (inner(), half(f64::MIN_POSITIVE).to_bits())));
        assert_eq!((inside, kept), ((1 << 51, 1 << 51), true));
    }
}
