//! The way between nodes of one process: messages are handed over directly, unless a link is cut.

use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::{LeaseId, MemberId, Revision};
use node::{BoxFuture, Error, Handle, Peers, Result};
use parking_lot::Mutex;
use raft_engine::{Checkpoint, Transport};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// All nodes of a test.
#[derive(Default)]
pub struct Net {
    nodes: Mutex<HashMap<u64, Handle>>,
    /// Members that nothing reaches and that reach nobody.
    cut: Mutex<HashSet<u64>>,
    dir: PathBuf,
}

impl Net {
    pub fn new(dir: &Path) -> Arc<Net> {
        Arc::new(Net {
            dir: dir.to_owned(),
            ..Net::default()
        })
    }

    pub fn join(&self, node: Handle) {
        self.nodes.lock().insert(node.member_id().0, node);
    }

    pub fn leave(&self, member: MemberId) {
        self.nodes.lock().remove(&member.0);
    }

    pub fn cut_off(&self, member: MemberId) {
        self.cut.lock().insert(member.0);
    }

    pub fn heal(&self) {
        self.cut.lock().clear();
    }

    fn reach(&self, from: u64, to: u64) -> Option<Handle> {
        let cut = self.cut.lock();
        if cut.contains(&from) || cut.contains(&to) {
            return None;
        }
        self.nodes.lock().get(&to).cloned()
    }
}

/// One member's end of the net.
pub struct Link {
    pub net: Arc<Net>,
    pub member: u64,
}

impl Link {
    fn peer(&self, to: MemberId) -> Result<Handle> {
        let peer = self.net.reach(self.member, to.0);
        peer.ok_or_else(|| Error::Fault("no connection".to_owned()))
    }
}

impl Transport for Link {
    fn send(&self, to: u64, messages: Vec<Bytes>) {
        if let Some(peer) = self.net.reach(self.member, to)
            && let Ok(raft) = peer.raft()
        {
            let _ = raft.step_all(messages);
        }
    }

    fn send_snapshot(&self, to: u64, message: Bytes, checkpoint: Checkpoint) {
        let (net, from) = (self.net.clone(), self.member);
        std::thread::spawn(move || {
            let arrived = net.reach(from, to).is_some_and(|peer| {
                let dir = net.dir.join(format!("received-{to}-{}", checkpoint.index()));
                let _ = std::fs::remove_dir_all(&dir);
                copy(checkpoint.path(), &dir);
                peer.raft()
                    .is_ok_and(|raft| raft.install_snapshot(message, dir).is_ok())
            });
            let sender = net.nodes.lock().get(&from).cloned();
            if let Some(sender) = sender
                && let Ok(raft) = sender.raft()
            {
                raft.report_snapshot(to, arrived);
            }
        });
    }
}

impl Peers for Link {
    fn keep_alive(&self, leader: MemberId, lease: LeaseId) -> BoxFuture<Result<i64>> {
        let peer = self.peer(leader);
        Box::pin(async move { peer?.keep_alive_as_leader(lease).await })
    }

    fn time_to_live(
        &self,
        leader: MemberId,
        request: pb::LeaseTimeToLiveRequest,
    ) -> BoxFuture<Result<pb::LeaseTimeToLiveResponse>> {
        let peer = self.peer(leader);
        Box::pin(async move { peer?.time_to_live_as_leader(request).await })
    }

    fn promote(&self, leader: MemberId, learner: MemberId) -> BoxFuture<Result<Vec<pb::Member>>> {
        let peer = self.peer(leader);
        Box::pin(async move { Ok(peer?.member_promote_as_leader(learner).await?.members) })
    }

    fn version(&self, member: MemberId) -> BoxFuture<Option<String>> {
        let up = self.net.reach(self.member, member.0).is_some();
        Box::pin(async move { up.then(|| "3.7.1".to_owned()) })
    }

    fn hash_kv(&self, member: MemberId, revision: Revision) -> BoxFuture<Result<pb::HashKvResponse>> {
        let peer = self.peer(member);
        Box::pin(async move { peer?.hash_kv_unchecked(revision).await })
    }

    fn connected_for(&self, member: MemberId) -> Option<Duration> {
        self.net
            .reach(self.member, member.0)
            .map(|_| Duration::from_secs(60))
    }

    fn members_changed(&self, _members: &[pb::Member]) {}
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
