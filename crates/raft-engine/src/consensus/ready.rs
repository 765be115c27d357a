//! Raft's Readies: what must be durable before what, with several writes under way.
//!
//! A Ready's entries and hard state go to the log writer under the Ready's number, and raft goes on at once. Of its
//! messages, those that promise something wait for the write: votes, requests for votes, acknowledgements of entries.
//! The others (a leader's appends and heartbeats, answers to heartbeats) promise nothing about this member's log and
//! leave now, but never before the term they speak in is durable: a single voter becomes leader within one Ready, and
//! if its appends left before its term was written, a crash could make it lead the same term twice with two logs.

use raft::eraftpb::MessageType;
use raft::{Ready, StateRole};
use wal::Entry;

use super::Core;
use super::event::{HardState, Install, Write};
use super::log::from_raft;
use super::timeline::Timeline;
use crate::{Applied, MessageKind, PeerMessage, configuration};

/// A Ready that raft has not been told is durable.
pub(super) struct Outstanding {
    pub number: u64,
    /// Something in it must be durable before it counts.
    pub waits: bool,
    /// It replaces entries or the whole log of an earlier one.
    overwrites: bool,
    bytes: u64,
    vote: Option<(u64, u64)>,
    install: Option<Install>,
}

impl Core {
    pub(super) fn take_ready(&mut self) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        for state in ready.take_read_states() {
            self.reads.confirmed(&state.request_ctx, state.index);
        }
        let hard_state = ready.hs().map(|state| HardState {
            term: state.term,
            vote: state.vote,
            commit: state.commit,
        });
        let must_sync = ready.must_sync();
        let entries: Vec<Entry> = ready.take_entries().into_iter().map(from_raft).collect();
        let install = self.take_snapshot(&ready);

        let last_handed = self.handed;
        let overwrites = install.is_some() || entries.first().is_some_and(|entry| entry.index <= last_handed);
        if let Some(install) = &install {
            self.raw
                .mut_store()
                .reset(install.applied.index, install.applied.term);
            self.handed = install.applied.index;
        }
        self.raw.mut_store().append(&entries);
        self.handed = entries.last().map_or(self.handed, |entry| entry.index);

        let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum();
        self.unwritten_bytes += bytes;
        self.outstanding.push_back(Outstanding {
            number,
            waits: must_sync,
            overwrites,
            bytes,
            vote: hard_state
                .filter(|_| must_sync)
                .map(|state| (state.term, state.vote)),
            install: install.clone(),
        });

        let committed = ready.take_committed_entries().into_iter().map(from_raft);
        for entry in committed {
            self.timeline.committed(entry.index, entry.term);
            self.out.committed.push(entry);
        }
        let messages = match self.raw.raft.state {
            StateRole::Leader => ready.take_messages(),
            _ => ready.take_persisted_messages(),
        };
        self.raw.advance_append_async(ready);

        if install.is_some() || !entries.is_empty() || hard_state.is_some() {
            self.out.write = Some(Write {
                number,
                snapshot: install,
                entries,
                hard_state,
                must_sync,
            });
        }
        self.sort_out(number, messages);
        self.settle();
    }

    /// The accepted snapshot, with the files that were handed over beside it.
    fn take_snapshot(&mut self, ready: &Ready) -> Option<Install> {
        if ready.snapshot().is_empty() {
            return None;
        }
        let metadata = ready.snapshot().get_metadata();
        let applied = Applied {
            index: metadata.index,
            term: metadata.term,
            configuration: configuration::from_raft(metadata.get_conf_state()),
        };
        // Raft holds one unhanded snapshot at a time, and the guard lets the next one in only after this one. Files 0
        // do not exist: installing them would fail and stop the member.
        let files = self.incoming.take().map_or(0, |(_, files)| files);
        Some(Install { files, applied })
    }

    /// Sends what may leave at once, and holds the rest back until the write `number` is durable.
    fn sort_out(&mut self, number: u64, messages: Vec<raft::eraftpb::Message>) {
        let raft = &self.raw.raft;
        let term_is_durable = self.durable_vote == (raft.term, raft.vote);
        let leads = raft.state == StateRole::Leader;
        let mut held = Vec::new();
        for message in messages {
            let promises = match message.get_msg_type() {
                MessageType::MsgHeartbeatResponse
                | MessageType::MsgReadIndex
                | MessageType::MsgReadIndexResp
                | MessageType::MsgPropose
                | MessageType::MsgTimeoutNow => false,
                _ => !leads,
            };
            let message = PeerMessage(message);
            let waits = promises || !term_is_durable;
            #[cfg(feature = "planted")]
            let waits = waits && !planted::is(planted::Bug::PromisesEarly);
            if waits {
                held.push(message);
            } else {
                self.send(message);
            }
        }
        if !held.is_empty() {
            self.after.push_back((number, held));
        }
    }

    fn send(&mut self, message: PeerMessage) {
        if message.kind() == MessageKind::Snapshot {
            let mut token = [0; 8];
            let data = &message.0.get_snapshot().data;
            token[8 - data.len().min(8)..].copy_from_slice(&data[..data.len().min(8)]);
            self.out.snapshots.push((message, u64::from_be_bytes(token)));
        } else {
            self.out.messages.push(message);
        }
    }

    pub(super) fn persisted(&mut self, number: u64) {
        self.written = self.written.max(number);
        self.settle();
    }

    /// Draws the consequences of what has become durable.
    fn settle(&mut self) {
        let mut done = None;
        while let Some(front) = self.outstanding.front()
            && (!front.waits || front.number <= self.written)
            && let Some(front) = self.outstanding.pop_front()
        {
            done = Some(front.number);
            self.unwritten_bytes -= front.bytes;
            self.durable_vote = front.vote.unwrap_or(self.durable_vote);
            if let Some(install) = front.install {
                self.timeline = Timeline::new(install.applied.clone());
                self.marked = install.applied.index;
                self.out.install = Some(install);
            }
        }
        let Some(done) = done else { return };
        while let Some((number, _)) = self.after.front()
            && *number <= done
            && let Some((_, messages)) = self.after.pop_front()
        {
            messages.into_iter().for_each(|message| self.send(message));
        }
        // Raft takes a persisted entry for the one now at its index if the terms are equal. After two changes of leader
        // it can be an earlier copy of the same entry, with a write that replaces it still under way: raft would count
        // as durable what the disk is about to lose. So nothing is reported until the replacing write is there.
        if !self.outstanding.iter().any(|later| later.overwrites) {
            self.raw.on_persist_ready(done);
        }
    }
}
