//! Members without raft behind them, and wires that can be cut.

use api::quorate::peer::RaftBatch;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use model::pb::etcdserverpb as pb;
use model::{ClusterId, MemberId, Rejection};
use peer::{
    Accepting, BoxIo, Connector, Identity, Inbox, Options, Peers, Plain, Requests, Versions, accept_tcp,
};
use raft_engine::StepError;
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::watch;
use url::Url;

pub const CLUSTER: ClusterId = ClusterId(0xc1);

/// Longer than anything here takes, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A raft message (type, to, from) with a body that is no part of raft's format; enough for a transport.
pub fn message(from: MemberId, body: &str) -> Bytes {
    let mut bytes = vec![0x08, 0x03, 0x10, 0x01, 0x18, from.0 as u8];
    bytes.extend_from_slice(&[0x62, body.len() as u8]);
    bytes.extend_from_slice(body.as_bytes());
    bytes.into()
}

/// A checksum as the protocol's description has it.
pub fn sum<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let framed = parts.into_iter();
    let framed = framed.flat_map(|part| [&(part.len() as u64).to_le_bytes(), part].concat());
    crc32c::crc32c(&framed.collect::<Vec<u8>>())
}

/// What carries messages.
pub fn batch(messages: Vec<Bytes>) -> RaftBatch {
    RaftBatch {
        crc: sum(messages.iter().map(|message| &message[..])),
        messages,
    }
}

pub fn body(message: &Bytes) -> String {
    String::from_utf8_lossy(&message[8..]).into_owned()
}

/// What came in for raft.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub messages: Vec<Bytes>,
    pub batches: usize,
    pub snapshots: Vec<(Bytes, PathBuf)>,
    pub unreachable: Vec<MemberId>,
    pub reports: Vec<(MemberId, bool)>,
}

#[derive(Default)]
pub struct Raft {
    received: watch::Sender<Received>,
}

impl Raft {
    /// Waits until what came in fulfils a condition.
    pub async fn until(&self, what: &str, condition: impl FnMut(&Received) -> bool) -> Received {
        let mut received = self.received.subscribe();
        let waiting = received.wait_for(condition);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(received) => received.expect("the sender lives").clone(),
            Err(_) => panic!("never: {what}"),
        }
    }

    pub fn now(&self) -> Received {
        self.received.borrow().clone()
    }
}

impl Inbox for Raft {
    fn step_all(&self, messages: Vec<Bytes>) -> Result<(), StepError> {
        if messages.iter().any(|message| body(message) == "malformed") {
            return Err(StepError::Malformed("test"));
        }
        self.received.send_modify(|received| {
            received.messages.extend(messages);
            received.batches += 1;
        });
        Ok(())
    }

    fn install_snapshot(&self, message: Bytes, dir: PathBuf) -> Result<(), StepError> {
        self.received
            .send_modify(|received| received.snapshots.push((message, dir)));
        Ok(())
    }

    fn report_unreachable(&self, id: MemberId) {
        self.received
            .send_modify(|received| received.unreachable.push(id));
    }

    fn report_snapshot(&self, id: MemberId, ok: bool) {
        self.received
            .send_modify(|received| received.reports.push((id, ok)));
    }
}

/// What a node would answer.
#[derive(Default)]
pub struct Answers {
    pub gone: Mutex<HashSet<MemberId>>,
    pub was_removed: watch::Sender<bool>,
    pub unhealthy: AtomicBool,
}

#[tonic::async_trait]
impl Requests for Answers {
    async fn keep_alive(
        &self,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, Rejection> {
        match request.id {
            404 => Err(Rejection::LeaseNotFound),
            408 => std::future::pending().await,
            id => Ok(pb::LeaseKeepAliveResponse {
                id,
                ttl: 60,
                ..Default::default()
            }),
        }
    }

    async fn time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Rejection> {
        let keys = if request.keys {
            vec![Bytes::from_static(b"k")]
        } else {
            vec![]
        };
        Ok(pb::LeaseTimeToLiveResponse {
            id: request.id,
            ttl: 7,
            granted_ttl: 60,
            keys,
            ..Default::default()
        })
    }

    async fn promote(
        &self,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Rejection> {
        match request.id {
            404 => Err(Rejection::MemberNotFound),
            _ => Err(Rejection::LearnerNotReady),
        }
    }

    async fn hash_kv(&self, request: pb::HashKvRequest) -> Result<pb::HashKvResponse, Rejection> {
        Ok(pb::HashKvResponse {
            hash: 42,
            hash_revision: request.revision,
            ..Default::default()
        })
    }

    fn versions(&self) -> Versions {
        Versions {
            server: "3.7.1".to_owned(),
            cluster: "3.7.0".to_owned(),
            storage: "3.7.0".to_owned(),
            quorate: "0.1.0".to_owned(),
        }
    }

    fn members(&self) -> Vec<pb::Member> {
        vec![
            pb::Member {
                id: 0x8e9e_05c5_2164_694d,
                name: "a".to_owned(),
                peer_urls: vec!["http://a:2380".to_owned()],
                client_urls: vec!["http://a:2379".to_owned()],
                is_learner: false,
            },
            pb::Member {
                id: 2,
                peer_urls: vec!["http://b:2380".to_owned()],
                is_learner: true,
                ..Default::default()
            },
        ]
    }

    fn is_removed(&self, id: MemberId) -> bool {
        self.gone.lock().expect("lock").contains(&id)
    }

    fn downgrade_enabled(&self) -> bool {
        false
    }

    fn healthy(&self) -> bool {
        !self.unhealthy.load(Ordering::Relaxed)
    }

    fn removed(&self) {
        self.was_removed.send_replace(true);
    }
}

/// Connections to anywhere that can all be cut, now or after so many bytes.
pub struct Wire {
    generation: watch::Sender<u64>,
    budget: AtomicI64,
    pub written: AtomicU64,
}

impl Wire {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            generation: watch::Sender::new(0),
            budget: AtomicI64::new(i64::MAX),
            written: AtomicU64::new(0),
        })
    }

    /// Cuts all connections that are open.
    pub fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Cuts all connections once so many bytes more were written.
    pub fn cut_after(&self, bytes: i64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

pub struct Wired(pub Arc<Wire>);

impl Connector for Wired {
    fn connect(&self, url: Url) -> BoxFuture<'static, io::Result<BoxIo>> {
        let wire = self.0.clone();
        async move {
            let mut generation = wire.generation.subscribe();
            let io = Plain.connect(url).await?;
            generation.mark_unchanged();
            let cut = async move { generation.changed().await.unwrap_or_default() }.boxed();
            Ok(Box::new(Cuttable { io, cut, wire }) as BoxIo)
        }
        .boxed()
    }
}

