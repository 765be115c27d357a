//! A line that says how far a run is, if somebody looks.

use std::io::{IsTerminal, Write};

/// Draws on standard error where that is a terminal, else nothing.
pub struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    /// Nothing drawn yet.
    pub fn new() -> Progress {
        Progress {
            shown: false,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Draws `share` of 1 of the phase `name`.
    pub fn show(&mut self, name: &str, share: f64, operations: u64) {
        if self.terminal {
            let filled = (share.clamp(0.0, 1.0) * 30.0) as usize;
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K{name:>16} [{:<30}] {operations} operations",
                "#".repeat(filled)
            );
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
