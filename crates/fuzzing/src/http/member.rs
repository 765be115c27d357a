//! The listener of a member whose raft takes everything that is well-formed.

use bytes::Bytes;
use futures::{StreamExt, stream};
use model::pb::etcdserverpb as pb;
use model::{ClusterId, MemberId, Rejection};
use peer::{Accepting, Identity, Inbox, Options, Peers, Plain, Requests, Versions};
use raft_engine::{PeerMessage, StepError};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

type Listener = mpsc::Sender<DuplexStream>;

/// A connection to it; begun by the first who asks, and kept for as long as the process lives.
pub(super) async fn connect() -> DuplexStream {
    static LISTENER: OnceLock<Listener> = OnceLock::new();
    let (near, far) = tokio::io::duplex(1 << 16);
    let listener = LISTENER.get_or_init(start);
    listener.send(far).await.expect("the member listens");
    near
}

fn start() -> Listener {
    // Stays: there is no moment at which the last connection ends.
    let dir = crate::scratch::directory().keep();
    let peers = Peers::new(Options {
        identity: Identity {
            cluster: ClusterId(1),
            member: MemberId(1),
            version: "3.7.1".into(),
            peer_urls: vec!["http://127.0.0.1:2380".into()],
        },
        connector: Arc::new(Plain),
        snapshot_dir: dir.join("snapshots"),
        connect_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(1),
        message_bytes_max: 1 << 20,
        connections_max: 256,
        snapshot_rate: 0,
        registry: prometheus::Registry::new(),
    });
    let peers = peers.expect("a directory of our own");
    peers.attach(Arc::new(Raft));
    let (listener, connections) = mpsc::channel::<DuplexStream>(8);
    let incoming = stream::unfold(connections, async |mut connections| {
        let stream = connections.recv().await?;
        let ready: io::Result<peer::BoxIo> = Ok(Box::new(stream));
        let accepting = Accepting {
            from: String::new(),
            ready: Box::pin(std::future::ready(ready)),
        };
        Some((Ok(accepting), connections))
    });
    tokio::spawn(async move {
        peers
            .serve(incoming.boxed(), Arc::new(Node), std::future::pending())
            .await;
    });
    listener
}

/// Takes what raft would be given.
struct Raft;

impl Inbox for Raft {
    fn step_all(&self, messages: Vec<Bytes>) -> Result<(), StepError> {
        for message in messages {
            PeerMessage::decode(message).map_err(StepError::Malformed)?;
        }
        Ok(())
    }

    fn install_snapshot(&self, message: Bytes, dir: PathBuf) -> Result<(), StepError> {
        let _ = std::fs::remove_dir_all(dir);
        PeerMessage::decode(message).map_err(StepError::Malformed)?;
        Ok(())
    }

    fn report_unreachable(&self, _: MemberId) {}

    fn report_snapshot(&self, _: MemberId, _: bool) {}
}

/// Has nothing to answer.
struct Node;

#[peer::async_trait]
impl Requests for Node {
    async fn keep_alive(
        &self,
        _: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, Rejection> {
        Err(Rejection::NotLeader)
    }

    async fn time_to_live(
        &self,
        _: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Rejection> {
        Err(Rejection::NotLeader)
    }

    async fn promote(&self, _: pb::MemberPromoteRequest) -> Result<pb::MemberPromoteResponse, Rejection> {
        Err(Rejection::NotLeader)
    }

    async fn hash_kv(&self, _: pb::HashKvRequest) -> Result<pb::HashKvResponse, Rejection> {
        Err(Rejection::NotLeader)
    }

    fn versions(&self) -> Versions {
        Versions {
            server: "3.7.1".into(),
            cluster: "3.7.0".into(),
            storage: String::new(),
            quorate: String::new(),
        }
    }

    fn members(&self) -> Vec<pb::Member> {
        Vec::new()
    }

    fn is_removed(&self, id: MemberId) -> bool {
        id == MemberId(9)
    }

    fn downgrade_enabled(&self) -> bool {
        false
    }

    fn healthy(&self) -> bool {
        true
    }

    fn removed(&self) {}
}
