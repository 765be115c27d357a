//! Who leads: elections, handing over, stepping down.

use raft::eraftpb::{Message, MessageType};
use raft::{INVALID_ID, StateRole};

use super::{Core, role_of};
use crate::{LeaderChange, Role, TransferError};

/// A transfer somebody waits for.
pub(super) struct Transfer {
    to: u64,
    number: u64,
    until: u64,
}

impl Core {
    /// Notices a change of role, term or leader, and tells everyone whom it concerns.
    pub(super) fn note_role(&mut self) {
        let raft = &self.raw.raft;
        let now = LeaderChange {
            term: raft.term,
            leader: raft.leader_id,
            role: role_of(raft.state),
        };
        let before = std::mem::replace(&mut self.seen, now);
        if now == before {
            // Raft draws a timeout of its own whenever it resets, from a source that cannot be seeded.
            self.raw
                .raft
                .set_randomized_election_timeout(self.election_timeout);
            return;
        }
        if (now.term, now.role) != (before.term, before.role) {
            self.draw_election_timeout();
            self.proposals.drop_bound();
        } else {
            self.raw
                .raft
                .set_randomized_election_timeout(self.election_timeout);
        }
        if (now.term, now.leader) != (before.term, before.leader) {
            self.reads.leader_changed();
        }
        log_change(self.id, before, now);
        self.out.role = Some(now);
        self.finish_transfer();
    }

    pub(super) fn draw_election_timeout(&mut self) {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let ticks = self.options.election_ticks;
        self.election_timeout = ticks + (mixed % ticks as u64) as usize;
        self.raw
            .raft
            .set_randomized_election_timeout(self.election_timeout);
    }

    /// The term, and for how many ticks this member has heard of no leader, if `message` asks for its vote.
    pub(super) fn waited_for_leader(&self, message: &Message) -> Option<(u64, usize)> {
        let raft = &self.raw.raft;
        let asks = message.get_msg_type() == MessageType::MsgRequestVote;
        (asks && raft.state != StateRole::Leader).then_some((raft.term, raft.election_elapsed))
    }

    /// A vote that is asked for and refused does not start the wait for a leader anew (raft paper, section 5.2), as raft
    /// does with every new term. A candidate whose log is behind could otherwise hold up, for as long as it is the first
    /// in each term, the one member that others may vote for. Without pre-vote only.
    pub(super) fn go_on_waiting(&mut self, waited: Option<(u64, usize)>) {
        let raft = &mut self.raw.raft;
        if let Some((term, ticks)) = waited
            && raft.term > term
            && raft.vote == INVALID_ID
        {
            raft.election_elapsed = ticks;
        }
    }

    /// The only voter need not wait for a timeout: nobody else could lead.
    pub(super) fn campaign_alone(&mut self) {
        let raft = &self.raw.raft;
        if self.options.fast_start
            && raft.state == StateRole::Follower
            && raft.promotable()
            && raft.prs().is_singleton()
            && raft.raft_log.applied == raft.raft_log.committed
            && self.may_campaign()
        {
            // Fails for no reason but the ones checked.
            let _ = self.raw.campaign();
        }
    }

    pub(super) fn start_transfer(&mut self, to: u64, number: u64) {
        let raft = &self.raw.raft;
        let refused = if !self.is_leader() {
            Some(Err(TransferError::NotLeader))
        } else if to == self.id {
            Some(Ok(()))
        } else if !raft.prs().conf().voters().contains(to) {
            Some(Err(TransferError::NotVoter))
        } else {
            None
        };
        if let Some(outcome) = refused {
            self.out.transfers.push((number, outcome));
            return;
        }
        if let Some(old) = self.transfer.take() {
            self.out
                .transfers
                .push((old.number, Err(TransferError::Superseded)));
        }
        tracing::info!(
            from = format_args!("{:x}", self.id),
            to = format_args!("{to:x}"),
            "leadership transfer starting"
        );
        self.raw.transfer_leader(to);
        // Raft itself gives up after as long.
        let until = self.now + self.options.election_ticks as u64;
        self.transfer = Some(Transfer { to, number, until });
    }

