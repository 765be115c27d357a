//! The ends of the simulated network: what members and clients send is put into one outbox, in order.

use crate::call::{Call, Done, User};
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::{LeaseId, MemberId, Revision};
use node::{BoxFuture, Error, Handle, Peers, Result};
use parking_lot::Mutex;
use raft_engine::{Checkpoint, Transport};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Who sends and receives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Party {
    /// A member, by id.
    Member(u64),
    /// All clients together.
    Clients,
}

/// Something on its way.
pub struct Parcel {
    /// Sender.
    pub from: Party,
    /// Receiver.
    pub to: Party,
    /// What.
    pub letter: Letter,
}

/// What travels.
pub enum Letter {
    /// Raft messages, as one packet.
    Raft(Vec<Bytes>),
    /// A snapshot with its files.
    Snapshot(Bytes, Checkpoint),
    /// To the sender of a snapshot: whether it arrived at the member.
    SnapshotReport(u64, bool),
    /// A question between members, by number.
    Ask(u64, Ask),
    /// Its answer.
    Told(u64, Result<Told>),
    /// A call of a client, by number, and on whose behalf.
    Call(u64, Call, User),
    /// Its answer.
    Reply(u64, Result<Done>),
    /// Opens a watch, by number; the delay that its reader makes between responses, in milliseconds.
    Watch(u64, pb::WatchCreateRequest, u64),
    /// Asks a watch for progress.
    WatchProgress(u64),
    /// The reader of a watch is gone.
    WatchClose(u64),
    /// A response on a watch; `None` at its end.
    Watched(u64, Option<pb::WatchResponse>),
}

impl Letter {
    /// Whether forwarded proposals are in it. The transport must not deliver those twice: they would be carried out
    /// twice.
    pub fn proposes(&self) -> bool {
        // A raft message begins with its type, field 1; 2 is MsgPropose.
        match self {
            Letter::Raft(messages) => messages.iter().any(|message| message.starts_with(&[0x08, 0x02])),
            _ => false,
        }
    }
}

/// What members ask each other.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// To renew a lease.
    KeepAlive(LeaseId),
    /// How long a lease lives.
    TimeToLive(pb::LeaseTimeToLiveRequest),
    /// To promote a learner.
    Promote(MemberId),
    /// Which version runs.
    Version,
    /// The hash of the keys.
    HashKv(Revision),
}

/// What members answer each other.
#[derive(Clone, Debug)]
pub enum Told {
    /// TTL.
    KeepAlive(i64),
    /// Time to live.
    TimeToLive(pb::LeaseTimeToLiveResponse),
    /// All members.
    Promoted(Vec<pb::Member>),
    /// Version.
    Version(String),
    /// Hash.
    HashKv(pb::HashKvResponse),
}

/// Version that all simulated members run.
pub const VERSION: &str = "3.7.1";

/// Carries out what another member asks.
pub async fn tell(node: &Handle, ask: Ask) -> Result<Told> {
    Ok(match ask {
        Ask::KeepAlive(lease) => Told::KeepAlive(node.keep_alive_as_leader(lease).await?),
        Ask::TimeToLive(request) => Told::TimeToLive(node.time_to_live_as_leader(request).await?),
        Ask::Promote(learner) => Told::Promoted(node.member_promote_as_leader(learner).await?.members),
        Ask::Version => Told::Version(VERSION.to_owned()),
        Ask::HashKv(revision) => Told::HashKv(node.hash_kv_unchecked(revision).await?),
    })
}

/// Everything that was sent and is not on its way yet.
#[derive(Clone, Default)]
pub struct Outbox {
    sent: Arc<Mutex<Vec<Parcel>>>,
    /// Faults are over: readers of watches are no longer slow.
    pub calm: Arc<AtomicBool>,
}

impl Outbox {
    /// Sends.
    pub fn put(&self, from: Party, to: Party, letter: Letter) {
        self.sent.lock().push(Parcel { from, to, letter });
    }

    /// Takes all there is.
    pub fn take(&self) -> Vec<Parcel> {
        std::mem::take(&mut *self.sent.lock())
    }
}

