//! The judge: sees every entry that is applied and every answer that is given, at the time it happens.
//!
//! The log orders all writes, and answers name the revision they were given at, so strict serializability needs no
//! search: an answer must be what the model says at its revision, the revision must not lie before anything that was
//! known when the call began, and a write must stand in the log, once, if it was acknowledged, and not at all if it was
//! refused.

use super::expiry::Expiry;
use super::keyspace::Expected;
use super::permits::Permits;
use super::{Check, KeySpace};
use crate::call::{Call, Done, User, is_definite};
use crate::store::{Digest, Note};
use crate::time::Nanos;
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::etcdserverpb::response_op::Response;
use model::{Command, Rejection, Request};
use node::Error;
use std::collections::{BTreeMap, BTreeSet};

/// A call that has begun.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// What is called.
    pub call: Call,
    /// On whose behalf.
    pub user: User,
    /// When it began.
    pub began: Nanos,
    /// Newest revision anybody had been told of by then.
    floor: i64,
    /// Newest state of users and roles anybody had been told of by then.
    rights: usize,
}

/// An applied entry, as far as members are compared.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    term: u64,
    kind: u8,
    data: Bytes,
}

/// The judge. Every check fails with the first thing that is wrong.
#[derive(Debug, Default)]
pub struct Judge {
    /// The model.
    pub space: KeySpace,
    /// Leases.
    pub expiry: Expiry,
    /// Permissions and alarms.
    pub permits: Permits,
    log: BTreeMap<u64, Entry>,
    applied: u64,
    digests: BTreeMap<u64, (Digest, u64)>,
    /// Newest revision anybody was told of.
    known: i64,
    /// Values that the log has written, and how often.
    values: BTreeMap<Bytes, u64>,
    /// Values of writes that were refused.
    refused: BTreeSet<Bytes>,
    /// Calls answered, refused, and left without an answer that says anything.
    pub answered: u64,
    /// Refused for good.
    pub denied: u64,
    /// Outcome unknown.
    pub unknown: u64,
}

impl Judge {
    /// Entries applied anywhere.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// A member is about to apply an entry.
    pub fn entry(&mut self, member: u64, entry: &wal::Entry, now: Nanos) -> Check {
        let mine = Entry {
            term: entry.term,
            kind: entry.kind,
            data: entry.data.clone(),
        };
        if let Some(first) = self.log.get(&entry.index) {
            return match *first == mine {
                true => Ok(()),
                false => Err(format!(
                    "member {member:x} applies another entry at {} than others: {mine:?} instead of {first:?}",
                    entry.index
                )),
            };
        }
        if entry.index != self.applied + 1 {
            return Err(format!(
                "member {member:x} applies entry {}, but nobody has applied {}",
                entry.index,
                self.applied + 1
            ));
        }
        self.applied = entry.index;
        self.log.insert(entry.index, mine);
        if entry.kind != 0 || entry.data.is_empty() {
            return Ok(());
        }
        let command = Command::decode(entry.data.clone()).map_err(|error| error.to_string())?;
        self.command(&command, now)
    }

    fn command(&mut self, command: &Command, now: Nanos) -> Check {
        if let Request::Alarm(alarm) = &command.request
            && alarm.alarm == pb::AlarmType::Corrupt as i32
        {
            return Err(format!(
                "the keys of m{:x} are said to be corrupt",
                alarm.member_id
            ));
        }
        let before = self.space.revision;
        let values = values(&command.request);
        if !self.permits.enter(command, &values, &self.space, now) {
            return Ok(());
        }
        let outcome = self.space.apply(&command.request);
        if let (Request::LeaseRevoke(revoke), Ok(_)) = (&command.request, &outcome) {
            self.expiry.ended(revoke.id, now)?;
        }
        if self.space.revision == before {
            return Ok(());
        }
        for value in values {
            // Only values that stand in a version written now were written.
            let written = self.space.events[&self.space.revision]
                .iter()
                .any(|event| !event.delete && contains(&event.kv, &value));
            if !written {
                continue;
            }
            let times = self.values.entry(value.clone()).or_default();
            *times += 1;
            if *times > 1 {
                return Err(format!("{value:?} was written {times} times"));
            }
            if self.refused.contains(&value) {
                return Err(format!("{value:?} was refused and is written now"));
            }
        }
        Ok(())
    }

