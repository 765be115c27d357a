//! A server to talk to.

use api::etcdserverpb::auth_client::AuthClient;
use api::etcdserverpb::cluster_client::ClusterClient;
use api::etcdserverpb::kv_client::KvClient;
use api::etcdserverpb::lease_client::LeaseClient;
use api::etcdserverpb::maintenance_client::MaintenanceClient;
use api::etcdserverpb::watch_client::WatchClient;
use api::v3electionpb::election_client::ElectionClient;
use api::v3lockpb::lock_client::LockClient;
use bytes::Bytes;
use gateway::{Accept, Listener, Options, Traffic};
use model::pb::etcdserverpb as pb;
use model::pb::mvccpb::KeyValue;
use model::{ClusterId, LeaseId, MemberId};
use node::{AutoCompaction, Bootstrap, BoxFuture, Handle, Peers};
use prost::Message;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

pub const MEMBER: u64 = 0x8e9e05c52164694d;
pub const CLUSTER: u64 = 0xcdf818194e3a8c32;

/// A node of one member and its gateway.
pub struct Server {
    pub address: SocketAddr,
    pub node: Handle,
    pub shutdown: Option<oneshot::Sender<()>>,
    pub serving: JoinHandle<Result<(), gateway::Error>>,
    _data: TempDir,
}

impl Server {
    pub async fn start() -> Server {
        Server::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Server {
        Server::listening(options, |socket| Listener::plain(socket, Traffic::All)).await
    }

    /// One that takes connections with and without handshake.
    pub async fn secured(options: Options) -> Server {
        Server::listening(options, |socket| {
            Listener::either(socket, Traffic::All, Arc::new(crate::secure::Greeting))
        })
        .await
    }

    async fn listening(options: Options, listener: impl FnOnce(Accept) -> Listener) -> Server {
        let data = tempfile::tempdir().unwrap();
        let registry = prometheus::Registry::new();
        let node = Handle::start(node_options(&data, registry.clone())).unwrap();
        within(node.ready()).await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (shutdown, wait) = oneshot::channel();
        let listeners = vec![listener(Accept::Tcp(socket))];
        let serving = tokio::spawn(gateway::serve(
            options,
            listeners,
            node.clone(),
            registry,
            async {
                let _ = wait.await;
            },
        ));
        Server {
            address,
            node,
            shutdown: Some(shutdown),
            serving,
            _data: data,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url())
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub async fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel().await)
    }

    pub async fn watch(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel().await)
    }

    pub async fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel().await)
    }

    pub async fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel().await)
    }

    pub async fn maintenance(&self) -> MaintenanceClient<Channel> {
        MaintenanceClient::new(self.channel().await)
    }

    pub async fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel().await)
    }

    pub async fn lock(&self) -> LockClient<Channel> {
        LockClient::new(self.channel().await)
    }

    pub async fn election(&self) -> ElectionClient<Channel> {
        ElectionClient::new(self.channel().await)
    }

    pub async fn etcd(&self) -> etcd_client::Client {
        etcd_client::Client::connect([self.url()], None).await.unwrap()
    }

    /// Ends the gateway, then the node.
    pub async fn stop(mut self) {
        let _ = self.shutdown.take().unwrap().send(());
        within(&mut self.serving).await.unwrap().unwrap();
        within(self.node.stop()).await;
    }
}

