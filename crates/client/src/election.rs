//! etcd's election recipe: candidates queue as for a lock, and the first one's value is what it proclaims.

use crate::mutex::{created_at, delete, enter, first, op, revision, wait_for_turn};
use crate::{Client, Error, Result, Session, Watcher, kv};
use bytes::Bytes;
use model::pb::etcdserverpb::request_op::Request;
use model::pb::etcdserverpb::{PutRequest, ResponseHeader, TxnRequest, WatchCreateRequest};
use model::pb::mvccpb::KeyValue;
use model::pb::mvccpb::event::EventType;
use std::collections::VecDeque;

/// A won election. Lost when its session ends; given up by [`Election::resign`].
pub struct Election {
    client: Client,
    lease: i64,
    key: Bytes,
    created: i64,
}

impl Election {
    /// Waits until the session is the leader of election `name`, proclaiming `value`.
    pub async fn campaign(session: &Session, name: &str, value: Bytes) -> Result<Election> {
        let prefix = format!("{name}/");
        let key = Bytes::from(format!("{prefix}{:x}", session.lease()));
        let entered = enter(session, &prefix, &key, value.clone()).await?;
        let election = Election {
            client: session.client().clone(),
            lease: session.lease(),
            key,
            created: entered.created,
        };
        let ready = async {
            if entered.found.is_some_and(|found| found != value) {
                election.proclaim(value).await?;
            }
            match entered.first {
                true => Ok(()),
                false => wait_for_turn(session, &prefix, election.created).await,
            }
        };
        match ready.await {
            Ok(()) => Ok(election),
            Err(error) => {
                // Best effort: the key goes with the session anyway.
                _ = election.resign().await;
                Err(error)
            }
        }
    }

    /// The leader's key.
    pub fn key(&self) -> &Bytes {
        &self.key
    }

    /// Proclaims another value.
    pub async fn proclaim(&self, value: Bytes) -> Result<()> {
        let put = PutRequest {
            key: self.key.clone(),
            value,
            lease: self.lease,
            ..Default::default()
        };
        match self.if_leader(Request::RequestPut(put)).await? {
            true => Ok(()),
            false => Err(Error::SessionExpired),
        }
    }

    /// Gives leadership up; fine if it was lost before.
    pub async fn resign(&self) -> Result<()> {
        self.if_leader(Request::RequestDeleteRange(delete(self.key.clone())))
            .await?;
        Ok(())
    }

    async fn if_leader(&self, request: Request) -> Result<bool> {
        let request = TxnRequest {
            compare: vec![created_at(self.key.clone(), self.created)],
            success: vec![op(request)],
            failure: Vec::new(),
        };
        Ok(self.client.txn(request).await?.succeeded)
    }
}

/// Follows the leaders of an election and what they proclaim.
pub struct Observer {
    client: Client,
    prefix: String,
    /// The leader that is followed.
    leader: Option<Watcher>,
    ready: VecDeque<(ResponseHeader, KeyValue)>,
}

impl Observer {
    /// Observes election `name`.
    pub fn new(client: &Client, name: &str) -> Observer {
        Observer {
            client: client.clone(),
            prefix: format!("{name}/"),
            leader: None,
            ready: VecDeque::new(),
        }
    }

    /// Waits for the next proclamation. Values that were soon replaced may be left out, the newest never is.
    pub async fn next(&mut self) -> Result<(ResponseHeader, KeyValue)> {
        loop {
            if let Some(found) = self.ready.pop_front() {
                return Ok(found);
            }
            let Some(leader) = &mut self.leader else {
                let (header, kv) = self.find().await?;
                self.leader = Some(self.client.watch(WatchCreateRequest {
                    key: kv.key.clone(),
                    start_revision: header.revision + 1,
                    ..Default::default()
                }));
                return Ok((header, kv));
            };
            let response = leader.next().await?;
            for event in &response.events {
                let event = kv::event(event)?;
                if event.kind == EventType::Delete {
                    self.leader = None;
                    break;
                }
                self.ready
                    .push_back((response.header.unwrap_or_default(), event.kv));
            }
        }
    }

    /// Who leads, or the first who comes to.
    async fn find(&self) -> Result<(ResponseHeader, KeyValue)> {
        let response = self.client.range(first(&self.prefix)).await?;
        let mut header = response.header.unwrap_or_default();
        if let Some(kv) = response.kvs.first() {
            return Ok((header, kv::key_value(kv)?));
        }
        let request = first(&self.prefix);
        let mut watcher = self.client.watch(WatchCreateRequest {
            key: request.key,
            range_end: request.range_end,
            start_revision: revision(&response.header),
            ..Default::default()
        });
        loop {
            for event in &watcher.next().await?.events {
                let event = kv::event(event)?;
                if event.kind == EventType::Put {
                    // The response may hold later changes too, which are still to be looked at.
                    header.revision = event.kv.mod_revision;
                    return Ok((header, event.kv));
                }
            }
        }
    }
}
