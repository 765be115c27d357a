//! Who votes and who learns, and how that changes.
//!
//! The rules are raft's (dissertation, chapter 4). They are written down here a second time, beside the `raft` crate's,
//! because the apply thread must know the outcome of a change before the raft thread does, to store it in the same
//! batch as the change itself. The raft thread compares the two.

use bytes::Bytes;

use crate::wire::{Fields, Malformed, put_bytes, put_number};

/// Members beyond this number are refused; raft's tables grow with it.
const MEMBERS_MAX: usize = 1000;

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

/// What a step of a change does to its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Make it a voter (a new member, or a learner that is promoted).
    AddVoter,
    /// Make it a learner.
    AddLearner,
    /// Take it out.
    Remove,
    /// Nothing for raft; the context says what is new about the member.
    Update,
}

/// One step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeStep {
    /// What happens.
    pub kind: ChangeKind,
    /// To whom.
    pub member: u64,
}

/// How a change of several steps is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transition {
    /// In one step where one suffices, otherwise joint and left automatically.
    #[default]
    Auto,
    /// Joint, left automatically.
    Implicit,
    /// Joint until a change without steps is proposed.
    Explicit,
}

/// A configuration change as proposed. Without steps it leaves a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Identifies the request; carried as `ConfChange.ID` by single changes (0 for changes of several steps).
    pub id: u64,
    /// One step with `Auto` is encoded as etcd's `ConfChange`, everything else as its `ConfChangeV2`.
    pub steps: Vec<ChangeStep>,
    /// `Auto` unless a joint configuration is wanted where it is not needed.
    pub transition: Transition,
    /// Opaque to the engine, for example the member's URLs.
    pub context: Bytes,
}

impl Change {
    /// A change of one member.
    pub fn single(id: u64, kind: ChangeKind, member: u64, context: Bytes) -> Self {
        Self {
            id,
            steps: vec![ChangeStep { kind, member }],
            transition: Transition::Auto,
            context,
        }
    }

    /// The entry's kind (raft's number) and data.
    pub(crate) fn encode(&self) -> (u8, Vec<u8>) {
        let mut out = Vec::with_capacity(self.context.len() + 32);
        if let ([step], Transition::Auto) = (&self.steps[..], self.transition) {
            put_number(&mut out, 1, self.id);
            put_number(&mut out, 2, number_of(step.kind));
            put_number(&mut out, 3, step.member);
            put_bytes(&mut out, 4, &self.context);
            return (crate::CONF_CHANGE, out);
        }
        if self.transition != Transition::Auto {
            put_number(&mut out, 1, self.transition as u64);
        }
        for step in &self.steps {
            let mut single = Vec::new();
            put_number(&mut single, 1, number_of(step.kind));
            put_number(&mut single, 2, step.member);
            put_bytes(&mut out, 2, &single);
        }
        if !self.context.is_empty() {
            put_bytes(&mut out, 3, &self.context);
        }
        (crate::CONF_CHANGE_V2, out)
    }

    /// Reads the data of an entry of `kind` back.
    pub fn decode(kind: u8, data: Bytes) -> Result<Self, &'static str> {
        let mut change = Self::default();
        let mut fields = Fields::new(data);
        if kind == crate::CONF_CHANGE {
            let mut step = ChangeStep {
                kind: ChangeKind::AddVoter,
                member: 0,
            };
            while let Some((field, value)) = fields.next()? {
                match field {
                    1 => change.id = value.number()?,
                    2 => step.kind = kind_of(value.number()?)?,
                    3 => step.member = value.number()?,
                    4 => change.context = value.bytes()?,
                    _ => {}
                }
            }
            change.steps.push(step);
            return Ok(change);
        }
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => change.transition = transition_of(value.number()?)?,
                2 => change.steps.push(read_step(value.bytes()?)?),
                3 => change.context = value.bytes()?,
                _ => {}
            }
            if change.steps.len() > MEMBERS_MAX {
                return Err("too many steps in a configuration change");
            }
        }
        Ok(change)
    }

    pub(crate) fn leaves_joint(&self) -> bool {
        self.steps.is_empty() && self.transition == Transition::Auto
    }

    /// `Some(auto_leave)` if the change goes through a joint configuration.
    fn enters_joint(&self) -> Option<bool> {
        (self.transition != Transition::Auto || self.steps.len() > 1)
            .then_some(self.transition != Transition::Explicit)
    }

    /// The steps raft sees: without updates, and without member 0, etcd's mark of a refused change.
    fn effective_steps(&self) -> Vec<ChangeStep> {
        let counts = |step: &&ChangeStep| step.kind != ChangeKind::Update && step.member != 0;
        self.steps.iter().filter(counts).copied().collect()
    }

    /// As the `raft` crate wants it; `None` if there is nothing in it for raft.
    pub(crate) fn to_raft(&self) -> Option<raft::eraftpb::ConfChangeV2> {
        use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};
        let steps = self.effective_steps();
        if steps.is_empty() && !self.leaves_joint() && self.enters_joint().is_none() {
            return None;
        }
        let mut out = ConfChangeV2::default();
        out.set_transition(match (self.transition, self.enters_joint()) {
            // Dropping steps above must not turn a joint change into a simple one.
            (Transition::Auto, Some(_)) | (Transition::Implicit, _) => ConfChangeTransition::Implicit,
            (Transition::Explicit, _) => ConfChangeTransition::Explicit,
            (Transition::Auto, None) => ConfChangeTransition::Auto,
        });
        for step in steps {
            let mut single = ConfChangeSingle {
                node_id: step.member,
                ..ConfChangeSingle::default()
            };
            single.set_change_type(match step.kind {
                ChangeKind::AddVoter => ConfChangeType::AddNode,
                ChangeKind::AddLearner => ConfChangeType::AddLearnerNode,
                ChangeKind::Remove | ChangeKind::Update => ConfChangeType::RemoveNode,
            });
            out.mut_changes().push(single);
        }
        Some(out)
    }
}

// etcd's numbers, which the log keeps. The `raft` crate's own differ (it has no update).
fn number_of(kind: ChangeKind) -> u64 {
    match kind {
        ChangeKind::AddVoter => 0,
        ChangeKind::Remove => 1,
        ChangeKind::Update => 2,
        ChangeKind::AddLearner => 3,
    }
}

fn kind_of(number: u64) -> Result<ChangeKind, Malformed> {
    Ok(match number {
        0 => ChangeKind::AddVoter,
        1 => ChangeKind::Remove,
        2 => ChangeKind::Update,
        3 => ChangeKind::AddLearner,
        _ => return Err("unknown kind of configuration change"),
    })
}

fn transition_of(number: u64) -> Result<Transition, Malformed> {
    Ok(match number {
        0 => Transition::Auto,
        1 => Transition::Implicit,
        2 => Transition::Explicit,
        _ => return Err("unknown transition of a configuration change"),
    })
}

fn read_step(bytes: Bytes) -> Result<ChangeStep, Malformed> {
    let mut step = ChangeStep {
        kind: ChangeKind::AddVoter,
        member: 0,
    };
    let mut fields = Fields::new(bytes);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => step.kind = kind_of(value.number()?)?,
            2 => step.member = value.number()?,
            _ => {}
        }
    }
    Ok(step)
}

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
