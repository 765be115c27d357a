//! The state machine as the raft engine drives it: groups of entries in, one batch, events and answers out.

use crate::core::Core;
use crate::layout::Layout;
use crate::mailbox::{Letter, Sorter};
use crate::waiters::{Answer, Waiting};
use apply::{Machine, Outcome};
use bytes::Bytes;
use membership::{Change, ChangeKind};
use model::pb::etcdserverpb as pb;
use model::{Command, LogIndex, MemberId, Rejection, Reply, Request, Term};
use raft_engine::{Applied, Committed, Configuration, MachineError, StateMachine, Verdict};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bytes written since the last flush at which the next one is asked for. More would make recovery longer, for the log
/// is replayed from the last flush on; less would make many small files.
const FLUSH_BYTES: u64 = 64 << 20;

/// The replicated state of this member. Owned by the engine's apply thread.
pub(crate) struct Replica {
    core: Arc<Core>,
    machine: Machine,
    layout: Layout,
    replies: Vec<(Waiting, Answer)>,
    sorter: Sorter,
}

impl Replica {
    pub fn new(core: Arc<Core>, machine: Machine, layout: Layout) -> Replica {
        let applied = machine.applied().index.0;
        // What is there at the start has been read from disk.
        core.durable.store(applied, Ordering::Release);
        core.applied.advance(applied);
        let replica = Replica {
            core,
            machine,
            layout,
            replies: Vec::new(),
            sorter: Sorter::default(),
        };
        replica.announce_members();
        replica
    }

    fn command(&mut self, index: u64, term: u64, data: Bytes) -> Result<(), apply::Error> {
        let (index, term) = (LogIndex(index), Term(term));
        let bytes = data.len() as u64;
        let command = match Command::decode(data) {
            Ok(command) => command,
            Err(error) => {
                // Every member of this version sees the same bytes and passes over them.
                tracing::error!(%index, %error, "an entry of the log is no request; it is passed over");
                return self.machine.skip(index, term);
            }
        };
        self.core
            .signals
            .unflushed_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        // Readers take permissions from one place and keys from another, and one of the two is published first. In a
        // group of its own the change of a permission has no keys beside it that could be read with the wrong ones.
        let alone = command.request.changes_permissions();
        if alone {
            self.commit(false)?;
        }
        let waiter = self.core.requests.take(command.id);
        let started = self.core.clock.now();
        let Outcome { result, over_quota } = self.machine.apply(index, term, &command, waiter.is_some())?;
        let took = self.core.clock.now().saturating_sub(started);
        self.core.metrics.applied(&command.request, &result, took);
        if over_quota {
            self.core.raise_no_space();
        }
        if let Request::Compaction(_) = command.request
            && result.is_ok()
        {
            let _ = self.core.signals.compact.try_send(());
        }
        if let Some(waiter) = waiter {
            let result = if over_quota {
                Err(Rejection::NoSpace)
            } else {
                result
            };
            self.replies.push((waiter, result));
        }
        if alone {
            self.commit(false)?;
        }
        Ok(())
    }

    fn change_members(
        &mut self,
        index: u64,
        term: u64,
        change: raft_engine::Change,
        configuration: Option<Configuration>,
    ) -> Result<Verdict, apply::Error> {
        let result = self.try_change(LogIndex(index), Term(term), &change, configuration)?;
        let waiter = self.core.requests.take(change.id);
        if let Some(waiter) = waiter {
            self.replies.push((waiter, result.map(|()| Reply::Done)));
        }
        Ok(match result {
            Ok(()) => Verdict::Accepted,
            Err(_) => Verdict::Refused,
        })
    }

