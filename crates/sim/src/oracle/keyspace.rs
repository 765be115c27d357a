//! The key space as a model: every version ever written, by key. Nothing is taken from the product but its messages.

use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::etcdserverpb::response_op::Response;
use model::{KeyRange, Rejection, Request};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// One version of a key, or its end.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Version {
    create: i64,
    modified: i64,
    version: i64,
    value: Bytes,
    lease: i64,
    deleted: bool,
}

/// A change as a watcher sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Key.
    pub key: Bytes,
    /// Whether the key was deleted.
    pub delete: bool,
    /// Encoded key-value after it; of a delete key and revision only.
    pub kv: Bytes,
    /// Encoded key-value before the revision; empty for none.
    pub prev_kv: Bytes,
}

/// What a revision came from.
#[derive(Debug)]
pub struct Written {
    /// The request.
    pub request: Request,
    /// What it is to be answered, without headers; `None` where nobody asks (expiry).
    pub reply: Option<Expected>,
    /// A client has been told of it.
    pub claimed: bool,
}

/// An answer without headers.
#[derive(Clone, PartialEq, Debug)]
pub enum Expected {
    /// Of a put.
    Put(pb::PutResponse),
    /// Of a delete.
    Delete(pb::DeleteRangeResponse),
    /// Of a transaction.
    Txn(pb::TxnResponse),
}

/// A lease and its keys.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    pub(super) keys: BTreeSet<Bytes>,
}

/// The model.
#[derive(Debug)]
pub struct KeySpace {
    keys: BTreeMap<Bytes, Vec<Version>>,
    /// Newest revision.
    pub revision: i64,
    /// Oldest readable revision.
    pub compacted: i64,
    /// Changes by revision.
    pub events: BTreeMap<i64, Vec<Event>>,
    /// What each revision came from.
    pub written: BTreeMap<i64, Written>,
    /// Leases that exist.
    pub leases: BTreeMap<i64, Lease>,
}

impl Default for KeySpace {
    fn default() -> KeySpace {
        KeySpace {
            keys: BTreeMap::new(),
            revision: 1,
            compacted: -1,
            events: BTreeMap::new(),
            written: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }
}

impl KeySpace {
    /// Carries out a command of the log. An error is a refusal without effect.
    pub fn apply(&mut self, request: &Request) -> Result<Option<Expected>, Rejection> {
        let before = self.revision;
        let mut changes = Vec::new();
        let reply = match request {
            Request::Put(put) => {
                self.check_put(put)?;
                Some(Expected::Put(self.put(put, &mut changes)))
            }
            Request::DeleteRange(delete) => Some(Expected::Delete(self.delete(delete, &mut changes))),
            Request::Txn(txn) => {
                let mut taken = Vec::new();
                self.plan(txn, before, &mut taken);
                self.check_txn(txn, &mut taken.iter())?;
                Some(Expected::Txn(self.txn(txn, &mut taken.iter(), &mut changes)))
            }
            Request::LeaseGrant(grant) => {
                if self.leases.contains_key(&grant.id) {
                    return Err(Rejection::LeaseExists);
                }
                self.leases.insert(grant.id, Lease::default());
                None
            }
            Request::LeaseRevoke(revoke) => {
                let lease = self.leases.remove(&revoke.id).ok_or(Rejection::LeaseNotFound)?;
                for key in lease.keys {
                    self.remove(&key, &mut changes);
                }
                None
            }
            Request::Compaction(compaction) => {
                if compaction.revision <= self.compacted {
                    return Err(Rejection::Compacted);
                }
                if compaction.revision > self.revision {
                    return Err(Rejection::FutureRevision);
                }
                self.compacted = compaction.revision;
                None
            }
            _ => None,
        };
        if !changes.is_empty() {
            self.revision += 1;
            self.events.insert(self.revision, changes);
            let written = Written {
                request: request.clone(),
                reply: reply.clone(),
                claimed: false,
            };
            self.written.insert(self.revision, written);
        }
        Ok(reply)
    }

    /// What a transaction that changes nothing answers at a revision; `None` if it would change something.
    pub fn read_txn(&self, txn: &pb::TxnRequest, revision: i64) -> Option<pb::TxnResponse> {
        let mut taken = Vec::new();
        self.plan(txn, revision, &mut taken);
        self.read_branch(txn, revision, &mut taken.iter())
    }

