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
//! - a leader that removes itself, or whose disk stalls, hands over (`leadership`).

mod event;
mod guard;
mod leadership;
mod log;
mod proposals;
mod reads;
mod ready;
mod timeline;

use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use raft::{Config, RaftState, RawNode, ReadOnlyOption, SnapshotStatus, StateRole};
use wal::Entry;

pub use event::{AppliedChange, Count, Event, HardState, Install, Output, Write};

use crate::{Applied, Change, LeaderChange, PeerMessage, Replication, Role, Status, Verdict, configuration};
use log::{Log, Made};
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

/// Retained entries may take this many times the configured bytes while a snapshot is under way, so that the follower
/// can go on from it.
const SNAPSHOT_RETAIN_FACTOR: u64 = 4;

/// A checkpoint that no follower is being sent is kept for another one this long.
const SNAPSHOT_TICKS_MAX: u64 = 100;

/// Settings of a core.
#[derive(Clone, Debug)]
pub struct CoreOptions {
    /// This member.
    pub id: u64,
    /// Ticks without a leader before campaigning: between this many and twice as many.
    pub election_ticks: usize,
    /// Ask around before raising the term.
    pub pre_vote: bool,
    /// Start with the election timer advanced; a single voter campaigns at once.
    pub fast_start: bool,
    /// Ticks before a read that was not answered is asked again.
    pub read_retry_ticks: u64,
    /// Ticks before proposals and reads that wait are given up.
    pub request_ticks: u64,
    /// Applied entries kept for followers.
    pub log_retain_entries: u64,
    /// Bytes of applied entries kept.
    pub log_retain_bytes: u64,
    /// Differs between boots; also the source of election timeouts.
    pub seed: u64,
}

