//! A child process that works on a store until the test is over; it can be stopped and goes on.
#![expect(unsafe_code, reason = "signals and waiting for children")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};

/// Kills its process when the test ends, however it ends.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(command: &mut Command) -> Worker {
        let mut process = command.spawn().unwrap();
        let out = process.stdout.take().unwrap();
        let worker = Worker(process);
        let mut lines = BufReader::new(out).lines();
        assert!(lines.any(|line| line.unwrap() == "@ready"), "the child did not get ready");
        // The rest of its output is small and fits the pipe.
        std::mem::forget(lines);
        worker
    }

    pub(crate) fn signal(&self, signal: libc::c_int) {
        // SAFETY: a signal to a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as libc::pid_t, signal) }, 0);
    }

    /// Stops the process and waits until it stands still.
    pub(crate) fn stop(&self) {
        self.signal(libc::SIGSTOP);
        let mut status = 0;
        let pid = self.0.id() as libc::pid_t;
        // SAFETY: waits for a stop of a living child, with a valid place for its status.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, libc::WUNTRACED) }, pid);
        assert!(libc::WIFSTOPPED(status), "the writer ended with {status:#x}");
    }

    pub(crate) fn success(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

/// Tells the parent of a [`Worker`] that the work begins.
pub(crate) fn ready() {
    let mut out = std::io::stdout().lock();
    out.write_all(b"\n@ready\n").unwrap();
    out.flush().unwrap();
}
