//! The way into a running engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::consensus::Event;
use crate::shared::Shared;
use crate::waiter::{Reader, Transferrer};
use crate::{
    Change, MessageKind, PeerMessage, ProposeError, ReadError, Status, StepError, TransferError, directory,
};

/// Receives the index a read must wait for, after the state machine has applied it: the caller may read at once.
pub type ReadCallback = Box<dyn FnOnce(Result<u64, ReadError>) + Send>;

/// Receives the outcome of a leadership transfer.
pub type TransferCallback = Box<dyn FnOnce(Result<(), TransferError>) + Send>;

/// Proposals larger than this are refused; far above what a client may send, and below what a message may hold.
const PROPOSAL_BYTES_MAX: usize = 64 << 20;

/// A running engine. Cheap to clone; no method but [`stop`](Self::stop) blocks. A call that brings something may do the
/// raft loop's work for it, microseconds of it, and callbacks for others with that. Callbacks must return at once.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// Puts proposals into the log, in order, on this member or through the leader. All or none are taken. While there
    /// is no leader they wait, up to `request_timeout`; a proposal that was taken may still get lost with a leader, or
    /// be applied after its caller has given up.
    pub fn propose(&self, proposals: Vec<Bytes>) -> Result<(), ProposeError> {
        check(&proposals)?;
        self.arrived(self.shared.inbox.propose(proposals))
    }

    /// Puts proposals into the log as leader of `term`, and only so: if this member does not lead in it when they get
    /// there, they are dropped and not passed on. For decisions that a leader makes and the next one might not, however
    /// late they come.
    pub fn propose_as_leader(&self, term: u64, proposals: Vec<Bytes>) -> Result<(), ProposeError> {
        check(&proposals)?;
        let event = Event::ProposeAsLeader { term, proposals };
        self.arrived(self.shared.inbox.event(event))
    }

    /// Proposes a configuration change. Raft carries one at a time; a leader lets further ones wait.
    pub fn propose_conf_change(&self, change: Change) -> Result<(), ProposeError> {
        self.arrived(self.shared.inbox.event(Event::ProposeChange(change)))
    }

    /// Confirms with a quorum an index that covers all writes acknowledged before this call, waits until it is applied,
    /// and then calls `callback` with it. Requests that arrive together share one round.
    pub fn read_index(&self, callback: ReadCallback) {
        self.shared.inbox.read(Reader::new(callback));
        self.shared.drive();
    }

    /// Takes an encoded message from a peer. Anything may be thrown at it.
    pub fn step(&self, message: Bytes) -> Result<(), StepError> {
        let message = self.decode(message, MessageKind::Other)?;
        self.arrived(self.shared.inbox.messages(vec![(message, None)]))
    }

    /// Takes several messages under one lock: all of them, or none if one is refused.
    pub fn step_all(&self, messages: Vec<Bytes>) -> Result<(), StepError> {
        let decode = |message| {
            self.decode(message, MessageKind::Other)
                .map(|message| (message, None))
        };
        let messages = messages.into_iter().map(decode).collect::<Result<_, _>>()?;
        self.arrived(self.shared.inbox.messages(messages))
    }

    /// Takes a leader's snapshot whose files have been received, checked and synced into `dir`, in the file system of
    /// `snapshot_dir`. The engine owns `dir` from here on, and removes it if there is no use for the snapshot.
    pub fn install_snapshot(&self, message: Bytes, dir: PathBuf) -> Result<(), StepError> {
        let taken = self
            .decode(message, MessageKind::Snapshot)
            .and_then(|message| self.shared.inbox.messages(vec![(message, Some(dir.clone()))]));
        let taken = self.arrived(taken);
        if taken.is_err() {
            directory::discard(&dir);
        }
        taken
    }

    /// Something was put into the inbox: the loop gets its turn.
    fn arrived<T>(&self, outcome: T) -> T {
        self.shared.drive();
        outcome
    }

    fn decode(&self, message: Bytes, kind: MessageKind) -> Result<PeerMessage, StepError> {
        let message = PeerMessage::decode(message).map_err(StepError::Malformed)?;
        if message.to() != self.shared.options.id {
            return Err(StepError::WrongMember);
        }
        if message.kind() != kind {
            return Err(StepError::Malformed("a snapshot and its files belong together"));
        }
        Ok(message)
    }

    /// Hands leadership to `to`.
    pub fn transfer_leader(&self, to: u64, callback: TransferCallback) {
        self.shared.inbox.transfer(to, Transferrer::new(callback));
        self.shared.drive();
    }

    /// Stands for election at once.
    pub fn campaign(&self) {
        self.report(Event::Campaign);
    }

    /// Messages to `id` did not get through.
    pub fn report_unreachable(&self, id: u64) {
        self.report(Event::Unreachable(id));
    }

    /// The snapshot sent to `id` arrived (`true`) or failed.
    pub fn report_snapshot(&self, id: u64, ok: bool) {
        self.report(Event::SnapshotSent { to: id, ok });
    }

    fn report(&self, event: Event) {
        // Refused only by an engine that has stopped or is flooded with reports, each of which may be lost.
        let _ = self.arrived(self.shared.inbox.event(event));
    }

    /// The current state.
    pub fn status(&self) -> Status {
        let mut status = self.shared.status.lock().clone();
        status.committed = status.committed.max(self.committed());
        status.applied = status.applied.max(self.applied());
        status
    }

    /// Highest applied index; one atomic load.
    pub fn applied(&self) -> u64 {
        self.shared.applied.load(Ordering::Acquire)
    }

    /// Highest committed index; one atomic load.
    pub fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    /// Current term; one atomic load.
    pub fn term(&self) -> u64 {
        self.shared.term.load(Ordering::Acquire)
    }

    /// How long the log writer has been at the write it is doing; zero if it does none.
    pub fn writing_for(&self) -> Duration {
        self.shared.writing_for(self.shared.now())
    }

    /// The leader this member knows, 0 if none; one atomic load.
    pub fn leader(&self) -> u64 {
        self.shared.leader.load(Ordering::Acquire)
    }

    /// This member's id.
    pub fn id(&self) -> u64 {
        self.shared.options.id
    }

    /// Stops the threads and waits for them: what is in the log writer's hands is made durable, what is committed and
    /// handed out is applied, everything that waits fails with `Stopped`. Idempotent. Blocks, so not from async code.
    /// On an engine's own thread (in a callback) it waits for the others only.
    pub fn stop(&self) {
        self.shared.inbox.close();
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        let own = std::thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != own) {
            // A panic was caught inside and reported.
            let _ = thread.join();
        }
    }
}

fn check(proposals: &[Bytes]) -> Result<(), ProposeError> {
    if proposals.iter().any(|proposal| proposal.is_empty()) {
        return Err(ProposeError::Empty);
    }
    if proposals
        .iter()
        .any(|proposal| proposal.len() > PROPOSAL_BYTES_MAX)
    {
        return Err(ProposeError::TooLarge);
    }
    Ok(())
}