    fn read_branch<'a>(
        &self,
        txn: &pb::TxnRequest,
        revision: i64,
        taken: &mut impl Iterator<Item = &'a bool>,
    ) -> Option<pb::TxnResponse> {
        let succeeded = *taken.next()?;
        let mut responses = Vec::new();
        for op in branch(txn, succeeded) {
            responses.push(response(match op.request.as_ref()? {
                Op::RequestRange(range) => Response::ResponseRange(self.range(range, revision)),
                Op::RequestTxn(nested) => Response::ResponseTxn(self.read_branch(nested, revision, taken)?),
                Op::RequestDeleteRange(delete) => {
                    let range = KeyRange::new(delete.key.clone(), delete.range_end.clone());
                    if !self.living(&range, revision).is_empty() {
                        return None;
                    }
                    Response::ResponseDeleteRange(pb::DeleteRangeResponse::default())
                }
                Op::RequestPut(_) => return None,
            }));
        }
        Some(pb::TxnResponse {
            header: None,
            succeeded,
            responses,
        })
    }

    /// What a range answers at a revision.
    pub fn range(&self, request: &pb::RangeRequest, revision: i64) -> pb::RangeResponse {
        let revision = match request.revision {
            0 => revision,
            asked => asked,
        };
        let range = KeyRange::new(request.key.clone(), request.range_end.clone());
        let living = self.living(&range, revision);
        let count = living.len();
        let limit = match request.limit {
            0 => usize::MAX,
            limit => limit as usize,
        };
        if request.count_only {
            return pb::RangeResponse {
                count: count as i64,
                ..Default::default()
            };
        }
        let kvs = living
            .iter()
            .take(limit)
            .map(|(key, version)| match request.keys_only {
                true => version.encode_key(key),
                false => version.encode(key),
            });
        pb::RangeResponse {
            header: None,
            kvs: kvs.collect(),
            more: count > limit,
            count: count as i64,
        }
    }

    /// Changes of a range of keys from one revision to another, both included.
    pub fn changes(&self, range: &KeyRange, from: i64, to: i64) -> Vec<(i64, &Event)> {
        if from > to {
            return Vec::new();
        }
        let revisions = self.events.range(from..=to);
        let all = revisions.flat_map(|(revision, events)| events.iter().map(|event| (*revision, event)));
        all.filter(|(_, event)| range.contains(&event.key)).collect()
    }

    fn living(&self, range: &KeyRange, revision: i64) -> Vec<(&Bytes, &Version)> {
        self.keys
            .keys()
            .filter(|key| range.contains(key))
            .filter_map(|key| Some((key, self.at(key, revision)?)))
            .collect()
    }

    fn at(&self, key: &[u8], revision: i64) -> Option<&Version> {
        let versions = self.keys.get(key)?;
        let end = versions.partition_point(|version| version.modified <= revision);
        versions[..end].last().filter(|version| !version.deleted)
    }

    fn newest(&self, key: &[u8]) -> Option<&Version> {
        self.at(key, i64::MAX)
    }

    fn check_put(&self, put: &pb::PutRequest) -> Result<(), Rejection> {
        match put.lease == 0 || self.leases.contains_key(&put.lease) {
            true => Ok(()),
            false => Err(Rejection::LeaseNotFound),
        }
    }

