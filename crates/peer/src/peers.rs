//! The other members, as far as talking to them goes.

use crate::link::{Link, chain};
use crate::metrics::Metrics;
use crate::outbox::sender_of;
use crate::serve;
use crate::service::Service;
use crate::snapshot::{Receiver, send};
use crate::sum;
use crate::{Accepting, Connector, Error, Identity, Inbox, Requests, Versions, http};
use api::quorate::peer::RaftBatch;
use api::quorate::peer::peer_client::PeerClient;
use bytes::Bytes;
use futures::stream::BoxStream;
use model::pb::etcdserverpb as pb;
use model::{MemberId, Rejection};
use parking_lot::RwLock;
use raft_engine::{Checkpoint, StepError, Transport};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

/// Members known only by their own word; more than a cluster has.
const LEARNED_MAX: usize = 16;

/// Snapshots sent at a time: each costs disk and network that the others need too.
const SENDING_MAX: usize = 2;

/// What [`Peers::new`] needs.
pub struct Options {
    /// This member.
    pub identity: Identity,
    /// Makes connections.
    pub connector: Arc<dyn Connector>,
    /// Where snapshots are received; emptied at start. On the file system of the store.
    pub snapshot_dir: PathBuf,
    /// Limit for connecting.
    pub connect_timeout: Duration,
    /// Limit for one unary request to another member.
    pub request_timeout: Duration,
    /// Largest batch of raft messages taken from another member, in bytes: above the largest request.
    pub message_bytes_max: usize,
    /// Connections that others make to this member, at a time. A cluster needs a handful; this bounds what a stranger
    /// can hold.
    pub connections_max: usize,
    /// Snapshots are sent no faster than this, in bytes per second; 0 is unlimited.
    pub snapshot_rate: u64,
    /// Where the metrics are registered; nothing else may have registered them there.
    pub registry: prometheus::Registry,
}

/// The other members: sends to them, serves them. Cheap to clone. Must be made within a tokio runtime, in which its
/// tasks then run; after that the [`Transport`] may be used from any thread.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<Shared>,
}

/// What links, services and snapshots have in common.
pub(crate) struct Shared {
    pub(crate) identity: Identity,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) connect_timeout: Duration,
    pub(crate) snapshot_rate: u64,
    pub(crate) runtime: Handle,
    pub(crate) receiver: Receiver,
    pub(crate) sending: Semaphore,
    pub(crate) metrics: Metrics,
    request_timeout: Duration,
    pub(crate) message_bytes_max: usize,
    connections_max: usize,
    links: RwLock<HashMap<u64, Arc<Link>>>,
    inbox: OnceLock<Arc<dyn Inbox>>,
    requests: OnceLock<Arc<dyn Requests>>,
    stopped: watch::Sender<bool>,
}

