//! Clusters on memory stores, with real raft logs in a temporary directory.

use crate::net::{Link, Net};
use auth::Tokens;
use model::pb::etcdserverpb as pb;
use model::{ClusterId, MemberId, Reply, Request};
use node::{AutoCompaction, Bootstrap, Caller, Handle, Options, StoreOpener};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;
use storage::{Backend, Batch, Family};

/// Long enough for anything that is going to happen at all.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Cluster {
    pub net: Arc<Net>,
    pub nodes: HashMap<u64, Handle>,
    stores: Stores,
    dir: tempfile::TempDir,
    members: Vec<pb::Member>,
}

/// Memory stores by directory: they outlive their node, as files would.
#[derive(Clone, Default)]
struct Stores(Arc<Mutex<HashMap<PathBuf, Arc<MemoryBackend>>>>);

impl Stores {
    fn opener(&self) -> StoreOpener {
        let stores = self.0.clone();
        Arc::new(move |path: &Path| -> storage::Result<Arc<dyn Backend>> {
            let mut stores = stores.lock();
            if let Some(store) = stores.get(path) {
                return Ok(store.clone());
            }
            let store = Arc::new(MemoryBackend::open(path)?);
            stores.insert(path.to_owned(), store.clone());
            Ok(store)
        })
    }

    /// Takes back what was not flushed.
    fn crash(&self, below: &Path) {
        for (path, store) in self.0.lock().iter_mut() {
            if path.starts_with(below) {
                *store = Arc::new(store.crash());
            }
        }
    }
}

impl Cluster {
    /// A started cluster of `size` members with ids from 1 on.
    pub async fn start(size: u64) -> Cluster {
        Cluster::start_with(size, |_| {}).await
    }

    pub async fn start_with(size: u64, adjust: impl Fn(&mut Options)) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Cluster {
            net: Net::new(dir.path()),
            nodes: HashMap::new(),
            stores: Stores::default(),
            members: (1..=size).map(member).collect(),
            dir,
        };
        for id in 1..=size {
            cluster.run(id, &adjust);
        }
        for node in cluster.nodes.values() {
            within(node.ready()).await;
        }
        cluster
    }

    /// Starts a member on what its directory holds.
    pub fn run(&mut self, id: u64, adjust: impl Fn(&mut Options)) -> Handle {
        let bootstrap = Bootstrap::New {
            member: MemberId(id),
            cluster: ClusterId(7),
            members: self.members.clone(),
        };
        self.run_with(id, bootstrap, adjust)
    }

    /// Starts a new member that the cluster knows as `id`.
    pub fn run_joining(&mut self, id: u64, members: Vec<pb::Member>) -> Handle {
        let bootstrap = Bootstrap::Join {
            member: MemberId(id),
            cluster: ClusterId(7),
            members,
        };
        self.run_with(id, bootstrap, |_| {})
    }

    fn run_with(&mut self, id: u64, bootstrap: Bootstrap, adjust: impl Fn(&mut Options)) -> Handle {
        let link = Arc::new(Link {
            net: self.net.clone(),
            member: id,
        });
        let data_dir = self.dir_of(id);
        std::fs::create_dir_all(&data_dir).unwrap();
        let mut options = Options {
            data_dir,
            wal_dir: None,
            wal_files: None,
            surroundings: Arc::new(node::System),
            name: format!("m{id}"),
            client_urls: vec![format!("http://client-{id}:2379")],
            bootstrap,
            force_new_cluster: false,
            heartbeat: Duration::from_millis(20),
            election_timeout: Duration::from_millis(300),
            initial_election_tick_advance: true,
            pre_vote: true,
            snapshot_count: 10_000,
            flush_age: Duration::from_secs(60),
            snapshot_catchup_entries: 5_000,
            request_bytes_max: 1_572_864,
            quota_bytes: None,
            learners_max: 1,
            strict_reconfig_check: true,
            auto_compaction: AutoCompaction::Off,
            compaction_batch: 1000,
            compaction_pause: Duration::from_millis(1),
            reclaim_at_start: None,
            compaction_hash: false,
            large_value_bytes: Some(1),
            watch: watch::Options::default(),
            lease_checkpoints: false,
            version: "3.7.1".to_owned(),
            tokens: Arc::new(Tokens::open("simple", Duration::from_secs(300)).unwrap()),
            bcrypt_cost: 4,
            wal: wal::Options {
                fsync: false,
                ..wal::Options::default()
            },
            open_store: self.stores.opener(),
            peers: link.clone(),
            transport: link,
            registry: prometheus::Registry::new(),
        };
        adjust(&mut options);
        let node = Handle::start(options).unwrap();
        self.net.join(node.clone());
        self.nodes.insert(id, node.clone());
        node
    }

    pub fn node(&self, id: u64) -> &Handle {
        &self.nodes[&id]
    }

    pub async fn stop(&mut self, id: u64) {
        let node = self.nodes.remove(&id).unwrap();
        within(node.stop()).await;
        self.net.leave(MemberId(id));
    }

    /// Stops a member and takes what its store had not flushed.
    pub async fn crash(&mut self, id: u64) {
        // The flush of a graceful stop must not help: the store is taken back to where it was before.
        let before = self.dir_of(id);
        self.stores.crash(&before);
        self.stop(id).await;
    }

    /// Changes a byte in the history of a stopped member, in the newest record that holds it.
    pub fn damage(&self, id: u64, byte: u8) {
        let below = self.dir_of(id);
        let stores = self.stores.0.lock();
        let store = stores
            .iter()
            .find(|(path, _)| path.starts_with(&below))
            .unwrap()
            .1;
        let snapshot = store.snapshot().unwrap();
        let mut cursor = snapshot
            .scan(Family::Log, (Bound::Unbounded, Bound::Unbounded))
            .unwrap();
        let (key, mut value, place) = loop {
            let (key, value) = cursor.prev().unwrap().unwrap();
            if let Some(place) = value.iter().position(|found| *found == byte) {
                break (key.to_vec(), value.to_vec(), place);
            }
        };
        value[place] ^= 1;
        let mut batch = Batch::new();
        batch.put(Family::Log, key, value);
        drop(cursor);
        store.write(batch).unwrap();
    }

    pub async fn leader(&self) -> Handle {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(leader) = self.nodes.values().find(|node| node.is_leader()) {
                return leader.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "no leader");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn followers(&self) -> Vec<Handle> {
        let leader = self.leader().await.member_id();
        let others = self.nodes.values().filter(|node| node.member_id() != leader);
        others.cloned().collect()
    }

    fn dir_of(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("m{id}"))
    }
}

