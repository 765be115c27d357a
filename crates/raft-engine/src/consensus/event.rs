//! What goes into the core and what comes out.

use bytes::Bytes;
use wal::Entry;

use crate::{Applied, Change, LeaderChange, PeerMessage, ReadError, TransferError, Verdict};

/// Something that happened outside.
#[derive(Debug)]
pub enum Event {
    /// One heartbeat interval has passed.
    Tick,
    /// Proposals, in order.
    Propose(Vec<Bytes>),
    /// Proposals of a leader: dropped, and never forwarded, once this member does not lead in `term`.
    ProposeAsLeader {
        /// The term.
        term: u64,
        /// Proposals, in order.
        proposals: Vec<Bytes>,
    },
    /// A configuration change to propose.
    ProposeChange(Change),
    /// A message from a peer. One that announces a snapshot is accepted only with the number of the directory that
    /// holds its files.
    Message(PeerMessage, Option<u64>),
    /// The write with this number, and all before it, are durable.
    Persisted(u64),
    /// Entries up to `index` are applied. `changes` are the configuration changes among them, in order, each with the
    /// configuration the apply thread computed for it.
    Applied {
        /// Highest applied index.
        index: u64,
        /// What became of configuration changes.
        changes: Vec<AppliedChange>,
    },
    /// State up to this index survives a crash without the log.
    Durable(u64),
    /// Readers wait for an index; they share the outcome that comes back under this number.
    Read(u64),
    /// Hand leadership to a member; the outcome comes back under `number`.
    Transfer {
        /// The member.
        to: u64,
        /// Names the request.
        number: u64,
    },
    /// Stand for election now.
    Campaign,
    /// Messages to this member got lost.
    Unreachable(u64),
    /// A snapshot sent to this member arrived, or did not.
    SnapshotSent {
        /// The member.
        to: u64,
        /// Whether it arrived.
        ok: bool,
    },
    /// The checkpoint that was asked for is there.
    SnapshotMade {
        /// Names it.
        token: u64,
        /// What it holds.
        applied: Applied,
    },
    /// The checkpoint that was asked for could not be made now.
    SnapshotNotMade,
    /// The log's disk has stopped answering, or answers again.
    DiskStalled(bool),
}

/// A configuration change that was applied.
#[derive(Clone, Debug)]
pub struct AppliedChange {
    /// Its index.
    pub index: u64,
    /// The change.
    pub change: Change,
    /// The state machine's decision.
    pub verdict: Verdict,
    /// The configuration after it.
    pub configuration: crate::Configuration,
}

/// What the shell must do, field by field in this order.
#[derive(Debug, Default)]
pub struct Output {
    /// Role, term or leader changed. Announced before anything is sent.
    pub role: Option<LeaderChange>,
    /// Messages that may leave at once.
    pub messages: Vec<PeerMessage>,
    /// Snapshot announcements, each with the token of the checkpoint to send along.
    pub snapshots: Vec<(PeerMessage, u64)>,
    /// A record group for the log.
    pub write: Option<Write>,
    /// A snapshot to install, before the committed entries of this and later outputs.
    pub install: Option<Install>,
    /// Entries to apply, in order, without gaps between outputs.
    pub committed: Vec<Entry>,
    /// Outcomes of reads: the index is confirmed, but not yet applied.
    pub reads: Vec<(u64, Result<u64, ReadError>)>,
    /// Outcomes of transfers.
    pub transfers: Vec<(u64, Result<(), TransferError>)>,
    /// A checkpoint is wanted; answer with `SnapshotMade` or `SnapshotNotMade`.
    pub make_snapshot: bool,
    /// The checkpoints with these tokens are of no use any more.
    pub drop_snapshots: Vec<u64>,
    /// Received snapshot files that raft has no use for.
    pub refused_files: Vec<u64>,
    /// The log may be marked here, and what lies before released.
    pub mark: Option<Applied>,
    /// Proposals that have gone into the log or to the leader.
    pub proposed: Count,
    /// Proposals that were dropped.
    pub failed: Count,
}

impl Output {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.role.is_none()
            && self.messages.is_empty()
            && self.snapshots.is_empty()
            && self.write.is_none()
            && self.install.is_none()
            && self.committed.is_empty()
            && self.reads.is_empty()
            && self.transfers.is_empty()
            && !self.make_snapshot
            && self.drop_snapshots.is_empty()
            && self.refused_files.is_empty()
            && self.mark.is_none()
            && self.proposed.proposals == 0
            && self.failed.proposals == 0
    }
}

/// A number of proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub proposals: usize,
    /// Their size.
    pub bytes: usize,
}

impl Count {
    pub(super) fn add(&mut self, bytes: usize) {
        self.proposals += 1;
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, bytes: usize) {
        self.proposals -= 1;
        self.bytes -= bytes;
    }
}

/// One record group: durable as a whole or not at all, in the order of numbers.
#[derive(Clone, Debug)]
pub struct Write {
    /// Reported back with `Persisted`.
    pub number: u64,
    /// Replaces the whole log before the entries are appended. Its files must be where a restart finds them before.
    pub snapshot: Option<Install>,
    /// Appended; an index that exists already replaces that entry and all after it.
    pub entries: Vec<Entry>,
    /// Replaces the hard state.
    pub hard_state: Option<HardState>,
    /// False if only the commit index changed: such a write need not be synced nor reported.
    pub must_sync: bool,
}

/// A snapshot that raft accepted and the log records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// The number its files were handed over with.
    pub files: u64,
    /// What they hold.
    pub applied: Applied,
}

/// What raft must not forget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// Current term.
    pub term: u64,
    /// Whom this member voted for in it, 0 for nobody.
    pub vote: u64,
    /// Highest index known to be committed.
    pub commit: u64,
}

impl HardState {
    /// Encoded as etcd's `raftpb.HardState`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        for (field, value) in (1..).zip([self.term, self.vote, self.commit]) {
            crate::wire::put_number(&mut out, field, value);
        }
        out
    }

    /// The reverse of [`encode`](Self::encode); `None` if the bytes are damaged.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let mut state = Self::default();
        let mut fields = crate::wire::Fields::new(bytes);
        while let Some((field, value)) = fields.next().ok()? {
            match field {
                1 => state.term = value.number().ok()?,
                2 => state.vote = value.number().ok()?,
                3 => state.commit = value.number().ok()?,
                _ => {}
            }
        }
        Some(state)
    }
}