/// What a member remembers when it starts.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// The entry before the first of `entries`.
    pub start: Applied,
    /// The log after `start`, without gaps.
    pub entries: Vec<Entry>,
    /// Term, vote and commit index.
    pub hard_state: HardState,
    /// Where the state machine stands; not before `start`, not after the last entry.
    pub applied: Applied,
}

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
    /// A member that remembers what `remembered` says. Fails if that contradicts itself.
    pub fn new(options: CoreOptions, remembered: Remembered) -> Result<Self, Broken> {
        let Remembered {
            start,
            entries,
            mut hard_state,
            applied,
        } = remembered;
        let last = entries
            .last()
            .map_or((start.index, start.term), |entry| (entry.index, entry.term));
        if applied.index < start.index || applied.index > last.0 {
            return Err(Broken(format!(
                "applied {} outside the log ({}, {}]",
                applied.index, start.index, last.0
            )));
        }
        applied
            .configuration
            .check()
            .map_err(|what| Broken(what.to_string()))?;
        // The commit index is written without waiting for the disk, and a torn tail may have taken the last hard state
        // but not the entries before it. Both are safe to restore: applied implies committed, and a vote that was not
        // durable was not cast.
        hard_state.commit = hard_state.commit.min(last.0).max(applied.index);
        if hard_state.term < last.1 {
            hard_state.term = last.1;
            hard_state.vote = 0;
        }

        let config = Config {
            id: options.id,
            election_tick: options.election_ticks,
            heartbeat_tick: 1,
            applied: applied.index,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MAX,
            // Both are off by default in this crate.
            check_quorum: true,
            pre_vote: options.pre_vote,
            read_only_option: ReadOnlyOption::Safe,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            max_committed_size_per_ready: COMMITTED_BYTES_MAX,
            ..Config::default()
        };
        let HardState { term, vote, commit } = hard_state;
        let raft_hard_state = raft::eraftpb::HardState {
            term,
            vote,
            commit,
            ..Default::default()
        };
        let initial = RaftState::new(raft_hard_state, configuration::to_raft(&applied.configuration));

        let mut timeline = Timeline::new(start.clone());
        let replayed = entries.iter().take_while(|entry| entry.index <= applied.index);
        let mut changes = replayed
            .clone()
            .filter(|entry| entry.kind != 0)
            .map(|entry| entry.index);
        replayed.for_each(|entry| timeline.committed(entry.index, entry.term));
        if let Some(first) = changes.next() {
            timeline.restarted(
                first,
                changes.last().unwrap_or(first),
                applied.configuration.clone(),
            );
        }

        let log = Log::new((start.index, start.term), entries, initial);
        let raw = RawNode::new(&config, log, &crate::logger::bridge())
            .map_err(|error| Broken(error.to_string()))?;
        let mut core = Self {
            id: options.id,
            raw,
            now: 0,
            random: options.seed ^ options.id.rotate_left(32),
            election_timeout: 0,
            seen: LeaderChange {
                term: hard_state.term,
                leader: 0,
                role: Role::Follower,
            },
            proposals: Proposals::new(options.request_ticks),
            reads: Reads::new(
                options.id,
                options.seed,
                options.read_retry_ticks,
                options.request_ticks,
            ),
            transfer: None,
            disk_stalled: false,
            outstanding: VecDeque::new(),
            after: VecDeque::new(),
            written: 0,
            unwritten_bytes: 0,
            handed: last.0,
            durable_vote: (hard_state.term, hard_state.vote),
            timeline,
            marked: start.index,
            incoming: None,
            making_snapshot: false,
            no_snapshot_before: 0,
            complained: Cell::new(None),
            out: Output::default(),
            options,
        };
        core.draw_election_timeout();
        if core.options.fast_start {
            core.raw.raft.election_elapsed = core.options.election_ticks.saturating_sub(2);
        }
        Ok(core)
    }

    /// Takes in what happened. Call [`poll`](Self::poll) afterwards, at the latest before waiting for more.
    pub fn handle(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Tick => self.tick(),
            Event::Propose(proposals) => self.proposals.add(proposals, self.now),
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
        let wanted_by = self.raw.mut_store().take_wanted_by();
        if !wanted_by.is_empty() && !self.making_snapshot && self.now >= self.no_snapshot_before {
            tracing::info!(
                ?wanted_by,
                "a follower is too far behind for the log and needs a snapshot"
            );
            self.making_snapshot = true;
            self.out.make_snapshot = true;
        }
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
        // The errors (unknown peer, dropped proposal) mean a message that had no effect.
        if let Err(error) = self.raw.step(message) {
            tracing::debug!(%error, "raft took no notice of a message");
        }
    }

    /// Another member takes this one for the leader. If it is wrong, it finds out and proposes again.
    fn proposed_by_peer(&mut self, mut message: Message) {
        if !self.is_leader() {
            return;
        }
        for entry in message.take_entries() {
            match entry.get_entry_type() {
                raft::eraftpb::EntryType::EntryNormal => self.proposals.add_forwarded(entry.data, self.now),
                _ => self.proposals.add_change(entry, self.now),
            }
        }
    }

    fn propose_change(&mut self, change: Change) {
        let (kind, data) = change.encode();
        let entry = Entry {
            kind,
            index: 0,
            term: 0,
            data: data.into(),
        };
        self.proposals.add_change(log::to_raft(&entry), self.now);
    }

    /// Hands to raft what waits, as long as raft would take it.
    fn flush_proposals(&mut self) {
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
    fn append_change(&mut self, entry: raft::eraftpb::Entry) {
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

    fn propose(&mut self, entries: Vec<raft::eraftpb::Entry>) {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.id;
        message.set_entries(entries.into());
        if let Err(error) = self.raw.raft.step(message) {
            // `room_for_proposals` knows every reason for this.
            tracing::warn!(%error, "raft dropped proposals");
        }
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

    fn compact(&mut self, applied: u64) {
        let Self { raw, options, .. } = self;
        let log = raw.store();
        let bytes_from = |bytes| log.retained_from(applied, bytes);
        let mut from = applied
            .saturating_sub(options.log_retain_entries)
            .max(bytes_from(options.log_retain_bytes));
        if raw.raft.state == StateRole::Leader {
            let sending = raw
                .raft
                .prs()
                .iter()
                .filter(|(_, peer)| peer.state == raft::ProgressState::Snapshot);
            if let Some(oldest) = sending.map(|(_, peer)| peer.pending_snapshot).min() {
                from = from.min(oldest.max(bytes_from(SNAPSHOT_RETAIN_FACTOR * options.log_retain_bytes)));
            }
        }
        raw.mut_store().compact(from);
    }

    /// Lets go of a checkpoint once nobody needs it: it keeps files of the store from being removed.
    fn drop_useless_snapshot(&mut self) {
        let being_sent = |(_, peer): (&u64, &raft::Progress)| peer.state == raft::ProgressState::Snapshot;
        let needed = self.is_leader() && self.raw.raft.prs().iter().any(being_sent);
        let oldest = if needed {
            0
        } else {
            self.now.saturating_sub(SNAPSHOT_TICKS_MAX)
        };
        let useless = self.raw.mut_store().take_useless_snapshot(oldest);
        self.out.drop_snapshots.extend(useless.map(|made| made.token));
    }

    fn durable(&mut self, index: u64) {
        let applied = self.raw.raft.raft_log.applied;
        let index = index.min(applied.saturating_sub(self.options.log_retain_entries));
        if index > self.marked
            && !self.is_installing()
            && let Some(applied) = self.timeline.at(index)
            && applied.index > self.marked
        {
            self.marked = applied.index;
            self.timeline.forget_before(applied.index);
            self.out.mark = Some(applied);
        }
    }

    fn snapshot_made(&mut self, token: u64, applied: Applied) {
        self.making_snapshot = false;
        let since = self.now;
        let old = self.raw.mut_store().offer_snapshot(Made {
            token,
            applied,
            since,
        });
        self.out.drop_snapshots.extend(old.map(|made| made.token));
        if self.is_leader() {
            // Whoever waits for it would otherwise be served with the next heartbeat response.
            let first = self.log().first();
            let peers = self
                .raw
                .raft
                .prs()
                .iter()
                .filter(|(id, peer)| **id != self.id && peer.next_idx < first);
            let mut peers: Vec<u64> = peers.map(|(id, _)| *id).collect();
            peers.sort_unstable();
            peers.into_iter().for_each(|id| self.raw.raft.send_append(id));
        }
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

/// The entries a new cluster's log begins with, and the hard state that goes with them: etcd's, so that an index means
/// the same in both.
pub fn first_entries(members: &[(u64, Bytes)]) -> (Vec<Entry>, HardState) {
    let entry = |(at, (id, context)): (u64, &(u64, Bytes))| {
        let change = Change::single(0, crate::ChangeKind::AddVoter, *id, context.clone());
        let (kind, data) = change.encode();
        Entry {
            kind,
            index: at,
            term: 1,
            data: data.into(),
        }
    };
    let entries: Vec<Entry> = (1..).zip(members).map(entry).collect();
    let hard_state = HardState {
        term: 1,
        vote: 0,
        commit: entries.len() as u64,
    };
    (entries, hard_state)
}