/// A firewall around a member: nobody can be reached from inside.
pub struct Walled;

impl Connector for Walled {
    fn connect(&self, _: Url) -> BoxFuture<'static, io::Result<BoxIo>> {
        std::future::ready(Err(io::ErrorKind::PermissionDenied.into())).boxed()
    }
}

struct Cuttable {
    io: BoxIo,
    cut: BoxFuture<'static, ()>,
    wire: Arc<Wire>,
}

impl Cuttable {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.poll_unpin(context) {
            Poll::Ready(()) => {
                self.cut = std::future::ready(()).boxed();
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.io).poll_read(context, buf)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.io).poll_write(context, buf);
        if let Poll::Ready(Ok(bytes)) = written {
            self.wire.written.fetch_add(bytes as u64, Ordering::SeqCst);
            let left = self.wire.budget.fetch_sub(bytes as i64, Ordering::SeqCst) - bytes as i64;
            if left <= 0 {
                self.wire.budget.store(i64::MAX, Ordering::SeqCst);
                self.wire.cut();
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// A member that listens on a free port.
pub struct Node {
    pub id: MemberId,
    pub url: String,
    pub peers: Peers,
    pub raft: Arc<Raft>,
    pub answers: Arc<Answers>,
    pub wire: Arc<Wire>,
    pub dir: TempDir,
}

impl Node {
    pub async fn start(id: u64) -> Self {
        Self::start_in(CLUSTER, id).await
    }

    pub async fn start_in(cluster: ClusterId, id: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let wire = Wire::new();
        let connector = Arc::new(Wired(wire.clone()));
        Self::start_with(cluster, id, url, accept_tcp(listener), connector, wire)
    }

    /// One that cannot connect to others.
    pub async fn start_walled(id: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        Self::start_with(
            CLUSTER,
            id,
            url,
            accept_tcp(listener),
            Arc::new(Walled),
            Wire::new(),
        )
    }

    pub fn start_with(
        cluster: ClusterId,
        id: u64,
        url: String,
        incoming: BoxStream<'static, io::Result<Accepting>>,
        connector: Arc<dyn Connector>,
        wire: Arc<Wire>,
    ) -> Self {
        let id = MemberId(id);
        let dir = tempfile::tempdir().expect("tempdir");
        let peers = Peers::new(Options {
            identity: Identity {
                cluster,
                member: id,
                version: "3.7.1".to_owned(),
                peer_urls: vec![url.clone()],
            },
            connector,
            snapshot_dir: dir.path().join("incoming"),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_millis(500),
            message_bytes_max: 16 << 20,
            connections_max: 256,
            snapshot_rate: 0,
            registry: prometheus::Registry::new(),
        })
        .expect("peers");
        let raft = Arc::new(Raft::default());
        let answers = Arc::new(Answers::default());
        peers.attach(raft.clone());
        let (serving, requests) = (peers.clone(), answers.clone());
        tokio::spawn(async move { serving.serve(incoming, requests, std::future::pending()).await });
        Self {
            id,
            url,
            peers,
            raft,
            answers,
            wire,
            dir,
        }
    }

    /// Tells this node of another.
    pub fn knows(&self, other: &Node) {
        self.peers.add(other.id, vec![other.url.clone()]);
    }

    pub fn send(&self, to: &Node, bodies: &[&str]) {
        let messages = bodies.iter().map(|body| message(self.id, body)).collect();
        raft_engine::Transport::send(&self.peers, to.id.0, messages);
    }

    /// Waits until messages get through to the other; raft would do it by sending heartbeats.
    pub async fn connected(&self, to: &Node) {
        let connected = async {
            while self.peers.connected_for(to.id).is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, connected)
            .await
            .expect("never connected");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.peers.stop();
    }
}
