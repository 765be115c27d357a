//! What a power failure leaves of the unsynced, in the ways that break things.

use crate::rng::Rng;
use wal::Keep;

/// One way to lose data.
pub struct Pattern {
    number: usize,
    rng: Rng,
    /// Of a hundred, for those that go by chance.
    percent: u64,
    /// Changes and sectors that still survive, for those that end somewhere.
    left: u64,
}

impl Pattern {
    /// Patterns.
    pub const COUNT: usize = 8;

    /// Number 0 keeps nothing, 1 everything (the process died, not the machine), 2 names without content, 3 content
    /// without names, 4 a prefix of either, 5 a suffix, all others what chance wants.
    pub fn new(number: usize, mut rng: Rng) -> Pattern {
        Pattern {
            number,
            percent: *rng.pick(&[20, 50, 50, 80]),
            left: rng.below(6),
            rng,
        }
    }

    /// For messages.
    pub fn name(&self) -> &'static str {
        match self.number {
            0 => "nothing unsynced kept",
            1 => "everything kept",
            2 => "names kept, content lost",
            3 => "content kept, names lost",
            4 => "a prefix kept",
            5 => "a suffix kept",
            _ => "a part kept by chance",
        }
    }

    /// Batches that the store had written by itself after its last flush.
    pub fn batches(&mut self) -> usize {
        match self.number {
            0 | 3 => 0,
            1 | 2 => usize::MAX,
            _ => self.rng.below(70) as usize,
        }
    }

    fn survives(&mut self, name: bool) -> bool {
        match self.number {
            0 => false,
            1 => true,
            2 => name,
            3 => !name,
            4 | 5 => {
                let before = self.left > 0;
                self.left = self.left.saturating_sub(1);
                before == (self.number == 4)
            }
            _ => self.rng.percent(self.percent),
        }
    }
}

impl Keep for Pattern {
    fn change(&mut self) -> bool {
        self.survives(true)
    }

    fn file(&mut self) {
        self.left = self.rng.below(6);
    }

    fn sector(&mut self) -> bool {
        self.survives(false)
    }

    fn length(&mut self) -> bool {
        self.survives(false)
    }
}