pub fn member(id: u64) -> pb::Member {
    pb::Member {
        id,
        name: format!("m{id}"),
        peer_urls: vec![format!("http://peer-{id}:2380")],
        ..Default::default()
    }
}

/// Fails the test rather than to wait for ever.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("took too long")
}

/// Waits until something holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn put(node: &Handle, key: &str, value: &str) -> node::Result<i64> {
    put_with_lease(node, key, value, 0).await
}

pub async fn put_with_lease(node: &Handle, key: &str, value: &str, lease: i64) -> node::Result<i64> {
    let request = Request::Put(pb::PutRequest {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        lease,
        ..Default::default()
    });
    match within(node.propose(request, &Caller::anonymous())).await? {
        Reply::Put(reply) => Ok(reply.header.unwrap().revision),
        other => panic!("{other:?}"),
    }
}

/// The value of a key, read linearizably.
pub async fn get(node: &Handle, key: &str) -> node::Result<Option<String>> {
    read(node, key, false).await
}

/// The value of a key as this member has it.
pub async fn get_local(node: &Handle, key: &str) -> Option<String> {
    read(node, key, true).await.unwrap()
}

async fn read(node: &Handle, key: &str, serializable: bool) -> node::Result<Option<String>> {
    use prost::Message;
    let request = pb::RangeRequest {
        key: key.to_owned().into(),
        serializable,
        ..Default::default()
    };
    let response = within(node.range(request, &Caller::anonymous())).await?;
    let value = |kv: &bytes::Bytes| {
        let kv = model::pb::mvccpb::KeyValue::decode(kv.clone()).unwrap();
        String::from_utf8(kv.value.to_vec()).unwrap()
    };
    Ok(response.kvs.first().map(value))
}

pub async fn grant(node: &Handle, ttl: i64) -> i64 {
    let request = pb::LeaseGrantRequest { id: 0, ttl };
    within(node.lease_grant(request, &Caller::anonymous()))
        .await
        .unwrap()
        .id
}