    /// A member has come to a state.
    pub fn note(&mut self, member: u64, (index, digest): Note) -> Check {
        match self.digests.get(&index) {
            Some((first, other)) if *first != digest => Err(format!(
                "members {member:x} and {other:x} differ after entry {index}: {digest:x?} and {first:x?}"
            )),
            Some(_) => Ok(()),
            None => {
                self.digests.insert(index, (digest, member));
                Ok(())
            }
        }
    }

    /// The state after an entry.
    pub fn digest(&self, index: u64) -> Option<Digest> {
        self.digests.get(&index).map(|(digest, _)| *digest)
    }

    /// Somebody was told of a revision.
    pub fn seen(&mut self, revision: i64) {
        self.known = self.known.max(revision);
    }

    /// A call begins.
    pub fn begin(&mut self, call: Call, user: User, now: Nanos) -> Ticket {
        if let Call::Revoke(id) = &call {
            self.expiry.revoking(id.0);
        }
        Ticket {
            call,
            user,
            began: now,
            floor: self.known,
            rights: self.permits.known(),
        }
    }

    /// A call got no answer in time.
    pub fn gave_up(&mut self) {
        self.unknown += 1;
    }

    /// A call is answered.
    pub fn end(&mut self, ticket: &Ticket, answer: &node::Result<Done>, now: Nanos) -> Check {
        let outcome = match answer {
            Ok(done) => {
                self.answered += 1;
                self.done(ticket, done, now)
            }
            Err(error) if is_definite(error) => {
                self.denied += 1;
                self.denied(ticket, error)
            }
            Err(_) => {
                self.unknown += 1;
                Ok(())
            }
        };
        outcome.map_err(|violation| format!("{violation}\n  call: {ticket:?}\n  answer: {answer:?}"))
    }

    fn done(&mut self, ticket: &Ticket, done: &Done, now: Nanos) -> Check {
        match (&ticket.call, done) {
            (Call::Range(request), Done::Range(response)) => self.range(ticket, request, response),
            (Call::Put(request), Done::Put(response)) => {
                let revision = revision(&response.header);
                let reply = Expected::Put(pb::PutResponse {
                    header: None,
                    ..response.clone()
                });
                self.written(ticket, revision, &Request::Put(request.clone()), &reply)
            }
            (Call::Delete(request), Done::Delete(response)) => {
                let revision = revision(&response.header);
                let reply = pb::DeleteRangeResponse {
                    header: None,
                    ..response.clone()
                };
                if response.deleted == 0 {
                    self.permitted(ticket, &Request::DeleteRange(request.clone()), revision, false)?;
                    let txn = pb::TxnRequest {
                        success: vec![pb::RequestOp {
                            request: Some(Op::RequestDeleteRange(request.clone())),
                        }],
                        ..Default::default()
                    };
                    return match self.space.read_txn(&txn, revision) {
                        Some(_) => self.at_least(ticket, revision),
                        None => Err(format!("there were keys to delete at {revision}")),
                    };
                }
                let request = Request::DeleteRange(request.clone());
                self.written(ticket, revision, &request, &Expected::Delete(reply))
            }
            (Call::Txn(request), Done::Txn(response)) => self.txn(ticket, request, response),
            (Call::Compact(request), Done::Compact(revision)) => {
                if request.revision > self.space.compacted {
                    return Err("compacted, but the log does not say so".to_owned());
                }
                self.at_least(ticket, *revision)
            }
            (Call::Grant(_), Done::Grant(id, ttl)) => self.expiry.granted(*id, *ttl, ticket.began),
            (Call::Revoke(id), Done::Revoke(revision)) => {
                if self.space.leases.contains_key(&id.0) {
                    return Err("revoked, but the lease exists".to_owned());
                }
                self.expiry.end_known(id.0, now);
                self.at_least(ticket, *revision)
            }
            (Call::KeepAlive(id), Done::KeepAlive(0)) => {
                self.expiry.not_found(id.0)?;
                self.expiry.end_known(id.0, now);
                Ok(())
            }
            (Call::KeepAlive(id), Done::KeepAlive(_)) => self.expiry.renewed(id.0, ticket.began),
            (Call::Manage(request), Done::Ok) => {
                self.permits
                    .managed(&ticket.user.name, request, Ok(()), ticket.began)
            }
            _ => Ok(()),
        }
    }

