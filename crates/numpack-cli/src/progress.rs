//! A bar while long work runs on a terminal, and the way to stop the work by Ctrl-C.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use numpack::{NpkError, NpkResult};
use signal_hook::SigId;
use signal_hook::consts::SIGINT;

use crate::failure::Failure;
use crate::formats::{Progress, Refusal};

/// Work that takes a while.
pub(crate) struct Work {
    bar: ProgressBar,
    interrupt: Interrupt,
}

impl Work {
    /// Shows a bar when the standard error is a terminal and `visible` is true.
    ///
    /// # Errors
    /// The system's error when the signal cannot be watched.
    pub(crate) fn new(what: &str, visible: bool) -> io::Result<Work> {
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {eta}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(what.to_owned());
        Ok(Work { bar, interrupt: Interrupt::new()? })
    }

    /// Tells how far the work is; breaks when it is to stop.
    pub(crate) fn at(&self, done: u64, total: u64) -> ControlFlow<()> {
        at(&self.bar, self.stop(), done, Some(total))
    }

    /// The same, for those who may keep it longer than the work lasts.
    pub(crate) fn progress(&self) -> Progress {
        let (bar, stop) = (self.bar.clone(), Arc::clone(&self.interrupt.flag));
        Arc::new(move |done, total| at(&bar, &stop, done, total))
    }

    /// Becomes true when the work is to stop.
    pub(crate) fn stop(&self) -> &AtomicBool {
        &self.interrupt.flag
    }

    /// The result of a host, whose own words for an interrupt do not matter.
    ///
    /// # Errors
    /// That of the host.
    pub(crate) fn ended<R>(&self, result: Result<R, Refusal>) -> Result<R, Failure> {
        result.map_err(|refusal| match self.stop().load(Ordering::Relaxed) {
            true => Failure::interrupted(),
            false => refusal.into(),
        })
    }
}

/// Adds up the bytes that it is told of, of `total` in all; an error when the work is to stop.
pub(crate) fn go_on(progress: &Progress, total: u64) -> impl FnMut(u64) -> NpkResult<()> {
    let mut done = 0;
    move |more| {
        done += more;
        match progress(done, Some(total)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(NpkError::Cancelled),
        }
    }
}

fn at(bar: &ProgressBar, stop: &AtomicBool, done: u64, total: Option<u64>) -> ControlFlow<()> {
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(done);
    if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Notes Ctrl-C as long as it lives, so that what is half made can be removed.
struct Interrupt {
    flag: Arc<AtomicBool>,
    ids: [SigId; 2],
}

impl Interrupt {
    fn new() -> io::Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        // The second one ends the program at once.
        let second = signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(&flag))?;
        let first = signal_hook::flag::register(SIGINT, Arc::clone(&flag))?;
        Ok(Interrupt { flag, ids: [first, second] })
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        for id in self.ids {
            signal_hook::low_level::unregister(id);
        }
    }
}