    fn finish_transfer(&mut self) {
        let leader = self.seen.leader;
        let Some(transfer) = &self.transfer else { return };
        let outcome = if leader == transfer.to {
            Ok(())
        } else if leader != 0 && leader != self.id {
            Err(TransferError::Superseded)
        } else {
            return;
        };
        self.out.transfers.push((transfer.number, outcome));
        self.transfer = None;
    }

    pub(super) fn tick_leadership(&mut self) {
        if let Some(transfer) = self.transfer.take_if(|transfer| transfer.until <= self.now) {
            self.raw.raft.abort_leader_transfer();
            self.out
                .transfers
                .push((transfer.number, Err(TransferError::TimedOut)));
        }
        self.leave_stalled_disk();
        self.leave_joint();
    }

    /// A leader whose disk does not answer can still send heartbeats, and would lead for ever without being able to
    /// apply anything. Its followers have the entries, for they are sent before they are durable here.
    pub(super) fn leave_stalled_disk(&mut self) {
        if !self.disk_stalled || !self.is_leader() || self.raw.raft.lead_transferee.is_some() {
            return;
        }
        if let Some((to, true)) = self.best_successor() {
            tracing::warn!(
                to = format_args!("{to:x}"),
                "the log's disk does not answer; handing over leadership"
            );
            self.raw.transfer_leader(to);
        }
    }

    /// Raft 0.7 asks to leave a joint configuration only at the moment its entry is applied, and only if this member
    /// leads then. A later leader has to do it, or the cluster stays joint for ever.
    fn leave_joint(&mut self) {
        let raft = &self.raw.raft;
        if self.is_leader()
            && raft.prs().conf().to_conf_state().auto_leave
            && !raft.has_pending_conf()
            && raft.lead_transferee.is_none()
        {
            let mut entry = raft::eraftpb::Entry::default();
            entry.set_entry_type(raft::eraftpb::EntryType::EntryConfChangeV2);
            self.append_change(entry);
        }
    }

    /// Raft 0.7 lets a leader go on that the configuration no longer has as a voter, and then fails on its missing
    /// progress.
    pub(super) fn step_down_if_removed(&mut self) {
        if self.raw.raft.prs().conf().voters().contains(self.id) || self.raw.raft.state == StateRole::Follower
        {
            return;
        }
        if let Some((to, _)) = self.best_successor() {
            self.raw.raft.send_timeout_now(to);
        }
        tracing::info!(
            id = format_args!("{:x}", self.id),
            "no voter any more; stepping down"
        );
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
    }

    /// The voter with the most of the log, of those that answer if there are any, and whether it answers.
    fn best_successor(&self) -> Option<(u64, bool)> {
        if !self.is_leader() {
            return None;
        }
        let voters = self.raw.raft.prs().conf().voters();
        let others = self
            .raw
            .raft
            .prs()
            .iter()
            .filter(|(id, _)| **id != self.id && voters.contains(**id));
        let best = others.max_by_key(|(id, peer)| (peer.recent_active, peer.matched, **id))?;
        Some((*best.0, best.1.recent_active))
    }
}

fn log_change(id: u64, before: LeaderChange, now: LeaderChange) {
    let term = now.term;
    if (before.term, before.role) != (now.term, now.role) {
        let role = match now.role {
            Role::Follower => "follower",
            Role::PreCandidate => "pre-candidate",
            Role::Candidate => "candidate",
            Role::Leader => "leader",
        };
        tracing::info!("{id:x} became {role} at term {term}");
    }
    match (before.leader, now.leader) {
        (old, new) if old == new => {}
        (0, new) => tracing::info!("raft.node: {id:x} elected leader {new:x} at term {term}"),
        (old, 0) => tracing::info!("raft.node: {id:x} lost leader {old:x} at term {term}"),
        (old, new) => {
            tracing::info!("raft.node: {id:x} changed leader from {old:x} to {new:x} at term {term}")
        }
    }
}
