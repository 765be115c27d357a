//! The other members, as far as talking to them goes.
#![expect(unused_variables, clippy::todo, reason = "skeleton")]

use crate::{Accepting, Connector, Error, Identity, Inbox, Requests, Versions};
use bytes::Bytes;
use futures::stream::BoxStream;
use model::MemberId;
use model::pb::etcdserverpb as pb;
use raft_engine::{Checkpoint, Transport};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// Snapshots are sent no faster than this, in bytes per second; 0 is unlimited.
    pub snapshot_rate: u64,
}

/// The other members: sends to them, serves them. Cheap to clone. Must be made within a tokio runtime, in which its
/// tasks then run; after that the [`Transport`] may be used from any thread.
#[derive(Clone)]
pub struct Peers {}

impl Peers {
    /// Without members yet. Messages that come in before [`Peers::attach`] are dropped.
    pub fn new(options: Options) -> io::Result<Self> {
        todo!()
    }

    /// Says where raft messages that come in go. Once.
    pub fn attach(&self, inbox: Arc<dyn Inbox>) {
        todo!()
    }

    /// Begins talking to a member. Known ones get new URLs.
    pub fn add(&self, id: MemberId, urls: Vec<String>) {
        todo!()
    }

    /// Changes a member's URLs; connects anew if they differ.
    pub fn update(&self, id: MemberId, urls: Vec<String>) {
        todo!()
    }

    /// Stops talking to a member.
    pub fn remove(&self, id: MemberId) {
        todo!()
    }

    /// Members talked to at present.
    pub fn members(&self) -> Vec<MemberId> {
        todo!()
    }

    /// For how long messages have been getting through to the member; `None` if they do not.
    pub fn connected_for(&self, id: MemberId) -> Option<Duration> {
        todo!()
    }

    /// Serves connections from other members until `stop` is ready.
    pub async fn serve(
        &self,
        incoming: BoxStream<'static, io::Result<Accepting>>,
        requests: Arc<dyn Requests>,
        stop: impl Future<Output = ()> + Send + 'static,
    ) {
        todo!()
    }

    /// Asks `leader` to renew a lease.
    pub async fn keep_alive(
        &self,
        leader: MemberId,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, Error> {
        todo!()
    }

    /// Asks `leader` how long a lease still lives.
    pub async fn time_to_live(
        &self,
        leader: MemberId,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, Error> {
        todo!()
    }

    /// Asks `leader` to promote a learner.
    pub async fn promote(
        &self,
        leader: MemberId,
        request: pb::MemberPromoteRequest,
    ) -> Result<pb::MemberPromoteResponse, Error> {
        todo!()
    }

    /// Asks a member for the hash of its keys.
    pub async fn hash_kv(
        &self,
        id: MemberId,
        request: pb::HashKvRequest,
    ) -> Result<pb::HashKvResponse, Error> {
        todo!()
    }

    /// Asks a member for its versions.
    pub async fn version_of(&self, id: MemberId) -> Result<Versions, Error> {
        todo!()
    }

    /// Ends all tasks and connections. Messages sent after that are dropped.
    pub fn stop(&self) {
        todo!()
    }
}

impl Transport for Peers {
    fn send(&self, to: u64, messages: Vec<Bytes>) {
        todo!()
    }

    fn send_snapshot(&self, to: u64, message: Bytes, checkpoint: Checkpoint) {
        todo!()
    }
}
