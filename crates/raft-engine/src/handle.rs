//! The way into a running engine.

use std::path::PathBuf;

use bytes::Bytes;

use crate::{Change, ProposeError, ReadError, Status, StepError, TransferError};

/// Receives the index a read must wait for, after the state machine has applied it: the caller may read at once.
pub type ReadCallback = Box<dyn FnOnce(Result<u64, ReadError>) + Send>;

/// Receives the outcome of a leadership transfer.
pub type TransferCallback = Box<dyn FnOnce(Result<(), TransferError>) + Send>;

/// A running engine. Cheap to clone; no method blocks, each takes one short lock. Callbacks run on engine threads and
/// must return at once.
#[derive(Clone)]
pub struct Handle {}

impl Handle {
    /// Puts proposals into the log, in order, on this member or through the leader. All or none are taken. While there
    /// is no leader they wait, up to `request_timeout`; a proposal that was taken may still get lost with a leader, or
    /// be applied after its caller has given up.
    pub fn propose(&self, _proposals: Vec<Bytes>) -> Result<(), ProposeError> {
        todo!()
    }

    /// Proposes a configuration change. Raft carries one at a time: while another is not yet applied, the entry turns
    /// into an empty one and the caller sees nothing applied.
    pub fn propose_conf_change(&self, _change: Change) -> Result<(), ProposeError> {
        todo!()
    }

    /// Confirms with a quorum an index that covers all writes acknowledged before this call, waits until it is applied,
    /// and then calls `callback` with it. Requests that arrive together share one round.
    pub fn read_index(&self, _callback: ReadCallback) {
        todo!()
    }

    /// Takes an encoded message from a peer. Anything may be thrown at it.
    pub fn step(&self, _message: Bytes) -> Result<(), StepError> {
        todo!()
    }

    /// Takes several messages under one lock. Stops at the first that is refused, with its position.
    pub fn step_all(&self, _messages: Vec<Bytes>) -> Result<(), (usize, StepError)> {
        todo!()
    }

    /// Takes a leader's snapshot whose files have been received, checked and synced into `dir`. The engine owns `dir`
    /// from here on, and removes it if raft has no use for the snapshot.
    pub fn install_snapshot(&self, _message: Bytes, _dir: PathBuf) -> Result<(), StepError> {
        todo!()
    }

    /// Hands leadership to `to`.
    pub fn transfer_leader(&self, _to: u64, _callback: TransferCallback) {
        todo!()
    }

    /// Stands for election at once.
    pub fn campaign(&self) {
        todo!()
    }

    /// Messages to `id` did not get through.
    pub fn report_unreachable(&self, _id: u64) {
        todo!()
    }

    /// The snapshot sent to `id` arrived (`true`) or failed.
    pub fn report_snapshot(&self, _id: u64, _ok: bool) {
        todo!()
    }

    /// The current state.
    pub fn status(&self) -> Status {
        todo!()
    }

    /// Highest applied index; one atomic load.
    pub fn applied(&self) -> u64 {
        todo!()
    }

    /// Highest committed index; one atomic load.
    pub fn committed(&self) -> u64 {
        todo!()
    }

    /// Current term; one atomic load.
    pub fn term(&self) -> u64 {
        todo!()
    }

    /// The leader this member knows, 0 if none; one atomic load.
    pub fn leader(&self) -> u64 {
        todo!()
    }

    /// Stops the threads and waits for them: what is in the log writer's hands is made durable, what is committed and
    /// handed out is applied, everything that waits fails with `Stopped`. Idempotent. Blocks: not from async code.
    pub fn stop(&self) {
        todo!()
    }
}
