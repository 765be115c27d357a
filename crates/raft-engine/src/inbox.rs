//! Where everything arrives for the raft loop: one lock, taken once per call and once per turn of the loop, so that a
//! turn sees all that has gathered as one batch. Nobody is woken by what arrives: see `Shared::drive`.

use std::mem;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;

use crate::consensus::{AppliedChange, Count, Event};
use crate::sync::{Condvar, Mutex};
use crate::waiter::{Reader, Transferrer};
use crate::{PeerMessage, ProposeError, StepError};

/// Messages waiting at most, and their payload. A full inbox is a lossy network to raft.
const MESSAGES_MAX: usize = 65_536;
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Reports and commands waiting at most.
const EVENTS_MAX: usize = 4096;

/// How much may wait.
pub(crate) struct Bounds {
    pub proposals: usize,
    pub proposal_bytes: usize,
    pub reads: usize,
}

pub(crate) struct Inbox {
    mail: Mutex<Mail>,
    wake: Condvar,
    bounds: Bounds,
}

/// What has arrived since the last turn.
#[derive(Default)]
pub(crate) struct Mail {
    pub proposals: Vec<Bytes>,
    pub messages: Vec<(PeerMessage, Option<PathBuf>)>,
    message_bytes: usize,
    pub reads: Vec<Reader>,
    pub transfers: Vec<(u64, Transferrer)>,
    pub persisted: u64,
    pub applied: u64,
    pub changes: Vec<AppliedChange>,
    pub durable: u64,
    pub events: Vec<Event>,
    /// Proposals from their arrival here until the core has let them go.
    waiting: Count,
    /// Reads from their arrival here until they are answered.
    reading: usize,
    /// The loop cannot go on before more is applied.
    wants_applied: bool,
    closed: bool,
}