    fn try_change(
        &mut self,
        index: LogIndex,
        term: Term,
        change: &raft_engine::Change,
        configuration: Option<Configuration>,
    ) -> Result<Result<(), Rejection>, apply::Error> {
        let Some(configuration) = configuration else {
            self.machine.skip(index, term)?;
            return Ok(Err(Rejection::UnhealthyCluster));
        };
        let configuration = Bytes::from(configuration.encode());
        let Some(step) = change.steps.first() else {
            // Leaves a joint configuration: nobody comes or goes by that.
            self.machine.change_configuration(index, term, configuration)?;
            return Ok(Ok(()));
        };
        match decode_change(step, &change.context) {
            Ok(change) => {
                let result = self.machine.change_members(index, term, &change, configuration)?;
                match &result {
                    Ok(()) => tracing::info!(?change, "membership changed"),
                    Err(error) => tracing::warn!(?change, %error, "membership change refused"),
                }
                Ok(result)
            }
            Err(error) => {
                tracing::error!(%index, %error, "a membership change in the log cannot be read; it is passed over");
                self.machine.skip(index, term)?;
                Ok(Err(Rejection::MemberBadUrls))
            }
        }
    }

    /// Tells the outside who the members are, once that is known from the log. Before, those named at the start are
    /// what there is: a new member has to reach the others to learn anything.
    fn announce_members(&self) {
        let cluster = self.machine.cluster();
        let mut members: Vec<pb::Member> = cluster.members().map(membership::Member::to_pb).collect();
        let named = self.core.options.bootstrap.members();
        let still_learning =
            cluster.member(self.core.member).is_none() || self.machine.applied().index.0 < named.len() as u64;
        if still_learning {
            let unknown = named
                .iter()
                .filter(|member| cluster.member(MemberId(member.id)).is_none());
            members.extend(unknown.cloned());
            members.retain(|member| !cluster.is_removed(MemberId(member.id)));
        }
        failpoint::point!("memberBeforeAnnounce");
        self.core.options.peers.members_changed(&members);
        self.core.signals.versions.notify_one();
        if cluster.is_removed(self.core.member) {
            self.core.signals.removed.store(true, Ordering::Release);
            self.core.signals.removal.notify_one();
        }
    }

    /// Makes what was applied visible, then answers: in this order, so that nobody who got an answer finds a store
    /// without its effect.
    fn commit(&mut self, members_changed: bool) -> Result<(), apply::Error> {
        let changes = self.machine.commit()?;
        failpoint::point!("watchBeforePublish");
        self.core.metrics.worked(self.machine.take_work());
        if members_changed {
            self.announce_members();
        }
        self.core.hub.publish(changes);
        failpoint::point!("watchAfterPublish");
        self.core.applied.advance(self.machine.applied().index.0);
        for (waiter, answer) in self.replies.drain(..) {
            self.sorter
                .add(waiter.mailbox, Letter::Applied(waiter.sender, answer));
        }
        failpoint::point!("applyBeforeAnswer");
        self.sorter.post();
        if self.core.signals.unflushed_bytes.load(Ordering::Relaxed) >= FLUSH_BYTES {
            let _ = self.core.signals.flush.try_send(());
        }
        Ok(())
    }

    fn apply_group(&mut self, group: Vec<Committed>) -> Result<Verdict, apply::Error> {
        let mut verdict = Verdict::Accepted;
        let mut members_changed = false;
        for entry in group {
            match entry {
                Committed::Command { index, term, data } => self.command(index, term, data)?,
                Committed::Empty { index, term } => self.machine.skip(LogIndex(index), Term(term))?,
                Committed::ConfChange {
                    index,
                    term,
                    change,
                    configuration,
                } => {
                    verdict = self.change_members(index, term, change, configuration)?;
                    members_changed = true;
                }
            }
        }
        let started = self.core.clock.now();
        self.commit(members_changed)?;
        let took: Duration = self.core.clock.now().saturating_sub(started);
        self.core.metrics.backend_commit.observe(took.as_secs_f64());
        Ok(verdict)
    }
}

impl StateMachine for Replica {
    fn applied(&self) -> Applied {
        let applied = self.machine.applied();
        Applied {
            index: applied.index.0,
            term: applied.term.0,
            configuration: Configuration::decode(&applied.configuration).unwrap_or_default(),
        }
    }

