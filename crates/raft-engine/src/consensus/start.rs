//! What a member starts from.

use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;
use raft::{Config, RaftState, RawNode, ReadOnlyOption};
use wal::Entry;

use super::event::{HardState, Output};
use super::log::Log;
use super::proposals::Proposals;
use super::reads::Reads;
use super::timeline::Timeline;
use super::{Broken, COMMITTED_BYTES_MAX, Core, INFLIGHT_MAX, MESSAGE_BYTES_MAX, UNCOMMITTED_BYTES_MAX};
use crate::{Applied, Change, ChangeKind, LeaderChange, Role, configuration};

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
}

/// The entries a new cluster's log begins with, and the hard state that goes with them: etcd's, so that an index means
/// the same in both.
pub fn first_entries(members: &[(u64, Bytes)]) -> (Vec<Entry>, HardState) {
    let entry = |(at, (id, context)): (u64, &(u64, Bytes))| {
        let change = Change::single(0, ChangeKind::AddVoter, *id, context.clone());
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
