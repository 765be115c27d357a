//! What happened, for people: the last events of a run, and a sum over all of them.

use crate::rng::mix;
use crate::time::{Nanos, show};
use std::collections::VecDeque;

/// Lines kept for the story of a failure.
const LINES_MAX: usize = 400;

/// The story of one run.
#[derive(Debug, Default)]
pub struct Story {
    lines: VecDeque<String>,
    sum: u64,
    /// Lines are printed as they come.
    pub print: bool,
}

impl Story {
    /// Adds a line.
    pub fn tell(&mut self, now: Nanos, line: &str) {
        for chunk in line.as_bytes().chunks(8) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.count(now ^ u64::from_le_bytes(bytes));
        }
        let line = format!("{} {line}", show(now));
        if self.print {
            println!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Adds to the sum only.
    pub fn count(&mut self, number: u64) {
        self.sum = mix(self.sum.rotate_left(5) ^ number);
    }

    /// Different for different runs.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The newest lines, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &str> {
        let from = self.lines.len().saturating_sub(count);
        self.lines.iter().skip(from).map(String::as_str)
    }
}
