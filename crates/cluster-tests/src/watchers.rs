//! Watchers of one prefix, each of whose messages is judged: order, uniqueness, completeness, whole revisions,
//! resumption, progress, previous values. What they can know of each other's histories must be the same.

use crate::cluster::connect;
use crate::eventually;
use etcd_client::{EventType, WatchFilterType, WatchOptions, WatchResponse};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// One watcher's wishes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Previous values.
    pub prev_kv: bool,
    /// Messages without events now and then.
    pub progress: bool,
    /// No puts, or no deletions.
    pub without: Option<WatchFilterType>,
    /// Waits so long after each message.
    pub pause: Duration,
}

/// What happened to a key: its value, or `None` where it went.
type Change = (Vec<u8>, Option<Vec<u8>>);

/// The changes of each revision, as the first watcher told that saw it whole.
#[derive(Default)]
struct History {
    revisions: BTreeMap<i64, Vec<Change>>,
    previous: Vec<(i64, Vec<u8>, Option<Vec<u8>>)>,
}

/// Watchers at work. Every revision of the store must change something below their prefix.
pub struct Watchers {
    /// Nobody waits any more.
    hurry: Arc<AtomicBool>,
    history: Arc<Mutex<History>>,
    events: Arc<AtomicU64>,
    compacted: Arc<AtomicU64>,
    watchers: Vec<(Wish, Arc<AtomicI64>, JoinHandle<()>)>,
}

/// What they have seen.
#[derive(Debug)]
pub struct Seen {
    /// Events, each watcher's counted.
    pub events: u64,
    /// How often one was told that history was compacted.
    pub compacted: u64,
    /// Revisions whose changes are known.
    pub revisions: usize,
}

