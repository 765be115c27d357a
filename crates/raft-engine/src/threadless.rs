//! An engine without threads, for simulations: whoever holds it gives each part its turns.

use std::sync::Arc;
use std::time::Instant;

use wal::{Entry, Wal};

use crate::applier::{self, Applier};
use crate::engine::{Parts, Start, assemble};
use crate::raft_loop::RaftLoop;
use crate::shared::Shared;
use crate::{Error, Handle, log_writer};

/// The three parts that [`Engine::start`](crate::Engine::start) gives a thread each. A turn never waits, and does what
/// the thread would do before it waits again; turns may come in any order and as late as one likes.
///
/// The disk and the state machine are slow, so their turns have two halves: the first takes what has gathered, the
/// second does it. What comes in between waits for the turn after. Dropping the engine is the end of the process.
pub struct Threadless {
    shared: Arc<Shared>,
    raft: RaftLoop,
    wal: Wal,
    applier: Applier,
    writes: Vec<log_writer::Job>,
    applies: Vec<applier::Job>,
    closed: bool,
}

impl Threadless {
    /// As [`Engine::start`](crate::Engine::start), but nothing runs by itself.
    pub fn start(start: Start) -> Result<Self, Error> {
        let Parts {
            shared,
            mut raft,
            wal,
            applier,
        } = assemble(start)?;
        shared.guard(|| raft.carry_out_all());
        Ok(Self {
            shared,
            raft,
            wal,
            applier,
            writes: Vec::new(),
            applies: Vec::new(),
            closed: false,
        })
    }

    /// The way in.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: self.shared.clone(),
        }
    }

    /// Has the state machine apply at most so many entries at once, so that each state in between can be looked at.
    pub fn set_group_entries_max(&mut self, max: usize) {
        self.applier.set_group_entries_max(max);
    }

    /// When the raft part is to have its next turn at the latest, on the engine's clock.
    pub fn next_tick(&self) -> Instant {
        self.raft.next_tick()
    }

    /// Whether the raft part has something to do before that.
    pub fn has_mail(&self) -> bool {
        !self.closed && self.shared.inbox.has_mail()
    }

    /// A turn of the raft part.
    pub fn turn(&mut self) {
        if self.closed {
            return;
        }
        match self.shared.inbox.take_now() {
            Some(mail) => self.shared.guard(|| self.raft.turn(mail)),
            None => {
                self.closed = true;
                self.raft.finish();
            }
        }
    }

    /// The log writer takes what waits and begins to write. `false` if there is nothing, or it writes already.
    pub fn begin_write(&mut self) -> bool {
        if !self.writes.is_empty() || self.shared.log.is_empty() {
            return false;
        }
        self.writes = self.shared.log.take_now();
        self.shared.writing(true);
        true
    }

    /// The log writer gets done with what it has begun.
    pub fn finish_write(&mut self) {
        let writes = std::mem::take(&mut self.writes);
        if !self.shared.has_failed() {
            self.shared
                .guard(|| log_writer::turn(&self.shared, &mut self.wal, writes));
        }
    }

    /// The applier takes what waits. `false` if there is nothing, or it is at work already.
    pub fn begin_apply(&mut self) -> bool {
        if !self.applies.is_empty() || self.shared.apply.is_empty() {
            return false;
        }
        self.applies = self.shared.apply.take_now();
        true
    }

    /// The committed entries that [`finish_apply`](Self::finish_apply) will hand to the state machine, in order.
    pub fn applying(&self) -> impl Iterator<Item = &Entry> {
        let entries = self.applies.iter().filter_map(|job| match job {
            applier::Job::Entries(entries) => Some(entries),
            _ => None,
        });
        entries.flatten()
    }

    /// The applier gets done with what it has taken.
    pub fn finish_apply(&mut self) {
        let applies = std::mem::take(&mut self.applies);
        if !self.shared.has_failed() {
            self.shared.guard(|| self.applier.turn(applies));
        }
    }
}
