//! Who was allowed what, when: answers and refusals held against the users and roles of their time.
//!
//! The log says for every write whether it was permitted. A read names the revision that it saw, and the member judges
//! it by the users and roles of that moment; one that is refused names nothing, and has to be refused by some state
//! between what was known when the call began and now.

use super::rights::{self, Alarms, Rights, Who};
use super::{Check, KeySpace};
use crate::call::User;
use crate::time::{Nanos, show};
use bytes::Bytes;
use model::{Command, Rejection, Request};
use std::collections::{BTreeMap, BTreeSet};

/// Users, roles and alarms over time.
#[derive(Debug)]
pub struct Permits {
    states: Vec<State>,
    alarms: Alarms,
    /// Newest state that somebody was told of.
    known: usize,
    /// Changes of users, roles and alarms that were in the log.
    changes: Vec<Change>,
    /// Values that were not written, and why.
    refused: BTreeMap<Bytes, Rejection>,
    /// Commands of the log that permissions or alarms refused.
    pub forbidden: u64,
}

/// Users and roles from an entry of the log on.
#[derive(Debug)]
struct State {
    rights: Rights,
    /// Revision of the keys at that entry.
    from: i64,
}

#[derive(Debug)]
struct Change {
    at: Nanos,
    user: String,
    request: Request,
    outcome: Result<(), Rejection>,
    /// State after it.
    state: usize,
    /// The caller has been told of it.
    claimed: bool,
}

impl Default for Permits {
    fn default() -> Permits {
        let first = State {
            rights: Rights::default(),
            from: 0,
        };
        Permits {
            states: vec![first],
            alarms: BTreeSet::new(),
            known: 0,
            changes: Vec::new(),
            refused: BTreeMap::new(),
            forbidden: 0,
        }
    }
}

impl Permits {
    /// Users and roles after everything in the log.
    pub fn current(&self) -> &Rights {
        &self.states[self.states.len() - 1].rights
    }

    /// Members that lack space, as alarms have it.
    pub fn lacking(&self) -> impl Iterator<Item = u64> {
        self.alarms.iter().map(|(_, member)| *member)
    }

    /// The newest state that somebody was told of.
    pub fn known(&self) -> usize {
        self.known
    }

    /// A command of the log: whether it is carried out. Those about users, roles and alarms are, here.
    pub fn enter(&mut self, command: &Command, values: &[Bytes], space: &KeySpace, now: Nanos) -> bool {
        let who = Who {
            name: &command.username,
            revision: command.auth_revision,
        };
        let request = &command.request;
        let mut outcome = match rights::needs_space(request) && !self.alarms.is_empty() {
            true => Err(Rejection::NoSpace),
            false => self.current().judge(who, request, &space.leases),
        };
        let alarm = match request {
            Request::Alarm(alarm) => Some(alarm),
            _ => None,
        };
        if alarm.is_some() || request.changes_permissions() {
            if outcome.is_ok() {
                outcome = self.change(request, space.revision);
            }
            if let Some(alarm) = alarm {
                rights::alarm(&mut self.alarms, alarm);
            }
            self.changes.push(Change {
                at: now,
                user: command.username.clone(),
                request: request.clone(),
                outcome,
                state: self.states.len() - 1,
                claimed: false,
            });
            return false;
        }
        if let Err(rejection) = outcome {
            self.forbidden += 1;
            let values = values.iter().map(|value| (value.clone(), rejection));
            self.refused.extend(values);
        }
        outcome.is_ok()
    }

    fn change(&mut self, request: &Request, revision: i64) -> Result<(), Rejection> {
        let mut next = self.current().clone();
        next.change(request)?;
        if next != *self.current() {
            self.states.push(State {
                rights: next,
                from: revision,
            });
        }
        Ok(())
    }

    /// A request about users, roles or alarms was answered: the log must say the same.
    pub fn managed(
        &mut self,
        user: &str,
        request: &Request,
        outcome: Result<(), Rejection>,
        began: Nanos,
    ) -> Check {
        let same = |change: &&mut Change| {
            !change.claimed
                && change.at >= began
                && change.user == user
                && change.request == *request
                && change.outcome == outcome
        };
        // The oldest: a later one may belong to a call that began later and is answered later.
        match self.changes.iter_mut().find(same) {
            Some(change) => {
                change.claimed = true;
                self.known = self.known.max(change.state);
                Ok(())
            }
            // Refused before it came into the log.
            None if matches!(
                outcome,
                Err(Rejection::NotSupportedForLearner | Rejection::TooManyRequests)
            ) =>
            {
                Ok(())
            }
            None => Err(format!(
                "answered {outcome:?}, but not so in the log since {}",
                show(began)
            )),
        }
    }

    /// Something that does not write was answered at a revision: it must have been permitted there.
    pub fn permitted(
        &self,
        user: &User,
        request: &Request,
        revision: i64,
        since: usize,
        space: &KeySpace,
    ) -> Check {
        let ends = |at: usize| self.states.get(at + 1).map_or(i64::MAX, |next| next.from);
        let mut then = (since..self.states.len())
            .filter(|at| self.states[*at].from <= revision && revision <= ends(*at))
            .map(|at| &self.states[at].rights);
        match then.any(|rights| judge(rights, user, request, space).is_ok()) {
            true => Ok(()),
            false => Err(format!(
                "{user:?} was not permitted this at revision {revision}; now {:?}",
                self.current()
            )),
        }
    }

    /// Something was refused for want of a permission, or of space. `values` are those that it would have written.
    pub fn denied(
        &self,
        user: &User,
        request: &Request,
        values: &[Bytes],
        rejection: Rejection,
        since: usize,
        space: &KeySpace,
    ) -> Check {
        if !matches!(
            rejection,
            Rejection::PermissionDenied
                | Rejection::UserEmpty
                | Rejection::AuthOldRevision
                | Rejection::NoSpace
        ) {
            return Ok(());
        }
        let right = match values {
            [] if rejection == Rejection::NoSpace => true,
            // The member looked at another moment than it judged: some change came in between, or had not come yet.
            [] if rejection == Rejection::AuthOldRevision && user.revision == 0 => self.states.len() > 1,
            // A token from before the last change, or one that a member has not heard of yet.
            [] if rejection == Rejection::AuthOldRevision => {
                let mut states = self.states[since..].iter();
                states.any(|state| state.rights.revision != user.revision)
            }
            [] => {
                let mut states = self.states[since..].iter();
                states.any(|state| judge(&state.rights, user, request, space) == Err(rejection))
            }
            values => values
                .iter()
                .all(|value| self.refused.get(value) == Some(&rejection)),
        };
        match right {
            true => Ok(()),
            false => Err(format!(
                "{user:?} was refused with {rejection:?}, wrongly; now {:?}, {:?}",
                self.current(),
                self.alarms
            )),
        }
    }
}

/// A caller without a revision of his own comes with that of the moment.
fn judge(rights: &Rights, user: &User, request: &Request, space: &KeySpace) -> Result<(), Rejection> {
    let revision = match user.revision {
        0 => rights.revision,
        own => own,
    };
    let who = Who {
        name: &user.name,
        revision,
    };
    rights.judge(who, request, &space.leases)
}