impl Peers {
    /// Without members yet. Messages that come in before [`Peers::attach`] are dropped.
    pub fn new(options: Options) -> io::Result<Self> {
        let receiver = Receiver::new(options.snapshot_dir)?;
        let metrics =
            Metrics::register(&options.registry, options.identity.member).map_err(io::Error::other)?;
        let shared = Shared {
            metrics,
            identity: options.identity,
            connector: options.connector,
            connect_timeout: options.connect_timeout,
            snapshot_rate: options.snapshot_rate,
            runtime: Handle::current(),
            receiver,
            sending: Semaphore::new(SENDING_MAX),
            request_timeout: options.request_timeout,
            message_bytes_max: options.message_bytes_max,
            connections_max: options.connections_max.max(1),
            links: RwLock::default(),
            inbox: OnceLock::new(),
            requests: OnceLock::new(),
            stopped: watch::Sender::new(false),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Says where raft messages that come in go. The first call counts.
    pub fn attach(&self, inbox: Arc<dyn Inbox>) {
        let _ = self.shared.inbox.set(inbox);
    }

    /// Begins talking to a member; a known one gets the new URLs. This member itself is passed over.
    pub fn add(&self, id: MemberId, urls: Vec<String>) {
        self.shared.add(id, urls, false);
    }

    /// Changes a member's URLs, and connects anew if they differ.
    pub fn update(&self, id: MemberId, urls: Vec<String>) {
        if let Some(link) = self.shared.link(id) {
            link.update(urls);
        }
    }

    /// Stops talking to a member.
    pub fn remove(&self, id: MemberId) {
        let link = self.shared.links.write().remove(&id.0);
        if let Some(link) = link {
            link.stop();
            self.shared.metrics.forget(id);
        }
    }

    /// The members talked to, in order of their ids.
    pub fn members(&self) -> Vec<MemberId> {
        let mut members: Vec<_> = self.shared.links.read().values().map(|link| link.id).collect();
        members.sort();
        members
    }

    /// For how long messages have been getting through to the member; `None` if they do not.
    pub fn connected_for(&self, id: MemberId) -> Option<Duration> {
        self.shared.link(id)?.connected_for()
    }

    /// Serves connections from other members until `stop` is ready, [`Peers::stop`] is called, or `incoming` ends.
    pub async fn serve(
        &self,
        incoming: BoxStream<'static, io::Result<Accepting>>,
        requests: Arc<dyn Requests>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) {
        let _ = self.shared.requests.set(requests.clone());
        let mut stopped = self.shared.stopped.subscribe();
        let service = Service::new(self.shared.clone(), requests.clone());
        let serving = {
            let limits = serve::Limits {
                connections: self.shared.connections_max,
                message_bytes: self.shared.message_bytes_max,
            };
            serve::run(incoming, service, requests, limits)
        };
        tokio::select! {
            () = serving => {}
            () = stop => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Asks `leader` to renew a lease.
    pub async fn keep_alive(
        &self,
        leader: MemberId,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, Error> {
        self.ask(leader, request, async |mut client, request| {
            client.lease_keep_alive(request).await
        })
        .await
    }

    /// Asks `leader` how long a lease still lives.
    pub async fn time_to_live(
        &self,
        leader: MemberId,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Error> {
        self.ask(leader, request, async |mut client, request| {
            client.lease_time_to_live(request).await
        })
        .await
    }

    /// Asks `leader` to promote a learner.
    pub async fn promote(
        &self,
        leader: MemberId,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Error> {
        self.ask(leader, request, async |mut client, request| {
            client.member_promote(request).await
        })
        .await
    }

    /// Asks a member for the hash of its keys.
    pub async fn hash_kv(
        &self,
        id: MemberId,
        request: pb::HashKvRequest,
    ) -> Result<pb::HashKvResponse, Error> {
        self.ask(id, request, async |mut client, request| {
            client.hash_kv(request).await
        })
        .await
    }

    /// Asks a member for its versions, over a connection of its own.
    pub async fn version_of(&self, id: MemberId) -> Result<Versions, Error> {
        let link = self.shared.link(id).ok_or(Error::UnknownMember(id))?;
        let mut result = Err(Error::UnknownMember(id));
        for url in link.urls() {
            result = http::version_of(&*self.shared.connector, &url).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    /// Ends all tasks and connections, which go on without this even if nobody holds the `Peers` any more. Messages sent
    /// after that are dropped.
    pub fn stop(&self) {
        self.shared.stopped.send_replace(true);
        let links = std::mem::take(&mut *self.shared.links.write());
        for link in links.values() {
            link.stop();
        }
    }

    /// One unary request over the connection that raft's messages use.
    async fn ask<Q, A>(
        &self,
        id: MemberId,
        message: Q,
        call: impl AsyncFnOnce(PeerClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let link = self.shared.link(id).ok_or(Error::UnknownMember(id))?;
        let unreachable = |reason: String| Error::Unreachable {
            peer: id.to_string(),
            reason,
        };
        let channel = link
            .channel()
            .ok_or_else(|| unreachable("not connected".to_owned()))?;
        let client = PeerClient::new(channel).max_decoding_message_size(self.shared.message_bytes_max);
        let mut request = Request::new(message);
        self.shared.identity.stamp(request.metadata_mut(), id);
        match tokio::time::timeout(self.shared.request_timeout, call(client, request)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(match rejection(&status) {
                Some(rejection) => rejection.into(),
                None if matches!(status.code(), Code::Unavailable | Code::Cancelled) => {
                    unreachable(chain(&status))
                }
                None => Error::Unexpected {
                    peer: id.to_string(),
                    reason: chain(&status),
                },
            }),
            Err(_) => Err(Error::TimedOut { peer: id.to_string() }),
        }
    }
}

/// The refusal that a member's answer stands for.
fn rejection(status: &Status) -> Option<Rejection> {
    Rejection::ALL
        .iter()
        .copied()
        .find(|rejection| rejection.message() == status.message())
}

impl Transport for Peers {
    fn send(&self, to: u64, messages: Vec<Bytes>) {
        if let Some(link) = self.shared.link(MemberId(to)) {
            link.outbox.push(messages);
        }
    }

    fn send_snapshot(&self, to: u64, message: Bytes, checkpoint: Checkpoint) {
        let id = MemberId(to);
        let shared = self.shared.clone();
        let Some(link) = shared.link(id) else {
            // Not from this thread, which is raft's own.
            self.shared
                .runtime
                .spawn(async move { shared.report_snapshot(id, false) });
            return;
        };
        let task = self
            .shared
            .runtime
            .spawn(send(shared, link.clone(), message, checkpoint));
        // Raft has given up the one before, if there is one.
        if let Some(before) = link.snapshot.lock().replace(task.abort_handle()) {
            before.abort();
        }
    }
}

impl Shared {
    pub(crate) fn link(&self, id: MemberId) -> Option<Arc<Link>> {
        self.links.read().get(&id.0).cloned()
    }

    fn add(self: &Arc<Self>, id: MemberId, urls: Vec<String>, learned: bool) {
        if id == self.identity.member || *self.stopped.borrow() {
            return;
        }
        let mut links = self.links.write();
        match links.get(&id.0) {
            Some(link) if learned => link.nudge(),
            Some(link) => link.update(urls),
            None if learned && links.values().filter(|link| link.is_learned()).count() >= LEARNED_MAX => {}
            None => {
                links.insert(id.0, Link::start(id, urls, learned, self));
            }
        }
    }

    /// A member has connected to us. It may be one that we do not know yet: a leader whose addition is in the entries
    /// that it is about to send us must get our answers.
    pub(crate) fn heard_of(self: &Arc<Self>, id: MemberId, urls: Vec<String>) {
        self.add(id, urls, true);
    }

    pub(crate) fn inbox(&self) -> Option<&Arc<dyn Inbox>> {
        self.inbox.get()
    }

    /// Hands messages of one member to raft.
    pub(crate) fn step(&self, from: MemberId, batch: RaftBatch) -> Result<(), Status> {
        if batch.crc != sum::of_batch(&batch) {
            tracing::warn!(peer = %from, "raft messages were damaged on their way");
            return Err(Status::data_loss("raft messages were damaged on their way"));
        }
        if !batch
            .messages
            .iter()
            .all(|message| sender_of(message) == Some(from))
        {
            return Err(Status::invalid_argument(
                "a raft message in another member's name",
            ));
        }
        let Some(inbox) = self.inbox().filter(|_| !batch.messages.is_empty()) else {
            return Ok(());
        };
        match inbox.step_all(batch.messages) {
            // What does not fit is dropped: raft sends it again.
            Ok(()) | Err(StepError::Overloaded) => Ok(()),
            Err(error @ (StepError::Malformed(_) | StepError::WrongMember)) => {
                tracing::warn!(peer = %from, %error, "refused a raft message");
                Err(Status::invalid_argument(error.to_string()))
            }
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    pub(crate) fn report_unreachable(&self, id: MemberId) {
        if let Some(inbox) = self.inbox() {
            inbox.report_unreachable(id);
        }
    }

    pub(crate) fn report_snapshot(&self, id: MemberId, ok: bool) {
        if let Some(inbox) = self.inbox() {
            inbox.report_snapshot(id, ok);
        }
    }

    pub(crate) fn removed(&self) {
        if let Some(requests) = self.requests.get() {
            requests.removed();
        }
    }
}