    /// Whether what was answered at a revision was permitted to the caller; `old` for answers that may be old.
    fn permitted(&self, ticket: &Ticket, request: &Request, revision: i64, old: bool) -> Check {
        let since = if old { 0 } else { ticket.rights };
        self.permits
            .permitted(&ticket.user, request, revision, since, &self.space)
    }

    fn range(&mut self, ticket: &Ticket, request: &pb::RangeRequest, response: &pb::RangeResponse) -> Check {
        let revision = revision(&response.header);
        if revision > self.space.revision {
            return Err(format!("revision {revision} is from the future"));
        }
        let expected = self.space.range(request, revision);
        let found = pb::RangeResponse {
            header: None,
            ..response.clone()
        };
        if found != expected {
            return Err(format!("at revision {revision} the answer is {expected:?}"));
        }
        self.permitted(
            ticket,
            &Request::Range(request.clone()),
            revision,
            request.serializable,
        )?;
        match request.serializable {
            // It may be old, but what it saw is committed, and known from now on.
            true => {
                self.known = self.known.max(revision);
                Ok(())
            }
            false => self.at_least(ticket, revision),
        }
    }

    fn txn(&mut self, ticket: &Ticket, request: &pb::TxnRequest, response: &pb::TxnResponse) -> Check {
        let revision = revision(&response.header);
        let found = bare(response);
        let command = Request::Txn(request.clone());
        let written = self.space.written.get(&revision);
        if written.is_some_and(|written| written.request == command) {
            return self.written(ticket, revision, &command, &Expected::Txn(found));
        }
        self.permitted(ticket, &command, revision, is_empty(request))?;
        match self.space.read_txn(request, revision) {
            // A transaction without operations counts as serializable, as in etcd: it may be old.
            Some(expected) if expected == found && response.responses.is_empty() && is_empty(request) => {
                self.known = self.known.max(revision);
                Ok(())
            }
            Some(expected) if expected == found => self.at_least(ticket, revision),
            Some(expected) => Err(format!("at revision {revision} the answer is {expected:?}")),
            None => Err(format!("at revision {revision} it would have changed something")),
        }
    }

    fn written(&mut self, ticket: &Ticket, revision: i64, request: &Request, reply: &Expected) -> Check {
        let Some(written) = self.space.written.get_mut(&revision) else {
            return Err(format!(
                "acknowledged at revision {revision}, which does not exist"
            ));
        };
        if written.request != *request {
            return Err(format!(
                "acknowledged at revision {revision}, which came from {:?}",
                written.request
            ));
        }
        if std::mem::replace(&mut written.claimed, true) {
            return Err(format!("revision {revision} was acknowledged before"));
        }
        if written.reply.as_ref() != Some(reply) {
            return Err(format!("the right answer is {:?}", written.reply));
        }
        if revision <= ticket.floor {
            return Err(format!(
                "written at revision {revision}, but {} was known before the call",
                ticket.floor
            ));
        }
        self.known = self.known.max(revision);
        Ok(())
    }

    fn at_least(&mut self, ticket: &Ticket, revision: i64) -> Check {
        if revision > self.space.revision {
            return Err(format!("revision {revision} is from the future"));
        }
        if revision < ticket.floor {
            return Err(format!(
                "stale: read at revision {revision}, but {} was known before the call",
                ticket.floor
            ));
        }
        self.known = self.known.max(revision);
        Ok(())
    }

