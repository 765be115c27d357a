//! How far long work has come, for somebody who watches.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const WIDTH: usize = 40;

/// Work that ends within it shows nothing. Who runs the tool in a terminal of his own (`expect`, a test) finds answers
/// of quick commands without a bar's remains before them.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on the standard error, drawn anew at each percent; nothing where that is no terminal.
pub fn bar(what: &'static str) -> backup::Progress {
    if !std::io::stderr().is_terminal() {
        return Box::new(|_, _| {});
    }
    let bar = Bar {
        what,
        began: now(),
        shown: AtomicU64::new(u64::MAX),
    };
    Box::new(move |done, all| bar.draw(done, all))
}

#[expect(clippy::disallowed_methods, reason = "what a person sees, at the edge")]
fn now() -> Instant {
    Instant::now()
}

struct Bar {
    what: &'static str,
    began: Instant,
    shown: AtomicU64,
}

impl Bar {
    fn draw(&self, done: u64, all: u64) {
        let percent = (done * 100).checked_div(all).unwrap_or(100).min(100);
        // Pages do not come in order of their places: the bar only grows.
        let shown = self.shown.load(Ordering::Relaxed);
        if shown != u64::MAX && percent <= shown || now() - self.began < PATIENCE {
            return;
        }
        self.shown.store(percent, Ordering::Relaxed);
        let _ = write!(std::io::stderr(), "{}", line(self.what, percent, all));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown.load(Ordering::Relaxed) != u64::MAX {
            // The line goes when the work is done.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(what: &str, percent: u64, all: u64) -> String {
    let full = WIDTH * percent as usize / 100;
    let (done, open) = ("█".repeat(full), "·".repeat(WIDTH - full));
    format!("\r{what} {} {done}{open} {percent:>3}%", ctl::go::bytes(all))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bar_fills() {
        let line = super::line("reading", 50, 2_000_000);
        assert!(line.starts_with("\rreading 2.0 MB █"), "{line}");
        assert_eq!(line.matches('█').count(), line.matches('·').count());
    }
}
