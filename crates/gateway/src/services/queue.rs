//! The queue behind locks and elections: keys under one prefix, each with a lease, served in order of creation.
//!
//! The keys and the rules are those of Go's `concurrency` package, so that its users and ours stand in one queue.

use crate::shared::Shared;
use crate::{rejected, status};
use bytes::Bytes;
use futures::future::poll_fn;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use model::pb::etcdserverpb::request_op;
use model::pb::etcdserverpb::response_op;
use model::pb::mvccpb::event::EventType;
use model::pb::mvccpb::{Event, KeyValue};
use model::{LeaseId, Rejection};
use node::Caller;
use prost::Message;
use std::sync::Arc;
use tonic::{Code, Status};

/// Seconds of a lease that is made for a caller who brought none. Nobody keeps it alive.
const LEASE_SECONDS: i64 = 60;

/// One queue, as one caller sees it.
pub(super) struct Queue {
    pub shared: Arc<Shared>,
    pub caller: Caller,
    /// `name/`: all keys of the queue begin with it.
    pub prefix: Bytes,
}

/// A place in a queue.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// `name/lease`.
    pub key: Bytes,
    /// Revision at which the key was created: the lower, the earlier.
    pub created: i64,
}

/// How [`Queue::join`] went.
pub(super) struct Joined {
    pub place: Place,
    /// Of the transaction that joined.
    pub header: pb::ResponseHeader,
    /// What the key holds, if it was there before.
    pub found: Option<KeyValue>,
    /// The first of the queue, if there was anybody.
    pub first: Option<KeyValue>,
}

/// The services are clients of their own server in etcd, which costs a refusal its code.
pub(super) fn as_client(status: Status) -> Status {
    match status.code() {
        Code::Cancelled | Code::DeadlineExceeded => status,
        _ => Status::unknown(status.message()),
    }
}

impl Queue {
    pub fn new(shared: Arc<Shared>, caller: Caller, name: &[u8]) -> Queue {
        Queue {
            shared,
            caller,
            prefix: [name, b"/"].concat().into(),
        }
    }

    /// The caller's lease, or a new one for him.
    pub async fn lease(&self, lease: i64) -> Result<LeaseId, Status> {
        if lease != 0 {
            return Ok(LeaseId(lease));
        }
        let request = pb::LeaseGrantRequest {
            ttl: LEASE_SECONDS,
            id: 0,
        };
        let granted = self
            .shared
            .node
            .lease_grant(request, &self.caller)
            .await
            .map_err(status)?;
        Ok(LeaseId(granted.id))
    }

    /// Joins at the end of the queue, unless the lease has its place already.
    pub async fn join(&self, lease: LeaseId, value: Bytes) -> Result<Joined, Status> {
        let key: Bytes = [&self.prefix[..], format!("{lease}").as_bytes()].concat().into();
        let put = pb::PutRequest {
            key: key.clone(),
            value,
            lease: lease.0,
            ..Default::default()
        };
        let get = pb::RangeRequest {
            key: key.clone(),
            ..Default::default()
        };
        let first = self.first_request();
        let request = pb::TxnRequest {
            compare: vec![created_at(key.clone(), 0)],
            success: vec![op(request_op::Request::RequestPut(put)), range_op(first.clone())],
            failure: vec![range_op(get), range_op(first)],
        };
        let response = self.txn(request).await?;
        let header = response.header.unwrap_or_default();
        let mut responses = response.responses.into_iter().map(kvs);
        let found: Option<KeyValue> = responses
            .next()
            .and_then(|kvs| kvs.into_iter().next())
            .map(decode)
            .transpose()?;
        let first = responses
            .next()
            .and_then(|kvs| kvs.into_iter().next())
            .map(decode)
            .transpose()?;
        let created = found.as_ref().map_or(header.revision, |kv| kv.create_revision);
        Ok(Joined {
            place: Place { key, created },
            header,
            found,
            first,
        })
    }

    /// Resolves when nobody is before this place any more. Everyone waits for the one before him only, so that the
    /// end of one wakes one.
    pub async fn wait_turn(&self, place: &Place) -> Result<(), Status> {
        loop {
            let request = pb::RangeRequest {
                key: self.prefix.clone(),
                range_end: prefix_end(&self.prefix),
                limit: 1,
                sort_order: SortOrder::Descend.into(),
                sort_target: SortTarget::Create.into(),
                max_create_revision: place.created - 1,
                ..Default::default()
            };
            // A bound of 0 would be no bound. Nothing can have been created before revision 2 anyway.
            if request.max_create_revision <= 0 {
                return Ok(());
            }
            let response = self.range(request).await?;
            let Some(before) = response.kvs.into_iter().next() else {
                return Ok(());
            };
            let revision = response.header.map_or(0, |header| header.revision);
            self.wait_deleted(decode::<KeyValue>(before)?.key, revision)
                .await?;
        }
    }