/// One member's end.
pub struct Link {
    /// The member.
    pub member: u64,
    /// Where its letters go.
    pub outbox: Outbox,
    /// Questions that wait for their answers.
    pub asked: Mutex<Asked>,
    /// Since when each other member is connected, by the clock of the world.
    pub connected: Mutex<BTreeMap<u64, u64>>,
    /// That clock, at the process's last turn.
    pub now: AtomicU64,
}

/// Questions by number.
#[derive(Default)]
pub struct Asked {
    next: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Result<Told>>>,
}

impl Link {
    /// The end of a member that has just started.
    pub fn new(member: u64, outbox: Outbox, life: u64) -> Arc<Link> {
        let asked = Asked {
            // Answers to an earlier life find nobody.
            next: life << 32,
            ..Asked::default()
        };
        Arc::new(Link {
            member,
            outbox,
            asked: Mutex::new(asked),
            connected: Mutex::default(),
            now: AtomicU64::new(0),
        })
    }

    /// An answer has arrived.
    pub fn told(&self, number: u64, answer: Result<Told>) {
        if let Some(sender) = self.asked.lock().waiting.remove(&number) {
            let _ = sender.send(answer);
        }
    }

    fn ask(&self, to: MemberId, ask: Ask) -> BoxFuture<Result<Told>> {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut asked = self.asked.lock();
            asked.next += 1;
            let number = asked.next;
            asked.waiting.insert(number, sender);
            number
        };
        self.outbox.put(
            Party::Member(self.member),
            Party::Member(to.0),
            Letter::Ask(number, ask),
        );
        Box::pin(async move {
            let broken = || Error::Fault("the connection broke".to_owned());
            receiver.await.unwrap_or_else(|_| Err(broken()))
        })
    }
}

fn other<T>() -> Result<T> {
    Err(Error::Fault("another answer than asked for".to_owned()))
}

impl Transport for Link {
    fn send(&self, to: u64, messages: Vec<Bytes>) {
        let (from, to) = (Party::Member(self.member), Party::Member(to));
        self.outbox.put(from, to, Letter::Raft(messages));
    }

    fn send_snapshot(&self, to: u64, message: Bytes, checkpoint: Checkpoint) {
        let (from, to) = (Party::Member(self.member), Party::Member(to));
        self.outbox.put(from, to, Letter::Snapshot(message, checkpoint));
    }
}

impl Peers for Link {
    fn keep_alive(&self, leader: MemberId, lease: LeaseId) -> BoxFuture<Result<i64>> {
        let told = self.ask(leader, Ask::KeepAlive(lease));
        Box::pin(async move {
            match told.await? {
                Told::KeepAlive(ttl) => Ok(ttl),
                _ => other(),
            }
        })
    }

    fn time_to_live(
        &self,
        leader: MemberId,
        request: pb::LeaseTimeToLiveRequest,
    ) -> BoxFuture<Result<pb::LeaseTimeToLiveResponse>> {
        let told = self.ask(leader, Ask::TimeToLive(request));
        Box::pin(async move {
            match told.await? {
                Told::TimeToLive(response) => Ok(response),
                _ => other(),
            }
        })
    }

    fn promote(&self, leader: MemberId, learner: MemberId) -> BoxFuture<Result<Vec<pb::Member>>> {
        let told = self.ask(leader, Ask::Promote(learner));
        Box::pin(async move {
            match told.await? {
                Told::Promoted(members) => Ok(members),
                _ => other(),
            }
        })
    }

    fn version(&self, member: MemberId) -> BoxFuture<Option<String>> {
        let told = self.ask(member, Ask::Version);
        Box::pin(async move {
            match told.await {
                Ok(Told::Version(version)) => Some(version),
                _ => None,
            }
        })
    }

    fn hash_kv(&self, member: MemberId, revision: Revision) -> BoxFuture<Result<pb::HashKvResponse>> {
        let told = self.ask(member, Ask::HashKv(revision));
        Box::pin(async move {
            match told.await? {
                Told::HashKv(response) => Ok(response),
                _ => other(),
            }
        })
    }

    fn connected_for(&self, member: MemberId) -> Option<Duration> {
        let since = *self.connected.lock().get(&member.0)?;
        let now = self.now.load(Ordering::Relaxed);
        Some(Duration::from_nanos(now.saturating_sub(since)))
    }

    fn members_changed(&self, _members: &[pb::Member]) {}
}
