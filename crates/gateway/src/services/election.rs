//! Elections: a queue whose first has the word.

use super::Responses;
use super::queue::{self, Events, LeaveOnDrop, Place, Queue, as_client};
use crate::shared::Shared;
use api::v3electionpb::election_server;
use bytes::Bytes;
use futures::stream;
use model::LeaseId;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::mvccpb::KeyValue;
use model::pb::mvccpb::event::EventType;
use model::pb::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use node::Caller;
use std::collections::VecDeque;
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};

pub(crate) struct Election(pub Arc<Shared>);

impl Election {
    async fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.0.caller(request).await.map_err(as_client)
    }

    fn queue(&self, caller: Caller, name: &[u8]) -> Arc<Queue> {
        Arc::new(Queue::new(Arc::clone(&self.0), caller, name))
    }
}

#[async_trait]
impl election_server::Election for Election {
    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        let caller = self.caller(&request).await?;
        let request = request.into_inner();
        let queue = self.queue(caller, &request.name);
        campaign(queue, request)
            .await
            .map_err(as_client)
            .map(Response::new)
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        let caller = self.caller(&request).await?;
        let ProclaimRequest { leader, value } = request.into_inner();
        let leader = leader.ok_or_else(missing_leader)?;
        let queue = self.queue(caller, &leader.name);
        let lease = queue.lease(leader.lease).await.map_err(as_client)?;
        let place = Place {
            key: leader.key,
            created: leader.rev,
        };
        let header = proclaim(&queue, &place, lease, value).await.map_err(as_client)?;
        Ok(Response::new(ProclaimResponse { header }))
    }

    async fn leader(&self, request: Request<LeaderRequest>) -> Result<Response<LeaderResponse>, Status> {
        let caller = self.caller(&request).await?;
        let queue = self.queue(caller, &request.get_ref().name);
        match queue.first().await.map_err(as_client)? {
            (header, Some(kv)) => Ok(Response::new(response(header, kv))),
            (_, None) => Err(Status::unknown("election: no leader")),
        }
    }

    type ObserveStream = Responses<LeaderResponse>;

    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let caller = self.caller(&request).await?;
        let observer = Observer {
            queue: self.queue(caller, &request.get_ref().name),
            leader: None,
            ready: VecDeque::new(),
        };
        let responses = stream::try_unfold(observer, |mut observer| async move {
            let response = observer.next().await.map_err(as_client)?;
            Ok(Some((response, observer)))
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn resign(&self, request: Request<ResignRequest>) -> Result<Response<ResignResponse>, Status> {
        let caller = self.caller(&request).await?;
        let leader = request.into_inner().leader.ok_or_else(missing_leader)?;
        let queue = self.queue(caller, &leader.name);
        let place = Place {
            key: leader.key,
            created: leader.rev,
        };
        let header = resign(&queue, &place).await.map_err(as_client)?;
        Ok(Response::new(ResignResponse { header }))
    }
}

fn missing_leader() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

fn response(header: pb::ResponseHeader, kv: KeyValue) -> LeaderResponse {
    LeaderResponse {
        header: Some(header),
        kv: Some(kv),
    }
}

async fn campaign(queue: Arc<Queue>, request: CampaignRequest) -> Result<CampaignResponse, Status> {
    let lease = queue.lease(request.lease).await?;
    let joined = queue.join(lease, request.value.clone()).await?;
    let place = joined.place;
    let leave = LeaveOnDrop::new(Arc::clone(&queue), place.clone());
    if joined.found.is_some_and(|kv| kv.value != request.value) {
        // On failure the place is given up, as etcd does.
        proclaim(&queue, &place, lease, request.value).await?;
    }
    let turn = queue.wait_turn(&place).await;
    leave.keep();
    turn?;
    Ok(CampaignResponse {
        header: Some(joined.header),
        leader: Some(LeaderKey {
            name: request.name,
            key: place.key,
            rev: place.created,
            lease: lease.0,
        }),
    })
}

/// Changes the value of a place that is still held.
async fn proclaim(
    queue: &Queue,
    place: &Place,
    lease: LeaseId,
    value: Bytes,
) -> Result<Option<pb::ResponseHeader>, Status> {
    let put = pb::PutRequest {
        key: place.key.clone(),
        value,
        lease: lease.0,
        ..Default::default()
    };
    let request = pb::TxnRequest {
        compare: vec![queue::created_at(place.key.clone(), place.created)],
        success: vec![queue::op(Op::RequestPut(put))],
        failure: Vec::new(),
    };
    let response = queue.txn(request).await?;
    match response.succeeded {
        true => Ok(response.header),
        false => Err(Status::unknown("election: not leader")),
    }
}

/// Gives a place up, if it is still held.
async fn resign(queue: &Queue, place: &Place) -> Result<Option<pb::ResponseHeader>, Status> {
    let request = pb::TxnRequest {
        compare: vec![queue::created_at(place.key.clone(), place.created)],
        success: vec![queue::delete_op(place.key.clone())],
        failure: Vec::new(),
    };
    Ok(queue.txn(request).await?.header)
}

/// Follows who has the word: the leader there is, each of his proclamations, then the next leader.
struct Observer {
    queue: Arc<Queue>,
    /// Watch on the leader's key; `None` while the leader is to be found out.
    leader: Option<Events>,
    ready: VecDeque<LeaderResponse>,
}

impl Observer {
    async fn next(&mut self) -> Result<LeaderResponse, Status> {
        loop {
            if let Some(response) = self.ready.pop_front() {
                return Ok(response);
            }
            let Some(events) = &mut self.leader else {
                return self.elect().await;
            };
            match events.next().await? {
                // Fell behind compaction: begin again with the leader of now.
                None => self.leader = None,
                Some((revision, events)) => self.take(revision, events)?,
            }
        }
    }

    fn take(&mut self, revision: i64, events: Vec<model::pb::mvccpb::Event>) -> Result<(), Status> {
        let header = pb::ResponseHeader {
            revision,
            ..self.queue.shared.header()
        };
        for event in events {
            if event.r#type() == EventType::Delete {
                self.leader = None;
                break;
            }
            self.ready.push_back(response(header, queue::decode(event.kv)?));
        }
        Ok(())
    }

    /// Waits until there is a leader, and begins to watch him.
    async fn elect(&mut self) -> Result<LeaderResponse, Status> {
        let (mut header, first) = self.queue.first().await?;
        let kv = match first {
            Some(kv) => kv,
            None => loop {
                if let Some(kv) = self.first_put(header.revision).await? {
                    header.revision = kv.mod_revision;
                    break kv;
                }
                let (newer, first) = self.queue.first().await?;
                header = newer;
                if let Some(kv) = first {
                    break kv;
                }
            },
        };
        self.leader = Some(self.queue.watch(pb::WatchCreateRequest {
            key: kv.key.clone(),
            start_revision: header.revision + 1,
            ..Default::default()
        }));
        Ok(response(header, kv))
    }

    /// The first key that is put into the queue; `None` if the watch lost its beginning to a compaction.
    async fn first_put(&self, from_revision: i64) -> Result<Option<KeyValue>, Status> {
        let mut events = self.queue.watch(pb::WatchCreateRequest {
            key: self.queue.prefix.clone(),
            range_end: queue::prefix_end(&self.queue.prefix),
            start_revision: from_revision,
            ..Default::default()
        });
        while let Some((_, events)) = events.next().await? {
            for event in events {
                if event.r#type() == EventType::Put {
                    return queue::decode(event.kv).map(Some);
                }
            }
        }
        Ok(None)
    }
}