    /// Resolves when the key was deleted, or perhaps was: the caller looks again.
    async fn wait_deleted(&self, key: Bytes, from_revision: i64) -> Result<(), Status> {
        let mut events = self.watch(pb::WatchCreateRequest {
            key,
            start_revision: from_revision,
            ..Default::default()
        });
        loop {
            match events.next().await? {
                None => return Ok(()),
                Some((_, events)) => {
                    if events.iter().any(|event| event.r#type() == EventType::Delete) {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Watches as this server does it for itself.
    pub fn watch(&self, request: pb::WatchCreateRequest) -> Events {
        let (control, responses) = self.shared.node.watch_hub().open(watch::StreamOptions::default());
        control.create(&request);
        Events { responses }
    }

    /// The first of the queue.
    pub async fn first(&self) -> Result<(pb::ResponseHeader, Option<KeyValue>), Status> {
        let response = self.range(self.first_request()).await?;
        let first = response.kvs.into_iter().next().map(decode).transpose()?;
        Ok((response.header.unwrap_or_default(), first))
    }

    fn first_request(&self) -> pb::RangeRequest {
        pb::RangeRequest {
            key: self.prefix.clone(),
            range_end: prefix_end(&self.prefix),
            limit: 1,
            sort_order: SortOrder::Ascend.into(),
            sort_target: SortTarget::Create.into(),
            ..Default::default()
        }
    }

    /// Leaves the queue.
    pub async fn leave(&self, key: Bytes) -> Result<pb::DeleteRangeResponse, Status> {
        let request = pb::DeleteRangeRequest {
            key,
            ..Default::default()
        };
        let reply = self
            .shared
            .node
            .propose(model::Request::DeleteRange(request), &self.caller)
            .await;
        match reply.map_err(status)? {
            model::Reply::DeleteRange(mut response) => {
                self.shared.fill(&mut response.header);
                Ok(response)
            }
            _ => Err(super::kv::mismatch()),
        }
    }

    pub async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        let mut response = self
            .shared
            .node
            .range(request, &self.caller)
            .await
            .map_err(status)?;
        self.shared.fill(&mut response.header);
        Ok(response)
    }

    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        apply::validate::txn(&request, self.shared.options.txn_ops_max).map_err(rejected)?;
        let mut response = self
            .shared
            .node
            .txn(request, &self.caller)
            .await
            .map_err(status)?;
        self.shared.fill(&mut response.header);
        Ok(response)
    }
}

/// Leaves a queue when dropped: its owner was given up while he waited.
pub(super) struct LeaveOnDrop {
    queue: Arc<Queue>,
    place: Option<Place>,
}

impl LeaveOnDrop {
    pub fn new(queue: Arc<Queue>, place: Place) -> LeaveOnDrop {
        LeaveOnDrop {
            queue,
            place: Some(place),
        }
    }

    /// The place is to be kept.
    pub fn keep(mut self) {
        self.place = None;
    }
}

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        let (Some(place), Ok(runtime)) = (self.place.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let queue = Arc::clone(&self.queue);
        runtime.spawn(async move {
            let request = pb::TxnRequest {
                compare: vec![created_at(place.key.clone(), place.created)],
                success: vec![delete_op(place.key)],
                failure: Vec::new(),
            };
            // If this fails, the lease ends the place.
            let _ = queue.txn(request).await;
        });
    }
}

/// What happens to the watched keys.
pub(super) struct Events {
    responses: watch::Responses,
}

impl Events {
    /// The next events and the revision they are of; `None` if the watch has ended because its start is compacted.
    pub async fn next(&mut self) -> Result<Option<(i64, Vec<Event>)>, Status> {
        loop {
            let Some(response) = poll_fn(|cx| self.responses.poll_next(cx)).await else {
                return Err(rejected(Rejection::Stopped));
            };
            if response.canceled {
                return Ok(None);
            }
            if response.events.is_empty() {
                continue;
            }
            let events = response
                .events
                .into_iter()
                .map(decode)
                .collect::<Result<_, _>>()?;
            let revision = response.header.map_or(0, |header| header.revision);
            return Ok(Some((revision, events)));
        }
    }
}

/// Reads stored bytes. They are ours: if they cannot be read, the store is damaged.
pub(super) fn decode<T: Message + Default>(bytes: Bytes) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| Status::unknown(error.to_string()))
}

/// The end of the range of all keys with this prefix, which ends with a slash.
pub(super) fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

/// True if the key was created at this revision, 0 for one that is not there.
pub(super) fn created_at(key: Bytes, revision: i64) -> pb::Compare {
    pb::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key,
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Default::default()
    }
}

pub(super) fn op(request: request_op::Request) -> pb::RequestOp {
    pb::RequestOp {
        request: Some(request),
    }
}

pub(super) fn delete_op(key: Bytes) -> pb::RequestOp {
    op(request_op::Request::RequestDeleteRange(pb::DeleteRangeRequest {
        key,
        ..Default::default()
    }))
}

fn range_op(request: pb::RangeRequest) -> pb::RequestOp {
    op(request_op::Request::RequestRange(request))
}

fn kvs(response: pb::ResponseOp) -> Vec<Bytes> {
    match response.response {
        Some(response_op::Response::ResponseRange(response)) => response.kvs,
        _ => Vec::new(),
    }
}