impl Inbox {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            mail: Mutex::default(),
            wake: Condvar::new(),
            bounds,
        }
    }

    pub fn propose(&self, proposals: Vec<Bytes>) -> Result<(), ProposeError> {
        let bytes: usize = proposals.iter().map(Bytes::len).sum();
        let mut mail = self.mail.lock();
        if mail.closed {
            return Err(ProposeError::Stopped);
        }
        let Count {
            proposals: count,
            bytes: waiting,
        } = mail.waiting;
        let full =
            count + proposals.len() > self.bounds.proposals || waiting + bytes > self.bounds.proposal_bytes;
        // A batch larger than the bounds must still get in at some time: when nothing waits.
        if full && count > 0 {
            return Err(ProposeError::Overloaded);
        }
        mail.waiting.proposals += proposals.len();
        mail.waiting.bytes += bytes;
        mail.proposals.extend(proposals);
        Ok(())
    }

    /// The core has let go of proposals.
    pub fn proposals_gone(&self, gone: Count) -> usize {
        let mut mail = self.mail.lock();
        mail.waiting.proposals = mail.waiting.proposals.saturating_sub(gone.proposals);
        mail.waiting.bytes = mail.waiting.bytes.saturating_sub(gone.bytes);
        mail.waiting.proposals
    }

    /// Takes messages, each with the directory of its snapshot if it announces one.
    pub fn messages(&self, messages: Vec<(PeerMessage, Option<PathBuf>)>) -> Result<(), StepError> {
        let size = |(message, _): &(PeerMessage, _)| message.payload_bytes();
        let bytes: usize = messages.iter().map(size).sum();
        let mut mail = self.mail.lock();
        if mail.closed {
            return Err(StepError::Stopped);
        }
        if mail.messages.len() + messages.len() > MESSAGES_MAX
            || mail.message_bytes + bytes > MESSAGE_BYTES_MAX
        {
            return Err(StepError::Overloaded);
        }
        mail.message_bytes += bytes;
        mail.messages.extend(messages);
        Ok(())
    }

    /// Takes a reader, or answers it.
    pub fn read(&self, reader: Reader) {
        let mut mail = self.mail.lock();
        if mail.closed {
            drop(mail);
            drop(reader);
        } else if mail.reading >= self.bounds.reads {
            drop(mail);
            reader.answer(Err(crate::ReadError::Overloaded));
        } else {
            mail.reading += 1;
            mail.reads.push(reader);
        }
    }

    /// Readers have been answered.
    pub fn reads_gone(&self, count: usize) {
        let mut mail = self.mail.lock();
        mail.reading = mail.reading.saturating_sub(count);
    }

    pub fn transfer(&self, to: u64, transferrer: Transferrer) {
        self.put(|mail| {
            if mail.transfers.len() < EVENTS_MAX {
                mail.transfers.push((to, transferrer));
            }
        });
    }

    /// A report or command.
    pub fn event(&self, event: Event) -> Result<(), ProposeError> {
        let mut mail = self.mail.lock();
        if mail.closed {
            return Err(ProposeError::Stopped);
        }
        if mail.events.len() >= EVENTS_MAX {
            return Err(ProposeError::Overloaded);
        }
        mail.events.push(event);
        Ok(())
    }

    /// What became of a checkpoint; there is at most one at a time.
    pub fn checkpoint(&self, event: Event) {
        self.put(|mail| mail.events.push(event));
    }

    pub fn persisted(&self, number: u64) {
        self.put(|mail| mail.persisted = mail.persisted.max(number));
    }

    /// Entries were applied. Reason for a turn only if the loop waits for that, or a change came with them; else it
    /// sees it on its next turn.
    pub fn applied(&self, index: u64, change: Option<AppliedChange>) {
        self.put(|mail| {
            mail.applied = index;
            mail.changes.extend(change);
        });
    }

    pub fn durable(&self, index: u64) {
        self.put(|mail| mail.durable = mail.durable.max(index));
    }

    /// Takes nothing more. What waits is dropped, and so answered.
    pub fn close(&self) {
        let left = {
            let mut mail = self.mail.lock();
            mem::replace(
                &mut *mail,
                Mail {
                    closed: true,
                    ..Mail::default()
                },
            )
        };
        #[cfg(feature = "shuttle")]
        if crate::sync::slips::is(crate::sync::slips::Slip::ClosesSilently) {
            return;
        }
        self.wake.notify_all();
        drop(left);
    }

    /// Sleeps until the time has come; `false` once closed.
    pub fn sleep(&self, until: Instant) -> bool {
        let mut mail = self.mail.lock();
        while !mail.closed {
            if self.wake.wait_until(&mut mail, until).timed_out() {
                break;
            }
        }
        !mail.closed
    }

    /// Whether the loop cannot go on before more is applied.
    pub fn want_applied(&self, wanted: bool) {
        self.mail.lock().wants_applied = wanted;
    }

    /// Whether something has arrived that is not to wait for the next tick.
    pub fn is_urgent(&self) -> bool {
        let mail = self.mail.lock();
        !mail.closed && mail.is_urgent()
    }

    /// What has arrived so far; `None` once closed.
    pub fn take_now(&self) -> Option<Mail> {
        self.mail.lock().take()
    }

    /// Whether there is reason for a turn before the next tick.
    pub fn has_mail(&self) -> bool {
        let mail = self.mail.lock();
        mail.closed || !mail.is_empty()
    }

    fn put(&self, put: impl FnOnce(&mut Mail)) {
        let mut mail = self.mail.lock();
        if !mail.closed {
            put(&mut mail);
        }
    }
}

impl Mail {
    /// Everything; what only counts stays.
    fn take(&mut self) -> Option<Mail> {
        if self.closed {
            return None;
        }
        let kept = Mail {
            waiting: self.waiting,
            reading: self.reading,
            wants_applied: self.wants_applied,
            ..Mail::default()
        };
        Some(mem::replace(self, kept))
    }

    fn is_empty(&self) -> bool {
        !self.is_urgent() && self.applied == 0
    }

    fn is_urgent(&self) -> bool {
        !self.proposals.is_empty()
            || !self.messages.is_empty()
            || !self.reads.is_empty()
            || !self.transfers.is_empty()
            || !self.changes.is_empty()
            || !self.events.is_empty()
            || self.persisted > 0
            || self.durable > 0
            || (self.wants_applied && self.applied > 0)
    }
}