fn node_options(data: &TempDir, registry: prometheus::Registry) -> node::Options {
    node::Options {
        data_dir: data.path().to_owned(),
        wal_dir: None,
        wal_files: None,
        surroundings: Arc::new(node::System),
        name: "one".into(),
        client_urls: vec!["http://127.0.0.1:2379".into()],
        bootstrap: Bootstrap::New {
            member: MemberId(MEMBER),
            cluster: ClusterId(CLUSTER),
            members: vec![pb::Member {
                id: MEMBER,
                name: "one".into(),
                peer_urls: vec!["http://127.0.0.1:2380".into()],
                ..Default::default()
            }],
        },
        force_new_cluster: false,
        heartbeat: Duration::from_millis(20),
        election_timeout: Duration::from_millis(200),
        initial_election_tick_advance: true,
        pre_vote: true,
        snapshot_count: 10_000,
        flush_age: Duration::from_secs(60),
        snapshot_catchup_entries: 5_000,
        request_bytes_max: 1536 * 1024,
        quota_bytes: None,
        learners_max: 1,
        strict_reconfig_check: true,
        auto_compaction: AutoCompaction::Off,
        compaction_batch: 1000,
        compaction_pause: Duration::from_millis(1),
        reclaim_at_start: None,
        compaction_hash: true,
        large_value_bytes: None,
        watch: watch::Options::default(),
        lease_checkpoints: false,
        version: "3.7.1".into(),
        tokens: Arc::new(auth::Tokens::open("simple", Duration::from_secs(300)).unwrap()),
        bcrypt_cost: 4,
        wal: wal::Options::default(),
        open_store: Arc::new(|path| Ok(Arc::new(MemoryBackend::open(path)?) as Arc<dyn storage::Backend>)),
        peers: Arc::new(Alone),
        transport: Arc::new(Alone),
        registry,
    }
}

/// The others of a member that has none.
struct Alone;

impl Peers for Alone {
    fn keep_alive(&self, _: MemberId, _: LeaseId) -> BoxFuture<node::Result<i64>> {
        Box::pin(async { Err(model::Rejection::NoLeader.into()) })
    }

    fn time_to_live(
        &self,
        _: MemberId,
        _: pb::LeaseTimeToLiveRequest,
    ) -> BoxFuture<node::Result<pb::LeaseTimeToLiveResponse>> {
        Box::pin(async { Err(model::Rejection::NoLeader.into()) })
    }

    fn promote(&self, _: MemberId, _: MemberId) -> BoxFuture<node::Result<Vec<pb::Member>>> {
        Box::pin(async { Err(model::Rejection::NoLeader.into()) })
    }

    fn version(&self, _: MemberId) -> BoxFuture<Option<String>> {
        Box::pin(async { None })
    }

    fn connected_for(&self, _: MemberId) -> Option<Duration> {
        None
    }

    fn members_changed(&self, _: &[pb::Member]) {}
}

impl raft_engine::Transport for Alone {
    fn send(&self, _: u64, _: Vec<Bytes>) {}

    fn send_snapshot(&self, _: u64, _: Bytes, _: raft_engine::Checkpoint) {}
}

/// Nothing in these tests takes long: what does not come, never comes.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("takes too long")
}

/// The refusal of a call, as code and text.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String) {
    let status = result.expect_err("should have been refused");
    (status.code(), status.message().to_owned())
}

pub fn put(key: &'static str, value: &'static str) -> pb::PutRequest {
    pb::PutRequest {
        key: key.into(),
        value: value.into(),
        ..Default::default()
    }
}

pub fn get(key: &'static str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: key.into(),
        ..Default::default()
    }
}

/// All keys from `a` to before `b`.
pub fn range(from: &'static str, to: &'static str) -> pb::RangeRequest {
    pb::RangeRequest {
        key: from.into(),
        range_end: to.into(),
        ..Default::default()
    }
}

pub fn kv(encoded: &Bytes) -> KeyValue {
    KeyValue::decode(encoded.clone()).unwrap()
}

/// `key=value` of each.
pub fn pairs(kvs: &[Bytes]) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    kvs.iter()
        .map(|encoded| {
            let kv = kv(encoded);
            format!("{}={}", text(&kv.key), text(&kv.value))
        })
        .collect()
}

/// Users root and ada; ada may read and write `a/`.
pub async fn locked_down(server: &Server) {
    let mut client = server.etcd().await;
    client.role_add("writer").await.unwrap();
    let permission = etcd_client::Permission::new(etcd_client::PermissionType::Readwrite, "a/").with_prefix();
    client.role_grant_permission("writer", permission).await.unwrap();
    for (user, role) in [("root", "root"), ("ada", "writer")] {
        client.user_add(user, format!("{user}'s"), None).await.unwrap();
        client.user_grant_role(user, role).await.unwrap();
    }
    client.auth_enable().await.unwrap();
}
