//! Proposals on their way into the log.
//!
//! Raft drops a proposal without a trace when there is no leader, when leadership is being handed over, or when too
//! much is uncommitted. So they wait here until it would take them. How many wait is bounded by the shell, which counts
//! a proposal until it leaves here.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::event::Count;
use super::{Core, UNCOMMITTED_BYTES_MAX, log};
use crate::{Change, configuration};

/// Entries in one message at most, and bytes: what fits one append message.
const BATCH_ENTRIES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Configuration changes waiting at most; raft takes one at a time.
const CHANGES_MAX: usize = 64;

/// Proposals of other members waiting at most, and their bytes. This member's own are bounded where they come in.
const FORWARDED_MAX: usize = 100_000;
const FORWARDED_BYTES_MAX: usize = 64 << 20;

pub(super) struct Proposals {
    waiting: VecDeque<Waiting>,
    changes: VecDeque<(Entry, u64)>,
    forwarded: Count,
    timeout_ticks: u64,
    /// Of this member's own: gone into the log or to the leader.
    pub taken: Count,
    /// Of this member's own: dropped.
    pub failed: Count,
}

struct Waiting {
    data: Bytes,
    since: u64,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// This member; counted where it came in.
    Own,
    /// This member as leader of the current term.
    Leader,
    /// Another member; counted here.
    Peer,
}