    fn check_txn<'a>(
        &self,
        txn: &pb::TxnRequest,
        taken: &mut impl Iterator<Item = &'a bool>,
    ) -> Result<(), Rejection> {
        let succeeded = *taken.next().unwrap_or(&false);
        for op in branch(txn, succeeded) {
            match &op.request {
                Some(Op::RequestPut(put)) => self.check_put(put)?,
                Some(Op::RequestRange(range)) if range.revision > self.revision => {
                    return Err(Rejection::FutureRevision);
                }
                Some(Op::RequestRange(range)) if range.revision != 0 && range.revision < self.compacted => {
                    return Err(Rejection::Compacted);
                }
                Some(Op::RequestTxn(nested)) => self.check_txn(nested, taken)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn put(&mut self, put: &pb::PutRequest, changes: &mut Vec<Event>) -> pb::PutResponse {
        let modified = self.revision + 1;
        let old = self.newest(&put.key).cloned();
        if let Some(old) = &old
            && let Some(lease) = self.leases.get_mut(&old.lease)
        {
            lease.keys.remove(&put.key);
        }
        if let Some(lease) = self.leases.get_mut(&put.lease) {
            lease.keys.insert(put.key.clone());
        }
        let version = Version {
            create: old.as_ref().map_or(modified, |old| old.create),
            modified,
            version: old.as_ref().map_or(0, |old| old.version) + 1,
            value: put.value.clone(),
            lease: put.lease,
            deleted: false,
        };
        changes.push(Event {
            key: put.key.clone(),
            delete: false,
            kv: version.encode(&put.key),
            // A creation has none, though its revision may have deleted one.
            prev_kv: match version.create == modified {
                true => Bytes::new(),
                false => self.before(&put.key),
            },
        });
        self.keys.entry(put.key.clone()).or_default().push(version);
        pb::PutResponse {
            header: None,
            prev_kv: match (put.prev_kv, old) {
                (true, Some(old)) => old.encode(&put.key),
                _ => Bytes::new(),
            },
        }
    }

    /// The version of a key before the revision that is being made.
    fn before(&self, key: &Bytes) -> Bytes {
        self.at(key, self.revision)
            .map(|version| version.encode(key))
            .unwrap_or_default()
    }

    fn delete(
        &mut self,
        delete: &pb::DeleteRangeRequest,
        changes: &mut Vec<Event>,
    ) -> pb::DeleteRangeResponse {
        let range = KeyRange::new(delete.key.clone(), delete.range_end.clone());
        let living = self.living(&range, i64::MAX);
        let prev_kvs = match delete.prev_kv {
            true => living.iter().map(|(key, version)| version.encode(key)).collect(),
            false => Vec::new(),
        };
        let keys: Vec<Bytes> = living.into_iter().map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.remove(key, changes);
        }
        pb::DeleteRangeResponse {
            header: None,
            deleted: keys.len() as i64,
            prev_kvs,
        }
    }

    fn remove(&mut self, key: &Bytes, changes: &mut Vec<Event>) {
        let Some(old) = self.newest(key).cloned() else {
            return;
        };
        if let Some(lease) = self.leases.get_mut(&old.lease) {
            lease.keys.remove(key);
        }
        let modified = self.revision + 1;
        changes.push(Event {
            key: key.clone(),
            delete: true,
            kv: model::encode_key_value(key, 0, modified, 0, &[], 0),
            prev_kv: self.before(key),
        });
        let end = Version {
            create: 0,
            modified,
            version: 0,
            value: Bytes::new(),
            lease: 0,
            deleted: true,
        };
        self.keys.entry(key.clone()).or_default().push(end);
    }

    fn txn<'a>(
        &mut self,
        txn: &pb::TxnRequest,
        taken: &mut impl Iterator<Item = &'a bool>,
        changes: &mut Vec<Event>,
    ) -> pb::TxnResponse {
        let succeeded = *taken.next().unwrap_or(&false);
        let mut responses = Vec::new();
        for op in branch(txn, succeeded) {
            responses.push(response(match &op.request {
                Some(Op::RequestRange(range)) => Response::ResponseRange(self.range(range, i64::MAX)),
                Some(Op::RequestPut(put)) => Response::ResponsePut(self.put(put, changes)),
                Some(Op::RequestDeleteRange(delete)) => {
                    Response::ResponseDeleteRange(self.delete(delete, changes))
                }
                Some(Op::RequestTxn(nested)) => Response::ResponseTxn(self.txn(nested, taken, changes)),
                None => continue,
            }));
        }
        pb::TxnResponse {
            header: None,
            succeeded,
            responses,
        }
    }

    fn plan(&self, txn: &pb::TxnRequest, revision: i64, taken: &mut Vec<bool>) {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare, revision));
        taken.push(succeeded);
        for op in branch(txn, succeeded) {
            if let Some(Op::RequestTxn(nested)) = &op.request {
                self.plan(nested, revision, taken);
            }
        }
    }

    fn holds(&self, compare: &pb::Compare, revision: i64) -> bool {
        let found = self.at(&compare.key, revision);
        let number = |of: fn(&Version) -> i64| found.map_or(0, of);
        let order = match (compare.target(), &compare.target_union) {
            (CompareTarget::Version, Some(TargetUnion::Version(than))) => number(|kv| kv.version).cmp(than),
            (CompareTarget::Create, Some(TargetUnion::CreateRevision(than))) => {
                number(|kv| kv.create).cmp(than)
            }
            (CompareTarget::Mod, Some(TargetUnion::ModRevision(than))) => number(|kv| kv.modified).cmp(than),
            (CompareTarget::Lease, Some(TargetUnion::Lease(than))) => number(|kv| kv.lease).cmp(than),
            (CompareTarget::Value, Some(TargetUnion::Value(than))) => match found {
                Some(kv) => kv.value.cmp(than),
                None => return false,
            },
            _ => return false,
        };
        match compare.result() {
            CompareResult::Equal => order == Ordering::Equal,
            CompareResult::NotEqual => order != Ordering::Equal,
            CompareResult::Greater => order == Ordering::Greater,
            CompareResult::Less => order == Ordering::Less,
        }
    }
}

impl Version {
    fn encode(&self, key: &[u8]) -> Bytes {
        model::encode_key_value(
            key,
            self.create,
            self.modified,
            self.version,
            &self.value,
            self.lease,
        )
    }

    fn encode_key(&self, key: &[u8]) -> Bytes {
        model::encode_key_value(key, self.create, self.modified, self.version, &[], 0)
    }
}

fn branch(txn: &pb::TxnRequest, succeeded: bool) -> &[pb::RequestOp] {
    match succeeded {
        true => &txn.success,
        false => &txn.failure,
    }
}

fn response(response: Response) -> pb::ResponseOp {
    pb::ResponseOp {
        response: Some(response),
    }
}
