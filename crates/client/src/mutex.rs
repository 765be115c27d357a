//! etcd's lock recipe: who waits has a key under the lock's name, who came first holds the lock.

use crate::{Client, Error, Result, Session, kv};
use bytes::Bytes;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use model::pb::etcdserverpb::request_op::Request;
use model::pb::etcdserverpb::response_op::Response;
use model::pb::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
    WatchCreateRequest,
};
use model::pb::mvccpb::KeyValue;
use model::pb::mvccpb::event::EventType;

/// A held lock. Lost when its session ends; released by [`Mutex::unlock`].
pub struct Mutex {
    client: Client,
    key: Bytes,
    revision: i64,
}

impl Mutex {
    /// Waits until the session holds the lock `name`.
    pub async fn lock(session: &Session, name: &str) -> Result<Mutex> {
        let client = session.client();
        let prefix = format!("{name}/");
        let key = Bytes::from(format!("{prefix}{:x}", session.lease()));
        let entered = enter(session, &prefix, &key, Bytes::new()).await?;
        let mutex = |revision| Mutex {
            client: client.clone(),
            key: key.clone(),
            revision,
        };
        if entered.first {
            return Ok(mutex(entered.revision));
        }
        let waited = wait_for_turn(session, &prefix, entered.created).await;
        // The lease may have run out while waiting, and the key with it: then the lock is somebody else's.
        let check = match waited {
            Ok(()) => client.range(get(key.clone())).await,
            Err(error) => Err(error),
        };
        match check {
            Ok(response) if response.kvs.is_empty() => Err(Error::SessionExpired),
            Ok(response) => Ok(mutex(revision(&response.header))),
            Err(error) => {
                // Best effort: the key goes with the session anyway.
                _ = client.delete_range(delete(key.clone())).await;
                Err(error)
            }
        }
    }

    /// The key that stands for the holder.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// Revision at which the lock was found to be held.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Releases the lock.
    pub async fn unlock(self) -> Result<()> {
        self.client.delete_range(delete(self.key)).await?;
        Ok(())
    }
}

/// A session's place in the queue.
pub(crate) struct Entered {
    /// Nobody was there before.
    pub first: bool,
    /// Revision that created the session's key.
    pub created: i64,
    /// Revision of the answer.
    pub revision: i64,
    /// The value of the session's key where it was there already.
    pub found: Option<Bytes>,
}

/// Puts the session's key under the prefix, unless it is there, and looks who is first.
pub(crate) async fn enter(session: &Session, prefix: &str, key: &Bytes, value: Bytes) -> Result<Entered> {
    let put = PutRequest {
        key: key.clone(),
        value,
        lease: session.lease(),
        ..Default::default()
    };
    let request = TxnRequest {
        compare: vec![created_at(key.clone(), 0)],
        success: vec![
            op(Request::RequestPut(put)),
            op(Request::RequestRange(first(prefix))),
        ],
        failure: vec![
            op(Request::RequestRange(get(key.clone()))),
            op(Request::RequestRange(first(prefix))),
        ],
    };
    let response = session.client().txn(request).await?;
    let found = match response.succeeded {
        true => None,
        false => range_at(&response, 0)?,
    };
    let revision = revision(&response.header);
    let created = found.as_ref().map_or(revision, |kv| kv.create_revision);
    let holder = range_at(&response, 1)?;
    Ok(Entered {
        first: holder.is_none_or(|holder| holder.create_revision == created),
        created,
        revision,
        found: found.map(|kv| kv.value),
    })
}

/// Waits until no key under the prefix is older than the one created at `created`, one predecessor after the other.
pub(crate) async fn wait_for_turn(session: &Session, prefix: &str, created: i64) -> Result<()> {
    let waiting = async {
        loop {
            let predecessor = RangeRequest {
                max_create_revision: created - 1,
                sort_order: SortOrder::Descend as i32,
                ..first(prefix)
            };
            let response = session.client().range(predecessor).await?;
            let Some(predecessor) = kv::key_values(&response.kvs)?.pop() else {
                return Ok(());
            };
            let mut watcher = session.client().watch(WatchCreateRequest {
                key: predecessor.key,
                start_revision: revision(&response.header),
                ..Default::default()
            });
            'watching: loop {
                for event in &watcher.next().await?.events {
                    if kv::event(event)?.kind == EventType::Delete {
                        break 'watching;
                    }
                }
            }
        }
    };
    tokio::select! {
        result = waiting => result,
        () = session.expired() => Err(Error::SessionExpired),
    }
}

pub(crate) fn created_at(key: Bytes, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal as i32,
        target: CompareTarget::Create as i32,
        key,
        target_union: Some(TargetUnion::CreateRevision(revision)),
        ..Default::default()
    }
}

/// The oldest key under the prefix.
pub(crate) fn first(prefix: &str) -> RangeRequest {
    RangeRequest {
        key: Bytes::copy_from_slice(prefix.as_bytes()),
        range_end: kv::prefix_end(prefix.as_bytes()),
        limit: 1,
        sort_order: SortOrder::Ascend as i32,
        sort_target: SortTarget::Create as i32,
        ..Default::default()
    }
}

pub(crate) fn get(key: Bytes) -> RangeRequest {
    RangeRequest {
        key,
        ..Default::default()
    }
}

pub(crate) fn delete(key: Bytes) -> DeleteRangeRequest {
    DeleteRangeRequest {
        key,
        ..Default::default()
    }
}

pub(crate) fn op(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

pub(crate) fn revision(header: &Option<model::pb::etcdserverpb::ResponseHeader>) -> i64 {
    header.as_ref().map_or(0, |header| header.revision)
}

fn range_at(response: &TxnResponse, number: usize) -> Result<Option<KeyValue>> {
    let Some(Some(Response::ResponseRange(RangeResponse { kvs, .. }))) =
        response.responses.get(number).map(|op| &op.response)
    else {
        return Err(Error::Malformed(
            "a transaction was answered in other parts".into(),
        ));
    };
    kvs.first().map(kv::key_value).transpose()
}
