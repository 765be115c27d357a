//! How much of the log is kept, and checkpoints for those who need what is not.

use raft::{Progress, ProgressState, StateRole};

use super::Core;
use super::log::Made;
use crate::Applied;

/// Retained entries may take this many times the configured bytes while a snapshot is under way, so that the follower
/// can go on from it.
const SNAPSHOT_RETAIN_FACTOR: u64 = 4;

/// A checkpoint that no follower is being sent is kept for another one this long.
const SNAPSHOT_TICKS_MAX: u64 = 100;

impl Core {
    pub(super) fn compact(&mut self, applied: u64) {
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
                .filter(|(_, peer)| peer.state == ProgressState::Snapshot);
            if let Some(oldest) = sending.map(|(_, peer)| peer.pending_snapshot).min() {
                from = from.min(oldest.max(bytes_from(SNAPSHOT_RETAIN_FACTOR * options.log_retain_bytes)));
            }
        }
        raw.mut_store().compact(from);
    }

    /// Lets go of a checkpoint once nobody needs it: it keeps files of the store from being removed.
    pub(super) fn drop_useless_snapshot(&mut self) {
        let being_sent = |(_, peer): (&u64, &Progress)| peer.state == ProgressState::Snapshot;
        let needed = self.is_leader() && self.raw.raft.prs().iter().any(being_sent);
        let oldest = if needed {
            0
        } else {
            self.now.saturating_sub(SNAPSHOT_TICKS_MAX)
        };
        let useless = self.raw.mut_store().take_useless_snapshot(oldest);
        self.out.drop_snapshots.extend(useless.map(|made| made.token));
    }

    pub(super) fn durable(&mut self, index: u64) {
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

    pub(super) fn snapshot_made(&mut self, token: u64, applied: Applied) {
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

    /// Passes on that a follower is too far behind for the log.
    pub(super) fn ask_for_snapshot(&mut self) {
        let wanted_by = self.raw.mut_store().take_wanted_by();
        if !wanted_by.is_empty() && !self.making_snapshot && self.now >= self.no_snapshot_before {
            tracing::info!(
                ?wanted_by,
                "a follower is too far behind for the log and needs a snapshot"
            );
            self.making_snapshot = true;
            self.out.make_snapshot = true;
        }
    }
}