impl Proposals {
    pub fn new(timeout_ticks: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            changes: VecDeque::new(),
            forwarded: Count::default(),
            timeout_ticks,
            taken: Count::default(),
            failed: Count::default(),
        }
    }

    pub fn add(&mut self, proposals: Vec<Bytes>, now: u64) {
        self.waiting.extend(proposals.into_iter().map(|data| Waiting {
            data,
            since: now,
            origin: Origin::Own,
        }));
    }

    /// Those that only the leader of the current term may propose.
    pub fn add_bound(&mut self, proposals: Vec<Bytes>, now: u64) {
        self.waiting.extend(proposals.into_iter().map(|data| Waiting {
            data,
            since: now,
            origin: Origin::Leader,
        }));
    }

    /// The term is over, or the leadership.
    pub fn drop_bound(&mut self) {
        self.waiting.retain(|waiting| waiting.origin != Origin::Leader);
    }

    /// Another member's; dropped if too many of those wait already.
    pub fn add_forwarded(&mut self, data: Bytes, now: u64) {
        let Count { proposals, bytes } = self.forwarded;
        if proposals < FORWARDED_MAX && bytes + data.len() <= FORWARDED_BYTES_MAX {
            self.forwarded.add(data.len());
            self.waiting.push_back(Waiting {
                data,
                since: now,
                origin: Origin::Peer,
            });
        }
    }

    pub fn add_change(&mut self, entry: Entry, now: u64) {
        if self.changes.len() < CHANGES_MAX {
            self.changes.push_back((entry, now));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn has_change(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Everything waiting, up to the size of one message and to `room` bytes (but at least one).
    pub fn next_batch(&mut self, room: usize) -> Vec<Entry> {
        let room = room.min(BATCH_BYTES_MAX);
        let mut batch = Vec::with_capacity(self.waiting.len().min(BATCH_ENTRIES_MAX));
        let mut bytes = 0;
        while let Some(next) = self.waiting.front() {
            let fits = batch.len() < BATCH_ENTRIES_MAX && bytes + next.data.len() <= room;
            if !fits && !batch.is_empty() {
                break;
            }
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            bytes += next.data.len();
            match next.origin {
                Origin::Own => self.taken.add(next.data.len()),
                Origin::Leader => {}
                Origin::Peer => self.forwarded.remove(next.data.len()),
            }
            batch.push(Entry {
                data: next.data,
                ..Entry::default()
            });
        }
        batch
    }

    /// Size of the next proposal.
    pub fn next_bytes(&self) -> usize {
        self.waiting.front().map_or(0, |next| next.data.len())
    }

    pub fn next_change(&mut self) -> Option<Entry> {
        self.changes.pop_front().map(|(entry, _)| entry)
    }

    /// Drops what waited too long: its proposers have given up.
    pub fn tick(&mut self, now: u64) {
        let timeout = self.timeout_ticks;
        let late = |since: u64| now - since >= timeout;
        while self.waiting.front().is_some_and(|next| late(next.since))
            && let Some(next) = self.waiting.pop_front()
        {
            match next.origin {
                Origin::Own => self.failed.add(next.data.len()),
                Origin::Leader => {}
                Origin::Peer => self.forwarded.remove(next.data.len()),
            }
        }
        self.changes.retain(|(_, since)| !late(*since));
    }
}

impl Core {
    /// Another member takes this one for the leader. If it is wrong, it finds out and proposes again.
    pub(super) fn proposed_by_peer(&mut self, mut message: Message) {
        if !self.is_leader() {
            return;
        }
        for entry in message.take_entries() {
            match entry.get_entry_type() {
                EntryType::EntryNormal => self.proposals.add_forwarded(entry.data, self.now),
                _ => self.proposals.add_change(entry, self.now),
            }
        }
    }

    pub(super) fn propose_change(&mut self, change: Change) {
        let (kind, data) = change.encode();
        let entry = wal::Entry {
            kind,
            index: 0,
            term: 0,
            data: data.into(),
        };
        self.proposals.add_change(log::to_raft(&entry), self.now);
    }

    /// Hands to raft what waits, as long as raft would take it.
    pub(super) fn flush_proposals(&mut self) {
        while !self.proposals.is_empty()
            && let Some(room) = self.room_for_proposals()
        {
            let batch = self.proposals.next_batch(room);
            self.propose(batch);
        }
        if self.proposals.has_change()
            && self.room_for_proposals().is_some()
            && !(self.is_leader() && self.raw.raft.has_pending_conf())
            && let Some(entry) = self.proposals.next_change()
        {
            if self.is_leader() {
                self.append_change(entry);
            } else {
                self.propose(vec![entry]);
            }
        }
    }

    /// What raft does with a proposed change on the leader, except that raft cannot read all changes: its numbers for
    /// the kinds of change are not etcd's, which the log has. At most one change may be in the log unapplied.
    pub(super) fn append_change(&mut self, entry: Entry) {
        let raft = &mut self.raw.raft;
        let Ok(change) = Change::decode(entry.get_entry_type() as u8, entry.data.clone()) else {
            return;
        };
        let joint = configuration::from_raft(&raft.prs().conf().to_conf_state()).is_joint();
        if joint != change.leaves_joint() {
            tracing::info!(
                ?change,
                joint,
                "dropped a configuration change that does not fit the configuration"
            );
            return;
        }
        raft.pending_conf_index = raft.raft_log.last_index() + 1;
        if raft.append_entry(&mut [entry]) {
            raft.bcast_append();
        }
    }

    /// How many bytes raft would take now; `None` if it would drop a proposal.
    fn room_for_proposals(&self) -> Option<usize> {
        let raft = &self.raw.raft;
        if !self.is_leader() {
            return (raft.leader_id != 0).then_some(usize::MAX);
        }
        let uncommitted = raft.uncommitted_size();
        let room = (UNCOMMITTED_BYTES_MAX as usize).saturating_sub(uncommitted);
        let fits = uncommitted == 0 || self.proposals.next_bytes() <= room;
        (raft.lead_transferee.is_none() && fits && raft.promotable() && !self.is_full()).then_some(room)
    }

    fn propose(&mut self, entries: Vec<Entry>) {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.id;
        message.set_entries(entries.into());
        if let Err(error) = self.raw.raft.step(message) {
            // `room_for_proposals` knows every reason for this.
            tracing::warn!(%error, "raft dropped proposals");
        }
    }
}
