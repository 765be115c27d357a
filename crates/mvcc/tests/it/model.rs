//! The simplest store there can be: a list of everything that ever happened. What it answers is right by looking.

use bytes::Bytes;
use model::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use model::pb::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use model::{EventKind, KeyRange, Rejection, encode_key_value};
use std::cmp::Ordering;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    pub key: Bytes,
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub value: Bytes,
    pub lease: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub revision: i64,
    pub sub: i64,
    pub key: Bytes,
    pub kind: EventKind,
    pub kv: Bytes,
    /// Before the revision.
    pub prev_kv: Bytes,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub revision: i64,
    pub compacted: i64,
    /// State after each revision, from 1.
    states: Vec<BTreeMap<Bytes, Version>>,
    pub events: Vec<Event>,
    /// State with the open request's changes.
    open: Option<BTreeMap<Bytes, Version>>,
}

impl Version {
    pub fn encode(&self) -> Bytes {
        encode_key_value(
            &self.key,
            self.create,
            self.modified,
            self.version,
            &self.value,
            self.lease,
        )
    }
}

impl Model {
    pub fn new() -> Model {
        Model {
            revision: 1,
            compacted: -1,
            states: vec![BTreeMap::new()],
            events: Vec::new(),
            open: None,
        }
    }

    pub fn put(&mut self, key: &Bytes, value: &Bytes, lease: i64) -> Option<Version> {
        let modified = self.revision + 1;
        let (mut state, before) = self.change(key);
        let version = Version {
            key: key.clone(),
            create: before.as_ref().map_or(modified, |before| before.create),
            modified,
            version: before.as_ref().map_or(1, |before| before.version + 1),
            value: value.clone(),
            lease,
        };
        self.event(key, EventKind::Put, version.encode(), version.create == modified);
        state.insert(key.clone(), version);
        self.open = Some(state);
        before
    }

    pub fn delete_range(&mut self, range: &KeyRange) -> Vec<Version> {
        let state = self.open.as_ref().unwrap_or(self.states.last().unwrap());
        let keys: Vec<_> = state.keys().filter(|key| range.contains(key)).cloned().collect();
        let mut deleted = Vec::new();
        for key in keys {
            let (mut state, before) = self.change(&key);
            let kv = encode_key_value(&key, 0, self.revision + 1, 0, b"", 0);
            self.event(&key, EventKind::Delete, kv, false);
            state.remove(&key);
            deleted.extend(before);
            self.open = Some(state);
        }
        deleted
    }

    pub fn finish(&mut self) -> i64 {
        if let Some(state) = self.open.take() {
            self.revision += 1;
            self.states.push(state);
        }
        self.revision
    }

    pub fn compact(&mut self, revision: i64) -> Result<(), Rejection> {
        if revision <= self.compacted {
            return Err(Rejection::Compacted);
        }
        if revision > self.revision {
            return Err(Rejection::FutureRevision);
        }
        self.compacted = revision;
        Ok(())
    }

    /// etcd's Range, step by step as etcd does it.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Rejection> {
        let current = self.revision + i64::from(self.open.is_some());
        if request.revision > current {
            return Err(Rejection::FutureRevision);
        }
        let revision = if request.revision <= 0 {
            current
        } else {
            request.revision
        };
        if revision < self.compacted {
            return Err(Rejection::Compacted);
        }
        let range = KeyRange::new(request.key.clone(), request.range_end.clone());
        let mut found: Vec<Version> = self
            .state(revision)
            .values()
            .filter(|version| range.contains(&version.key))
            .cloned()
            .collect();
        let mut response = RangeResponse {
            header: Some(ResponseHeader {
                revision: current,
                ..Default::default()
            }),
            count: found.len() as i64,
            ..Default::default()
        };
        if request.count_only {
            return Ok(response);
        }

        let (target, order) = (request.sort_target(), request.sort_order());
        let in_key_order =
            |order| order == SortOrder::None || (target == SortTarget::Key && order == SortOrder::Ascend);
        let filters = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        if in_key_order(order) && filters == [0; 4] && request.limit > 0 {
            found.truncate(request.limit as usize + 1);
        }
        found.retain(|version| {
            (request.max_mod_revision == 0 || version.modified <= request.max_mod_revision)
                && (request.min_mod_revision == 0 || version.modified >= request.min_mod_revision)
                && (request.max_create_revision == 0 || version.create <= request.max_create_revision)
                && (request.min_create_revision == 0 || version.create >= request.min_create_revision)
        });
        let order = if target != SortTarget::Key && order == SortOrder::None {
            SortOrder::Ascend
        } else {
            order
        };
        if !in_key_order(order) {
            found.sort_by(|a, b| {
                let compared = match target {
                    SortTarget::Key => a.key.cmp(&b.key),
                    SortTarget::Version => a.version.cmp(&b.version),
                    SortTarget::Create => a.create.cmp(&b.create),
                    SortTarget::Mod => a.modified.cmp(&b.modified),
                    SortTarget::Value => a.value.cmp(&b.value),
                };
                match order {
                    SortOrder::Descend => compared.reverse(),
                    _ => compared,
                }
                .then(if target == SortTarget::Key {
                    Ordering::Equal
                } else {
                    a.key.cmp(&b.key)
                })
            });
        }
        if request.limit > 0 && found.len() as i64 > request.limit {
            found.truncate(request.limit as usize);
            response.more = true;
        }
        for version in &mut found {
            if request.keys_only {
                version.value.clear();
                if target != SortTarget::Value {
                    version.lease = 0;
                }
            }
        }
        response.kvs = found.iter().map(Version::encode).collect();
        Ok(response)
    }

    /// Keys that live at `revision`.
    pub fn state(&self, revision: i64) -> &BTreeMap<Bytes, Version> {
        match &self.open {
            Some(open) if revision > self.revision => open,
            _ => &self.states[revision as usize - 1],
        }
    }

    fn change(&self, key: &Bytes) -> (BTreeMap<Bytes, Version>, Option<Version>) {
        let state = self.open.as_ref().unwrap_or(self.states.last().unwrap());
        (state.clone(), state.get(key).cloned())
    }

    fn event(&mut self, key: &Bytes, kind: EventKind, kv: Bytes, created: bool) {
        let revision = self.revision + 1;
        let sub = self
            .events
            .iter()
            .rev()
            .take_while(|event| event.revision == revision)
            .count();
        // A creation has no previous version, though its revision may have deleted one.
        let before = self.states.last().unwrap().get(key).filter(|_| !created);
        self.events.push(Event {
            revision,
            sub: sub as i64,
            key: key.clone(),
            kind,
            kv,
            prev_kv: before.map_or_else(Bytes::new, Version::encode),
        });
    }
}