    fn apply(&mut self, group: Vec<Committed>) -> Result<Verdict, MachineError> {
        Ok(self.apply_group(group)?)
    }

    fn durable(&self) -> u64 {
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::LogReleasedEarly) {
            return self.core.applied.applied().0;
        }
        self.core.durable.load(Ordering::Acquire)
    }

    fn request_flush(&mut self) {
        let _ = self.core.signals.flush.try_send(());
    }

    fn checkpoint(&mut self, dir: &Path) -> Result<(), MachineError> {
        let _timer = self.core.metrics.backend_snapshot.start_timer();
        Ok(self.core.backend().checkpoint(dir)?)
    }

    fn install(&mut self, dir: &Path, snapshot: &Applied) -> Result<(), MachineError> {
        let staged = self.layout.stage(dir)?;
        failpoint::point!("applyBeforeOpenSnapshot");
        let backend = (self.core.options.open_store)(&staged)?;
        // etcd's words for this step, here and in the engine: its operators look for them.
        tracing::info!(index = snapshot.index, "applySnapshot: opened snapshot backend");
        failpoint::point!("applyAfterOpenSnapshot");
        let found = apply::Applied::load(backend.snapshot()?.as_ref())?;
        if (found.index.0, found.term.0) != (snapshot.index, snapshot.term) {
            return Err(format!(
                "the snapshot of index {} and term {} holds a state of index {} and term {}",
                snapshot.index, snapshot.term, found.index, found.term
            )
            .into());
        }
        let old = self.layout.switch(&staged)?;
        failpoint::point!("applyBeforeRestore");
        self.machine.restore(backend.clone())?;
        failpoint::point!("applyAfterRestore");
        let still_used = self.core.replace_backend(backend);
        self.core.retire(still_used, old);
        self.core.durable.store(snapshot.index, Ordering::Release);
        #[cfg(feature = "planted")]
        let restored = planted::is(planted::Bug::WatchNotRestored);
        #[cfg(not(feature = "planted"))]
        let restored = false;
        if !restored {
            self.core.hub.restored();
        }
        self.core.applied.advance(snapshot.index);
        self.announce_members();
        Ok(())
    }
}

fn decode_change(step: &raft_engine::ChangeStep, context: &[u8]) -> Result<Change, membership::Error> {
    let kind = match step.kind {
        raft_engine::ChangeKind::AddVoter => ChangeKind::AddVoter,
        raft_engine::ChangeKind::AddLearner => ChangeKind::AddLearner,
        raft_engine::ChangeKind::Remove => ChangeKind::Remove,
        raft_engine::ChangeKind::Update => ChangeKind::Update,
    };
    Change::decode(kind, MemberId(step.member), context)
}

/// A membership change as raft carries it.
pub(crate) fn encode_change(id: u64, change: &Change) -> raft_engine::Change {
    let kind = match change.kind() {
        ChangeKind::AddVoter => raft_engine::ChangeKind::AddVoter,
        ChangeKind::AddLearner => raft_engine::ChangeKind::AddLearner,
        ChangeKind::Remove => raft_engine::ChangeKind::Remove,
        ChangeKind::Update => raft_engine::ChangeKind::Update,
    };
    raft_engine::Change {
        id,
        steps: vec![raft_engine::ChangeStep {
            kind,
            member: change.member().0,
        }],
        context: change.encode(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use membership::Member;

    #[test]
    fn changes_travel_through_raft() {
        let member = |id, is_learner| Member {
            id: MemberId(id),
            peer_urls: vec!["http://a:1".into()],
            is_learner,
            name: String::new(),
            client_urls: Vec::new(),
        };
        for change in [
            Change::Add(member(7, false)),
            Change::Add(member(7, true)),
            Change::Promote(MemberId(7)),
            Change::Remove(MemberId(7)),
            Change::Update(MemberId(7), vec!["http://b:1".into()]),
        ] {
            let carried = encode_change(1, &change);
            assert_eq!(decode_change(&carried.steps[0], &carried.context), Ok(change));
        }
    }
}
