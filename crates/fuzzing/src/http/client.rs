//! A node of one member behind a gateway.

use bytes::Bytes;
use gateway::{Accept, Listener, Traffic};
use model::pb::etcdserverpb as pb;
use model::{ClusterId, LeaseId, MemberId, Rejection};
use node::{AutoCompaction, Bootstrap, BoxFuture, Handle, Peers};
use raft_engine::{Checkpoint, Transport};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use storage::memory::MemoryBackend;
use tokio::net::{UnixListener, UnixStream};

/// Where it listens; begun by the first who asks, and kept for as long as the process lives.
pub(super) async fn connect() -> UnixStream {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = match PATH.get() {
        Some(path) => path.clone(),
        None => {
            let path = start().await;
            PATH.get_or_init(|| path).clone()
        }
    };
    UnixStream::connect(path).await.expect("the gateway listens")
}

async fn start() -> PathBuf {
    // Stays: there is no moment at which the last connection ends.
    let dir = crate::scratch::directory().keep();
    let registry = prometheus::Registry::new();
    let node = Handle::start(options(dir.join("data"), registry.clone())).expect("a member of one starts");
    node.ready().await;
    let path = dir.join("socket");
    let socket = UnixListener::bind(&path).expect("a path of our own");
    let options = gateway::Options {
        rpc_threads: 1,
        ..gateway::Options::default()
    };
    let listeners = vec![Listener::plain(Accept::Unix(socket), Traffic::All)];
    tokio::spawn(gateway::serve(
        options,
        listeners,
        node,
        registry,
        std::future::pending(),
    ));
    path
}

fn options(data_dir: PathBuf, registry: prometheus::Registry) -> node::Options {
    let id = MemberId(1);
    node::Options {
        data_dir,
        wal_dir: None,
        wal_files: None,
        surroundings: Arc::new(node::System),
        name: "one".into(),
        client_urls: vec!["http://127.0.0.1:2379".into()],
        bootstrap: Bootstrap::New {
            member: id,
            cluster: ClusterId(1),
            members: vec![pb::Member {
                id: id.0,
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
        tokens: Arc::new(auth::Tokens::open("simple", Duration::from_secs(300)).expect("simple tokens")),
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
        Box::pin(async { Err(Rejection::NoLeader.into()) })
    }

    fn time_to_live(
        &self,
        _: MemberId,
        _: pb::LeaseTimeToLiveRequest,
    ) -> BoxFuture<node::Result<pb::LeaseTimeToLiveResponse>> {
        Box::pin(async { Err(Rejection::NoLeader.into()) })
    }

    fn promote(&self, _: MemberId, _: MemberId) -> BoxFuture<node::Result<Vec<pb::Member>>> {
        Box::pin(async { Err(Rejection::NoLeader.into()) })
    }

    fn version(&self, _: MemberId) -> BoxFuture<Option<String>> {
        Box::pin(async { None })
    }

    fn connected_for(&self, _: MemberId) -> Option<Duration> {
        None
    }

    fn members_changed(&self, _: &[pb::Member]) {}
}

impl Transport for Alone {
    fn send(&self, _: u64, _: Vec<Bytes>) {}

    fn send_snapshot(&self, _: u64, _: Bytes, _: Checkpoint) {}
}
