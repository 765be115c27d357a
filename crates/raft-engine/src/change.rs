//! Changes of the configuration, as they stand in the log.

use bytes::Bytes;

use crate::configuration::MEMBERS_MAX;
use crate::wire::{Fields, Malformed, put_bytes, put_number};

/// Kind of an entry with a single change, in the log and in raft.
pub(crate) const CONF_CHANGE: u8 = 1;

/// Kind of an entry with a change of several steps.
pub(crate) const CONF_CHANGE_V2: u8 = 2;

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
            return (CONF_CHANGE, out);
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
        (CONF_CHANGE_V2, out)
    }

    /// Reads the data of an entry of `kind` back.
    pub fn decode(kind: u8, data: Bytes) -> Result<Self, &'static str> {
        let mut change = Self::default();
        let mut fields = Fields::new(data);
        if kind == CONF_CHANGE {
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
    pub(crate) fn enters_joint(&self) -> Option<bool> {
        (self.transition != Transition::Auto || self.steps.len() > 1)
            .then_some(self.transition != Transition::Explicit)
    }

    /// The steps raft sees: without updates, and without member 0, etcd's mark of a refused change.
    pub(crate) fn effective_steps(&self) -> Vec<ChangeStep> {
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
