//! Who waits for what: requests by id, and applied indexes.

use crate::mailbox::Mailbox;
use model::{LogIndex, MemberId, Rejection, Reply};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Answer to a proposal.
pub(crate) type Answer = Result<Reply, Rejection>;

/// Enough that the apply thread and the threads of requests hardly ever meet at one.
const SHARDS: usize = 64;

/// Proposals of this member that wait to be applied, by request id.
///
/// Ids are etcd's: 16 bits of the member's id, 40 bits of the time of day at the start, then a counter, so that no id
/// of another member or of an earlier run is taken for one of ours.
pub(crate) struct Requests {
    next: AtomicU64,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<u64, Waiting, BuildHasherDefault<Id>>;

/// Where the answer to a request goes.
pub(crate) struct Waiting {
    pub sender: oneshot::Sender<Answer>,
    /// That of the thread the caller waits on, if it has one.
    pub mailbox: Option<Arc<Mailbox>>,
}

/// Ids count up: they spread by themselves.
#[derive(Default)]
struct Id(u64);

impl Hasher for Id {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

/// A registered request. Dropped without an answer it is forgotten: its caller has gone.
pub(crate) struct Waiter<'a> {
    requests: &'a Requests,
    pub id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Requests {
    pub fn new(member: MemberId, time_of_day: Duration) -> Requests {
        let millis = time_of_day.as_millis() as u64;
        let first = (member.0 << 48) | ((millis << 24) >> 16);
        Requests {
            next: AtomicU64::new(first),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// An id that nobody else uses.
    pub fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn register(&self, mailbox: Option<Arc<Mailbox>>) -> Waiter<'_> {
        let id = self.next_id();
        let (sender, answer) = oneshot::channel();
        self.shard(id).lock().insert(id, Waiting { sender, mailbox });
        Waiter {
            requests: self,
            id,
            answer,
        }
    }

    /// Who waits for this request, if anybody does on this member. To be answered once its effect is published.
    pub fn take(&self, id: u64) -> Option<Waiting> {
        self.shard(id).lock().remove(&id)
    }

    /// Number of requests that wait.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Answers all that wait with `server stopped`.
    pub fn fail_all(&self) {
        for shard in &self.shards {
            for (_, waiting) in shard.lock().drain() {
                let _ = waiting.sender.send(Err(Rejection::Stopped));
            }
        }
    }

    fn shard(&self, id: u64) -> &Mutex<Shard> {
        &self.shards[id as usize % SHARDS]
    }
}

impl Waiter<'_> {
    /// The answer; `None` if the node gave up on it.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.requests.take(self.id);
    }
}

/// Those who wait for an index to be applied here.
#[derive(Default)]
pub(crate) struct AppliedWaiters {
    applied: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Vec<oneshot::Sender<()>>>>,
}

impl AppliedWaiters {
    pub fn applied(&self) -> LogIndex {
        LogIndex(self.applied.load(Ordering::Acquire))
    }

    /// `index` is applied and published.
    pub fn advance(&self, index: u64) {
        self.applied.store(index, Ordering::Release);
        let ready = {
            let mut waiting = self.waiting.lock();
            if waiting.first_key_value().is_none_or(|(first, _)| *first > index) {
                return;
            }
            let later = waiting.split_off(&(index + 1));
            std::mem::replace(&mut *waiting, later)
        };
        for sender in ready.into_values().flatten() {
            let _ = sender.send(());
        }
    }

    /// Resolves when `index` is applied; with an error if the node stops before.
    pub fn wait(&self, index: u64) -> Option<oneshot::Receiver<()>> {
        let mut waiting = self.waiting.lock();
        // Looked at under the lock: `advance` stores first and takes the lock afterwards.
        if self.applied.load(Ordering::Acquire) >= index {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        waiting.entry(index).or_default().push(sender);
        Some(receiver)
    }

    /// Lets all that wait fail.
    pub fn fail_all(&self) {
        self.waiting.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_the_member_and_do_not_repeat() {
        let requests = Requests::new(MemberId(0x1234_5678_9abc_def0), Duration::from_secs(1));
        let (first, second) = (requests.next_id(), requests.next_id());
        assert_eq!(first >> 48, 0xdef0);
        assert_eq!(second, first + 1);
    }

    #[test]
    fn a_caller_that_leaves_is_forgotten() {
        let requests = Requests::new(MemberId(1), Duration::from_secs(1));
        let waiter = requests.register(None);
        assert_eq!(requests.len(), 1);
        drop(waiter);
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn waiting_for_an_applied_index_ends_when_it_is() {
        let waiters = AppliedWaiters::default();
        waiters.advance(3);
        assert!(waiters.wait(3).is_none());
        let mut fifth = waiters.wait(5).unwrap();
        waiters.advance(4);
        assert!(fifth.try_recv().is_err());
        waiters.advance(6);
        assert!(fifth.try_recv().is_ok());
    }
}
