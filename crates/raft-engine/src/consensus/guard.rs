//! The second half of message validation: what needs this member's state.
//!
//! Each refusal here stands for an assertion, an unwrap or an out-of-bounds slice in the `raft` crate that the message
//! would run into. A refused message is dropped; to raft that is a lost message, which it must survive anyway.

use raft::StateRole;
use raft::eraftpb::{Message, MessageType};

use super::{Core, UNAPPLIED_BYTES_MAX, reads};

/// Read rounds of other members waiting for a quorum here at most.
const FOREIGN_READS_MAX: usize = 4096;

/// Elections that a member can have missed: a thousand in a second would take seven weeks.
const TERM_JUMP_MAX: u64 = 1 << 32;

/// Ticks between two complaints about the same thing.
const COMPLAIN_TICKS: u64 = 100;

impl Core {
    /// Whether raft may see `m`; otherwise why not.
    pub(super) fn admit(&self, m: &Message) -> Result<(), &'static str> {
        use MessageType::*;
        if m.to != self.id {
            return Err("for another member");
        }
        let raft = &self.raw.raft;
        // Terms never go back: one near the end of the numbers would be the last that there is, for the whole cluster.
        if raft.term > 0 && m.term > raft.term.saturating_add(TERM_JUMP_MAX) {
            return Err("term far beyond this member's");
        }
        let last = raft.raft_log.last_index();
        match m.get_msg_type() {
            MsgAppend => {
                // Falling behind must not cost memory without bound. The leader keeps probing with every heartbeat.
                if !m.entries.is_empty() && self.is_full() {
                    return Err("too much is waiting for the disk or the state machine");
                }
                Ok(())
            }
            // A leader sends min(matched, committed). More than this log holds means that it lost entries it had
            // acknowledged, or that the sender lies; raft would abort.
            MsgHeartbeat if m.commit > last => {
                // Heartbeats keep coming; one line in a while is enough.
                if self
                    .complained
                    .get()
                    .is_none_or(|tick| self.now - tick >= COMPLAIN_TICKS)
                {
                    self.complained.set(Some(self.now));
                    tracing::error!(
                        from = m.from,
                        commit = m.commit,
                        last_index = last,
                        "leader counts on entries that this log does not have: was it truncated or replaced?"
                    );
                }
                Err("commit index beyond the log")
            }
            MsgAppendResponse if raft.state == StateRole::Leader && m.term == raft.term && m.index > last => {
                Err("acknowledges entries that do not exist")
            }
            // Winning with writes under way would trip the assertion that a new leader's log is durable. A correct
            // vote arrives after the request was sent, which is after those writes.
            MsgRequestVoteResponse | MsgRequestPreVoteResponse | MsgTimeoutNow if !self.may_campaign() => {
                Err("election while writes or a snapshot are under way")
            }
            MsgReadIndex => {
                // Contexts are told apart by their owner; nobody may use another member's.
                if m.entries.first().and_then(|entry| reads::owner(&entry.data)) != Some(m.from) {
                    return Err("read context of another member");
                }
                if raft.state != StateRole::Leader {
                    // Passing it on could go round in circles; the sender asks again.
                    return Err("not leader");
                }
                if raft.pending_read_count() >= FOREIGN_READS_MAX {
                    return Err("too many reads");
                }
                Ok(())
            }
            MsgReadIndexResp if m.entries.first().and_then(|e| reads::owner(&e.data)) != Some(self.id) => {
                Err("answer to another member's read")
            }
            MsgSnapshot => {
                let metadata = m.get_snapshot().get_metadata();
                let (index, term) = (metadata.index, metadata.term);
                if self.is_installing() {
                    return Err("another snapshot is being installed");
                }
                let committed = raft.raft_log.committed;
                if index == committed && self.log().term_of(index) != Some(term) {
                    return Err("snapshot contradicts a committed entry");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether entries must wait until the disk or the state machine has caught up. Counts only what drains by itself,
    /// so a log that is full of uncommitted entries can still be corrected by a leader.
    pub(super) fn is_full(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        let unapplied = self.log().bytes(log.applied, log.committed.min(log.last_index()));
        unapplied > UNAPPLIED_BYTES_MAX || self.unwritten_bytes > UNAPPLIED_BYTES_MAX
    }

    /// Whether winning an election now would find the log durable, and everything committed readable.
    pub(super) fn may_campaign(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        let written = self.outstanding.iter().all(|write| !write.waits);
        written && log.persisted == log.last_index() && !self.is_installing()
    }

    /// Whether a snapshot has been accepted and the state machine does not have it yet.
    pub(super) fn is_installing(&self) -> bool {
        self.incoming.is_some() || self.raw.raft.raft_log.applied + 1 < self.log().first()
    }
}
