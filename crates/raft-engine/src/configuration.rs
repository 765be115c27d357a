//! Who votes and who learns.
//!
//! The rules are raft's (dissertation, chapter 4). They are written down here a second time, beside the `raft` crate's,
//! because the apply thread must know the outcome of a change before the raft thread does, to store it in the same
//! batch as the change itself. The raft thread compares the two.

use bytes::Bytes;

use crate::change::{Change, ChangeKind, ChangeStep};
use crate::wire::{Fields, Malformed, put_number};

/// Members beyond this number are refused; raft's tables grow with it.
pub(crate) const MEMBERS_MAX: usize = 1000;

/// The members raft counts. Each list is sorted and without duplicates; all are empty before the first change of a new
/// cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Voters, of the new half while joint.
    pub voters: Vec<u64>,
    /// Members that receive the log without voting.
    pub learners: Vec<u64>,
    /// Voters of the old half while joint, otherwise empty.
    pub voters_outgoing: Vec<u64>,
    /// Voters of the old half that become learners when the joint configuration is left.
    pub learners_next: Vec<u64>,
    /// Leave the joint configuration by itself as soon as that is safe.
    pub auto_leave: bool,
}

impl Configuration {
    /// Encoded as etcd's `raftpb.ConfState`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let lists = [
            &self.voters,
            &self.learners,
            &self.voters_outgoing,
            &self.learners_next,
        ];
        for (field, list) in (1..).zip(lists) {
            list.iter().for_each(|id| put_number(&mut out, field, *id));
        }
        put_number(&mut out, 5, u64::from(self.auto_leave));
        out
    }

    /// The reverse of [`encode`](Self::encode); `None` if the bytes are damaged or the configuration is impossible.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Self::read(Bytes::copy_from_slice(bytes)).ok()
    }

    pub(crate) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let mut found = Self::default();
        let mut fields = Fields::new(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => found.voters.push(value.number()?),
                2 => found.learners.push(value.number()?),
                3 => found.voters_outgoing.push(value.number()?),
                4 => found.learners_next.push(value.number()?),
                5 => found.auto_leave = value.flag()?,
                _ => {}
            }
        }
        found.sort();
        found.check()?;
        Ok(found)
    }

    /// Whether two configurations must agree at the moment.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Whether `id` votes, in either half of a joint configuration.
    pub fn is_voter(&self, id: u64) -> bool {
        has(&self.voters, id) || has(&self.voters_outgoing, id)
    }

    /// Whether `id` is a member of any kind.
    pub fn contains(&self, id: u64) -> bool {
        self.is_voter(id) || has(&self.learners, id)
    }

    /// Every member once, in order.
    pub fn members(&self) -> Vec<u64> {
        let mut all = [&self.voters[..], &self.voters_outgoing, &self.learners].concat();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The configuration after `change`, or why raft forbids it.
    pub fn changed(&self, change: &Change) -> Result<Self, Forbidden> {
        let steps = change.effective_steps();
        let mut next = self.clone();
        if change.leaves_joint() {
            if !self.is_joint() {
                return Err(Forbidden("not in a joint configuration"));
            }
            next.learners.append(&mut next.learners_next);
            next.voters_outgoing.clear();
            next.auto_leave = false;
        } else {
            if self.is_joint() {
                return Err(Forbidden("already in a joint configuration"));
            }
            let joint = change.enters_joint();
            if joint.is_some() && self.voters.is_empty() {
                return Err(Forbidden("a joint configuration needs voters"));
            }
            if let Some(auto_leave) = joint {
                next.voters_outgoing = next.voters.clone();
                next.auto_leave = auto_leave;
            }
            steps.iter().for_each(|step| next.take_step(*step));
            if next.voters.is_empty() {
                return Err(Forbidden("no voters would be left"));
            }
        }
        next.sort();
        next.check().map_err(Forbidden)?;
        Ok(next)
    }

    fn take_step(&mut self, ChangeStep { kind, member }: ChangeStep) {
        let known = self.contains(member);
        match kind {
            ChangeKind::Update => {}
            ChangeKind::AddVoter => {
                self.drop_from_new_half(member);
                self.voters.push(member);
            }
            ChangeKind::AddLearner if known && self.learners.contains(&member) => {}
            ChangeKind::AddLearner => {
                self.drop_from_new_half(member);
                // A member cannot vote in the old half and learn: it waits until the old half is gone.
                if self.voters_outgoing.contains(&member) {
                    self.learners_next.push(member);
                } else {
                    self.learners.push(member);
                }
            }
            ChangeKind::Remove => self.drop_from_new_half(member),
        }
        self.sort();
    }

    fn drop_from_new_half(&mut self, member: u64) {
        for list in [&mut self.voters, &mut self.learners, &mut self.learners_next] {
            list.retain(|id| *id != member);
        }
    }

    fn sort(&mut self) {
        for list in [
            &mut self.voters,
            &mut self.learners,
            &mut self.voters_outgoing,
            &mut self.learners_next,
        ] {
            list.sort_unstable();
        }
    }

    /// Everything the `raft` crate asserts about a configuration that comes from outside.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        let lists = [
            &self.voters,
            &self.learners,
            &self.voters_outgoing,
            &self.learners_next,
        ];
        for list in lists {
            if list.len() > MEMBERS_MAX {
                return Err("too many members");
            }
            if list.first() == Some(&0) || list.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err("member id 0 or twice in a configuration");
            }
        }
        let voting = |id: &u64| self.is_voter(*id);
        if self.learners.iter().any(voting) {
            return Err("learner that votes");
        }
        if self
            .learners_next
            .iter()
            .any(|id| !has(&self.voters_outgoing, *id) || has(&self.voters, *id))
        {
            return Err("next learner that is no outgoing voter");
        }
        if !self.is_joint() && (self.auto_leave || !self.learners_next.is_empty()) {
            return Err("half a joint configuration");
        }
        if self.voters.is_empty() && (self.is_joint() || !self.learners.is_empty()) {
            return Err("configuration without voters");
        }
        Ok(())
    }
}

fn has(sorted: &[u64], id: u64) -> bool {
    sorted.binary_search(&id).is_ok()
}

/// Why raft does not allow a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration change: {0}")]
pub struct Forbidden(&'static str);

pub(crate) fn from_raft(state: &raft::eraftpb::ConfState) -> Configuration {
    let mut found = Configuration {
        voters: state.voters.to_vec(),
        learners: state.learners.to_vec(),
        voters_outgoing: state.voters_outgoing.to_vec(),
        learners_next: state.learners_next.to_vec(),
        auto_leave: state.auto_leave,
    };
    found.sort();
    found
}

pub(crate) fn to_raft(configuration: &Configuration) -> raft::eraftpb::ConfState {
    raft::eraftpb::ConfState {
        voters: configuration.voters.clone(),
        learners: configuration.learners.clone(),
        voters_outgoing: configuration.voters_outgoing.clone(),
        learners_next: configuration.learners_next.clone(),
        auto_leave: configuration.auto_leave,
        ..raft::eraftpb::ConfState::default()
    }
}
