//! The consensus core: a value that takes events and gives back what is to be done.
//!
//! No clock, no thread, no file, no socket: time is [`Event::Tick`], durability is [`Event::Persisted`], and the same
//! code runs under the engine's threads and in a simulation. Given the same events it does the same, for its only
//! chance is the seed in [`CoreOptions`].
//!
//! What it adds to the `raft` crate's `RawNode`, whose traps are named where they are handled:
//! - proposals wait while raft would drop them (`proposals`), reads get contexts that are never used twice (`reads`);
//! - messages that raft would not survive are dropped (`guard`);
//! - several writes are under way at once, and what may leave before them leaves before them (`ready`);
//! - the log is kept as long as followers need it, and no longer (`retention`);
//! - a leader that removes itself, or whose disk stalls, hands over (`leadership`).

mod event;
mod guard;
mod leadership;
mod log;
mod proposals;
mod reads;
mod ready;
mod retention;
mod start;
mod timeline;

use std::cell::Cell;
use std::collections::VecDeque;

use raft::eraftpb::{Message, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};

pub use event::{AppliedChange, Count, Event, HardState, Install, Output, Write};
pub use start::{CoreOptions, Remembered, first_entries};

use crate::{LeaderChange, PeerMessage, Replication, Role, Status, Verdict, configuration};
use log::Log;
use proposals::Proposals;
use reads::Reads;
use ready::Outstanding;
use timeline::Timeline;

/// Entries in one append message, in bytes; larger single entries travel alone.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Append messages under way to one follower at most. As etcd.
const INFLIGHT_MAX: usize = 512;

/// Uncommitted entries a leader takes on before proposals wait.
const UNCOMMITTED_BYTES_MAX: u64 = 64 << 20;

/// Committed entries handed out at once.
const COMMITTED_BYTES_MAX: u64 = 8 << 20;

/// Entries that are committed but not applied, or not durable, in bytes; beyond that nothing new is taken.
pub(crate) const UNAPPLIED_BYTES_MAX: u64 = 128 << 20;

/// Something that must not happen: the member has to stop, for it can no longer trust itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// One member of the group.
pub struct Core {
    id: u64,
    options: CoreOptions,
    raw: RawNode<Log>,
    /// Ticks since the start.
    now: u64,
    random: u64,
    election_timeout: usize,
    seen: LeaderChange,
    proposals: Proposals,
    reads: Reads,
    transfer: Option<leadership::Transfer>,
    disk_stalled: bool,
    outstanding: VecDeque<Outstanding>,
    /// Messages that must not leave before the write of this number is durable.
    after: VecDeque<(u64, Vec<PeerMessage>)>,
    written: u64,
    unwritten_bytes: u64,
    /// Last index handed to the log.
    handed: u64,
    /// Term and vote known to be durable.
    durable_vote: (u64, u64),
    timeline: Timeline,
    marked: u64,
    /// Index of the snapshot that raft has accepted and not yet handed out, with its files.
    incoming: Option<(u64, u64)>,
    making_snapshot: bool,
    /// Tick before which no checkpoint is asked for, because the last one failed.
    no_snapshot_before: u64,
    /// Tick of the last complaint about a lost log.
    complained: Cell<Option<u64>>,
    out: Output,
}

