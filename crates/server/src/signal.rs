//! The signals that end the process.

use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, caught from the moment this is made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to catch them: until the member is ready, their default action is the right one.
    pub fn catch() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one; gives its number.
    pub async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}

/// Name as logs show it.
pub fn name(signal: i32) -> &'static str {
    if signal == SignalKind::interrupt().as_raw_value() {
        "interrupt"
    } else {
        "terminated"
    }
}

/// Ends the process as the signal would have, so that whoever sent it sees that it was obeyed; a container's first
/// process, which signals do not end, exits with success (etcd pkg/osutil/interrupt_unix.go).
pub fn die_by(signal: i32) -> ExitCode {
    if std::process::id() == 1 {
        return ExitCode::SUCCESS;
    }
    // What a shell reports for a process that a signal ended.
    ExitCode::from(128u8.saturating_add(signal as u8))
}