    fn denied(&mut self, ticket: &Ticket, error: &Error) -> Check {
        let rejection = match error {
            Error::Rejected(rejection) => *rejection,
            _ => return Ok(()),
        };
        if let Call::Range(request) = &ticket.call {
            match rejection {
                Rejection::Compacted if request.revision >= self.space.compacted => {
                    return Err(format!("not compacted: {} is", self.space.compacted));
                }
                Rejection::FutureRevision if !request.serializable && request.revision <= ticket.floor => {
                    return Err(format!("not in the future: {} was known", ticket.floor));
                }
                _ => {}
            }
        }
        if let (Call::Revoke(id), Rejection::LeaseNotFound) = (&ticket.call, rejection)
            && self.space.leases.contains_key(&id.0)
        {
            return Err("the lease exists".to_owned());
        }
        let values = call_values(&ticket.call);
        let (request, old) = match &ticket.call {
            Call::Range(range) => (Some(Request::Range(range.clone())), range.serializable),
            Call::Put(put) => (Some(Request::Put(put.clone())), false),
            Call::Delete(delete) => (Some(Request::DeleteRange(delete.clone())), false),
            Call::Txn(txn) => (Some(Request::Txn(txn.clone())), is_old(txn)),
            Call::Manage(request) => {
                return self
                    .permits
                    .managed(&ticket.user.name, request, Err(rejection), ticket.began);
            }
            _ => (None, false),
        };
        if let Some(request) = request {
            let since = if old { 0 } else { ticket.rights };
            self.permits
                .denied(&ticket.user, &request, &values, rejection, since, &self.space)?;
        }
        for value in values {
            if self.values.contains_key(&value) {
                return Err(format!("{value:?} was refused, but is written"));
            }
            self.refused.insert(value);
        }
        Ok(())
    }
}

fn revision(header: &Option<pb::ResponseHeader>) -> i64 {
    header.as_ref().map_or(0, |header| header.revision)
}

fn is_empty(txn: &pb::TxnRequest) -> bool {
    txn.success.is_empty() && txn.failure.is_empty()
}

/// Whether a transaction may be answered from the past: it does nothing but serializable reads.
fn is_old(txn: &pb::TxnRequest) -> bool {
    let mut ops = txn.success.iter().chain(&txn.failure);
    ops.all(|op| matches!(&op.request, Some(Op::RequestRange(range)) if range.serializable))
}

/// A transaction's answer without headers.
fn bare(response: &pb::TxnResponse) -> pb::TxnResponse {
    let mut response = response.clone();
    response.header = None;
    for op in &mut response.responses {
        match &mut op.response {
            Some(Response::ResponseRange(range)) => range.header = None,
            Some(Response::ResponsePut(put)) => put.header = None,
            Some(Response::ResponseDeleteRange(delete)) => delete.header = None,
            Some(Response::ResponseTxn(nested)) => *nested = bare(nested),
            None => {}
        }
    }
    response
}

fn contains(kv: &Bytes, value: &Bytes) -> bool {
    mvcc::Kv::decode(kv.clone()).is_ok_and(|kv| kv.value == *value)
}

/// Values that a request may write; clients never use one twice.
fn values(request: &Request) -> Vec<Bytes> {
    match request {
        Request::Put(put) => vec![put.value.clone()],
        Request::Txn(txn) => txn_values(txn),
        _ => Vec::new(),
    }
}

fn call_values(call: &Call) -> Vec<Bytes> {
    match call {
        Call::Put(put) => vec![put.value.clone()],
        Call::Txn(txn) => txn_values(txn),
        _ => Vec::new(),
    }
}

fn txn_values(txn: &pb::TxnRequest) -> Vec<Bytes> {
    let ops = txn.success.iter().chain(&txn.failure);
    let of = |op: &pb::RequestOp| match &op.request {
        Some(Op::RequestPut(put)) => vec![put.value.clone()],
        Some(Op::RequestTxn(nested)) => txn_values(nested),
        _ => Vec::new(),
    };
    ops.flat_map(of).collect()
}