impl Core {
    /// Takes in what happened. Call [`poll`](Self::poll) afterwards, at the latest before waiting for more.
    pub fn handle(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Tick => self.tick(),
            Event::Propose(proposals) => self.proposals.add(proposals, self.now),
            Event::ProposeAsLeader { term, proposals } => {
                if self.is_leader() && self.raw.raft.term == term {
                    self.proposals.add_bound(proposals, self.now);
                }
            }
            Event::ProposeChange(change) => self.propose_change(change),
            Event::Message(message, files) => self.message(message.0, files),
            Event::Persisted(number) => self.persisted(number),
            Event::Applied { index, changes } => self.applied(index, changes)?,
            Event::Durable(index) => self.durable(index),
            Event::Read(number) => self.reads.add(number, self.now),
            Event::Transfer { to, number } => self.start_transfer(to, number),
            Event::Campaign => {
                if self.may_campaign() && self.raw.raft.promotable() {
                    // Fails for no reason but the ones checked.
                    let _ = self.raw.campaign();
                }
            }
            Event::Unreachable(id) => self.raw.report_unreachable(id),
            Event::SnapshotSent { to, ok } => {
                let status = if ok {
                    SnapshotStatus::Finish
                } else {
                    SnapshotStatus::Failure
                };
                self.raw.report_snapshot(to, status);
            }
            Event::SnapshotMade { token, applied } => self.snapshot_made(token, applied),
            Event::SnapshotNotMade => {
                self.making_snapshot = false;
                self.no_snapshot_before = self.now + self.options.election_ticks as u64;
            }
            Event::DiskStalled(stalled) => {
                self.disk_stalled = stalled;
                self.leave_stalled_disk();
            }
        }
        self.note_role();
        Ok(())
    }

    /// What is to be done now. Call until it returns nothing; do the outputs in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.campaign_alone();
        self.flush_proposals();
        self.flush_reads();
        self.note_role();
        if self.raw.has_ready() {
            self.take_ready();
            self.note_role();
        }
        self.ask_for_snapshot();
        self.out.reads.append(&mut self.reads.take_done());
        self.out.proposed = std::mem::take(&mut self.proposals.taken);
        self.out.failed = std::mem::take(&mut self.proposals.failed);
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out))
    }

    fn log(&self) -> &Log {
        self.raw.store()
    }

    fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    fn tick(&mut self) {
        self.now += 1;
        let raft = &self.raw.raft;
        let due = !self.is_leader() && raft.election_elapsed + 1 >= raft.randomized_election_timeout();
        // An election while writes or a snapshot are under way would break assertions in raft; it is held back for as
        // long. A member whose disk stalls does not campaign.
        if !due || self.may_campaign() {
            self.raw.tick();
        }
        self.proposals.tick(self.now);
        self.reads.tick(self.now);
        self.note_role();
        self.tick_leadership();
        self.drop_useless_snapshot();
    }

    fn message(&mut self, message: Message, files: Option<u64>) {
        let refused = self.admit(&message).err();
        if let Some(reason) = refused {
            tracing::debug!(from = message.from, kind = ?message.get_msg_type(), reason, "dropped a raft message");
            self.out.refused_files.extend(files);
            return;
        }
        match (message.get_msg_type(), files) {
            (MessageType::MsgSnapshot, Some(files)) => {
                let index = message.get_snapshot().get_metadata().index;
                self.step(message);
                let accepted = self
                    .raw
                    .snap()
                    .is_some_and(|snapshot| snapshot.get_metadata().index == index);
                if accepted {
                    self.incoming = Some((index, files));
                } else {
                    self.out.refused_files.push(files);
                }
            }
            // Without files there is nothing to install.
            (MessageType::MsgSnapshot, None) => {}
            (MessageType::MsgPropose, files) => {
                self.out.refused_files.extend(files);
                self.proposed_by_peer(message);
            }
            (_, files) => {
                self.out.refused_files.extend(files);
                self.step(message);
            }
        }
    }

    fn step(&mut self, message: Message) {
        let waited = self.waited_for_leader(&message);
        // The errors (unknown peer, dropped proposal) mean a message that had no effect.
        if let Err(error) = self.raw.step(message) {
            tracing::debug!(%error, "raft took no notice of a message");
        }
        self.go_on_waiting(waited);
    }

    fn flush_reads(&mut self) {
        // Before its first commit a leader drops reads silently.
        let raft = &self.raw.raft;
        let heard = if self.is_leader() {
            raft.commit_to_current_term()
        } else {
            raft.leader_id != 0
        };
        if heard && let Some(context) = self.reads.next_round(self.now) {
            self.raw.read_index(context);
        }
    }

    fn applied(&mut self, index: u64, changes: Vec<AppliedChange>) -> Result<(), Broken> {
        // Raft takes over a snapshot's configuration as soon as it accepts the snapshot. Changes before it, which were
        // still with the state machine then, are contained in that already.
        let contained = self.raw.raft.raft_log.first_index() - 1;
        for AppliedChange {
            index,
            change,
            verdict,
            configuration,
        } in changes.into_iter().filter(|change| change.index > contained)
        {
            if verdict == Verdict::Accepted
                && let Some(raft_change) = change.to_raft()
            {
                let state = self.raw.apply_conf_change(&raft_change).map_err(|error| {
                    Broken(format!(
                        "raft refuses the configuration change at {index}: {error}"
                    ))
                })?;
                if configuration::from_raft(&state) != configuration {
                    return Err(Broken(format!(
                        "configuration at {index} is {configuration:?} for the state machine and {state:?} for raft"
                    )));
                }
                tracing::info!(index, ?configuration, "switched to configuration");
            }
            self.timeline.changed(index, configuration);
        }
        self.raw.advance_apply_to(index);
        self.step_down_if_removed();
        self.compact(index);
        self.drop_useless_snapshot();
        Ok(())
    }

    /// The current state, as far as the core knows it.
    pub fn status(&self) -> Status {
        let raft = &self.raw.raft;
        let leads = self.is_leader();
        let mut peers: Vec<crate::PeerStatus> = raft
            .prs()
            .iter()
            .map(|(id, peer)| crate::PeerStatus {
                id: *id,
                learner: !raft.prs().conf().voters().contains(*id),
                matched: if leads { peer.matched } else { 0 },
                recently_active: *id == self.id || peer.recent_active,
                replication: leads.then_some(match peer.state {
                    raft::ProgressState::Probe => Replication::Probe,
                    raft::ProgressState::Replicate => Replication::Replicate,
                    raft::ProgressState::Snapshot => Replication::Snapshot,
                }),
            })
            .collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        Status {
            id: self.id,
            term: raft.term,
            leader: raft.leader_id,
            role: role_of(raft.state),
            committed: raft.raft_log.committed,
            applied: raft.raft_log.applied,
            last_index: raft.raft_log.last_index(),
            first_index: self.log().first(),
            disk_stalled: self.disk_stalled,
            transferee: raft.lead_transferee.unwrap_or(0),
            peers,
        }
    }

    /// Whether there is something that only goes on when more is applied. Otherwise `Applied` may be told late.
    pub fn waits_for_applied(&self) -> bool {
        let alone = self.options.fast_start && !self.is_leader() && self.raw.raft.prs().is_singleton();
        alone || self.proposals.has_change() || self.is_full() || self.is_installing()
    }

    /// Highest committed index.
    pub fn committed(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }
}

fn role_of(state: StateRole) -> Role {
    match state {
        StateRole::Follower => Role::Follower,
        StateRole::PreCandidate => Role::PreCandidate,
        StateRole::Candidate => Role::Candidate,
        StateRole::Leader => Role::Leader,
    }
}