impl Watchers {
    /// Starts one watcher for each wish, each through the next endpoint, from revision `from` on.
    pub fn start(endpoints: &[String], prefix: &str, wishes: &[Wish], from: i64) -> Watchers {
        let history = Arc::new(Mutex::new(History::default()));
        let hurry = Arc::new(AtomicBool::new(false));
        let (events, compacted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let watchers = wishes.iter().enumerate().map(|(n, wish)| {
            let at = Arc::new(AtomicI64::new(from - 1));
            let watcher = Watcher {
                wish: *wish,
                hurry: hurry.clone(),
                prefix: prefix.to_owned(),
                at: at.clone(),
                history: history.clone(),
                events: events.clone(),
                compacted: compacted.clone(),
            };
            let endpoint = endpoints[n % endpoints.len()].clone();
            (*wish, at, tokio::spawn(watcher.run(endpoint)))
        });
        Watchers {
            watchers: watchers.collect(),
            hurry,
            history,
            events,
            compacted,
        }
    }

    /// Waits until all have come to this revision, then judges what only the whole of it shows.
    pub async fn finish_and_check(self, revision: i64) -> Seen {
        self.hurry.store(true, Relaxed);
        for (wish, at, task) in &self.watchers {
            eventually(Duration::from_secs(30), || async {
                assert!(!task.is_finished(), "a watcher has failed, see above: {wish:?}");
                // Filters hide the last ones, progress shows them.
                let slack = if wish.without.is_some() && !wish.progress {
                    20
                } else {
                    0
                };
                let at = at.load(Relaxed);
                anyhow::ensure!(
                    at + slack >= revision,
                    "{wish:?} is at revision {at} of {revision}"
                );
                Ok(())
            })
            .await;
        }
        for (_, _, task) in self.watchers {
            task.abort();
        }
        let history = self.history.lock().expect("no watcher panicked");
        let mut state: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
        let mut previous: BTreeMap<(i64, &[u8]), Option<&[u8]>> = BTreeMap::new();
        let mut last = 0;
        for (revision, changes) in &history.revisions {
            // What lies between was compacted before anybody had seen it: values may be other ones by now.
            if *revision != last + 1 {
                state.clear();
            }
            last = *revision;
            for (key, value) in changes {
                let before = state.insert(key.as_slice(), value.as_deref());
                if let Some(before) = before {
                    previous.insert((*revision, key.as_slice()), before);
                }
            }
        }
        for (revision, key, told) in &history.previous {
            // Nothing is told of what was compacted by then.
            if let (Some(known), Some(told)) = (previous.get(&(*revision, key.as_slice())), told) {
                assert!(
                    *known == Some(told.as_slice()),
                    "the value before revision {revision} of {} was another one",
                    String::from_utf8_lossy(key)
                );
            }
        }
        Seen {
            events: self.events.load(Relaxed),
            compacted: self.compacted.load(Relaxed),
            revisions: history.revisions.len(),
        }
    }
}

struct Watcher {
    wish: Wish,
    hurry: Arc<AtomicBool>,
    prefix: String,
    /// Everything up to here has been told.
    at: Arc<AtomicI64>,
    history: Arc<Mutex<History>>,
    events: Arc<AtomicU64>,
    compacted: Arc<AtomicU64>,
}

impl Watcher {
    async fn run(self, endpoint: String) {
        loop {
            let mut client = connect(std::slice::from_ref(&endpoint)).await;
            let from = self.at.load(Relaxed) + 1;
            let stream = tokio::time::timeout(
                Duration::from_secs(2),
                client.watch(self.prefix.clone(), Some(self.options(from))),
            );
            let Ok(Ok(mut stream)) = stream.await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut fresh = true;
            // One that is stalled for long is as good as cut.
            while let Ok(Ok(Some(answer))) =
                tokio::time::timeout(Duration::from_secs(5), stream.message()).await
            {
                if answer.canceled() {
                    self.end(&answer);
                    break;
                }
                self.judge(&answer, fresh);
                fresh &= answer.events().is_empty();
                if !self.hurry.load(Relaxed) {
                    tokio::time::sleep(self.wish.pause).await;
                }
                if self.wish.progress && answer.events().is_empty() {
                    let _ = stream.request_progress().await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn options(&self, from: i64) -> WatchOptions {
        let mut options = WatchOptions::new().with_prefix().with_start_revision(from);
        if self.wish.prev_kv {
            options = options.with_prev_key();
        }
        if self.wish.progress {
            options = options.with_progress_notify();
        }
        match self.wish.without {
            Some(filter) => options.with_filters([filter]),
            None => options,
        }
    }

    fn end(&self, answer: &WatchResponse) {
        let compacted = answer.compact_revision();
        if compacted > 0 {
            let at = self.at.load(Relaxed);
            assert!(
                compacted > at,
                "{:?} at {at} is told that {compacted} is compacted",
                self.wish
            );
            self.at.store(compacted - 1, Relaxed);
            self.compacted.fetch_add(1, Relaxed);
        }
    }

    /// `fresh`: nothing has been told in this stream yet, whose member may be behind the one before.
    fn judge(&self, answer: &WatchResponse, fresh: bool) {
        let at = self.at.load(Relaxed);
        let wish = &self.wish;
        if answer.events().is_empty() {
            // Progress: nothing up to here is missing. The answer to the creation says nothing of the kind.
            let revision = answer.header().map_or(0, |header| header.revision());
            if !answer.created() && self.wish.progress && !(fresh && revision < at) {
                assert!(
                    revision >= at,
                    "{wish:?}: progress goes back from {at} to {revision}"
                );
                assert!(
                    wish.without.is_some() || revision == at,
                    "{wish:?}: progress at {revision}, and the events after {at} have not been told"
                );
                self.at.store(revision, Relaxed);
            }
            return;
        }
        self.events.fetch_add(answer.events().len() as u64, Relaxed);
        let mut last = at;
        let mut whole: BTreeMap<i64, Vec<Change>> = BTreeMap::new();
        for event in answer.events() {
            let kv = event.kv().expect("an event has a key");
            let revision = kv.mod_revision();
            assert!(
                revision > at,
                "{wish:?}: revision {revision} after {at}: again, or split"
            );
            assert!(revision >= last, "{wish:?}: revision {revision} after {last}");
            if wish.without.is_none() {
                assert!(
                    revision <= last + 1,
                    "{wish:?}: revision {revision} after {last}, and nothing between"
                );
            }
            last = revision;
            let put = event.event_type() == EventType::Put;
            assert!(
                match wish.without {
                    None => true,
                    Some(WatchFilterType::NoPut) => !put,
                    Some(WatchFilterType::NoDelete) => put,
                },
                "{wish:?}: an event that was not asked for"
            );
            let change = (kv.key().to_vec(), put.then(|| kv.value().to_vec()));
            if wish.prev_kv {
                let before = event.prev_kv().map(|kv| kv.value().to_vec());
                let mut history = self.history.lock().expect("no watcher panicked");
                history.previous.push((revision, kv.key().to_vec(), before));
            }
            let changes = whole.entry(revision).or_default();
            assert!(
                !changes.iter().any(|(key, _)| *key == change.0),
                "{wish:?}: an event twice at {revision}"
            );
            changes.push(change);
        }
        if wish.without.is_none() {
            let mut history = self.history.lock().expect("no watcher panicked");
            for (revision, changes) in whole {
                let known = history
                    .revisions
                    .entry(revision)
                    .or_insert_with(|| changes.clone());
                assert!(
                    *known == changes,
                    "{wish:?}: revision {revision} is another one than elsewhere"
                );
            }
        }
        self.at.store(last, Relaxed);
    }
}
