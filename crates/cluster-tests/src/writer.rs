//! A client that writes without pause and remembers what it was promised.

use crate::cluster::connect;
use etcd_client::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::task::JoinHandle;

/// Writes `prefix/N` = N for N = 0, 1, … , each key once, over several connections; an attempt whose answer was lost
/// is not repeated under the same key.
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    /// Nanoseconds on the kernel's monotonic clock.
    last: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<BTreeMap<String, i64>>>,
}

/// Keys that a server said it has, with the revision it gave them.
pub type Acknowledged = BTreeMap<String, i64>;

impl Writer {
    /// Starts `clients` writers. Each begins with another endpoint.
    pub fn start(endpoints: &[String], prefix: &str, clients: usize) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let last = Arc::new(AtomicU64::new(0));
        let tasks = (0..clients)
            .map(|client| {
                let endpoint = endpoints[client % endpoints.len()].clone();
                let prefix = format!("{prefix}/{client}");
                tokio::spawn(write(
                    endpoint,
                    prefix,
                    stop.clone(),
                    acknowledged.clone(),
                    last.clone(),
                ))
            })
            .collect();
        Writer {
            stop,
            acknowledged,
            last,
            tasks,
        }
    }

    /// Writes that were acknowledged so far.
    pub fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// When the last answer came, in nanoseconds on the kernel's monotonic clock; 0 if none did.
    pub fn last_answer(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes have been acknowledged.
    pub async fn progress(&self, more: u64) {
        let goal = self.count() + more;
        crate::eventually(crate::cluster::PATIENCE, || async {
            anyhow::ensure!(
                self.count() >= goal,
                "{} of {goal} writes acknowledged",
                self.count()
            );
            Ok(())
        })
        .await;
    }

    /// Stops writing and gives everything that was acknowledged.
    pub async fn finish(self) -> Acknowledged {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for task in self.tasks {
            all.extend(task.await.expect("a writer does not panic"));
        }
        all
    }
}

async fn write(
    endpoint: String,
    prefix: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    last: Arc<AtomicU64>,
) -> BTreeMap<String, i64> {
    let mut promised = BTreeMap::new();
    let mut client = connect(std::slice::from_ref(&endpoint)).await;
    for n in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{prefix}/{n:08}");
        match client.put(key.clone(), n.to_string(), None).await {
            Ok(answer) => {
                promised.insert(key, answer.header().map_or(0, |header| header.revision()));
                acknowledged.fetch_add(1, Ordering::Relaxed);
                let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
                last.store(
                    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64,
                    Ordering::Relaxed,
                );
            }
            // Killed, stopped, without a leader: the next attempt may find it well again.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    promised
}

/// Keys asked for at a time: an answer must stay below what gRPC's clients take.
const PAGE: i64 = 10_000;

/// All keys under a prefix, which ends with a slash, with their revisions.
pub async fn stored(client: &mut Client, prefix: &str) -> anyhow::Result<BTreeMap<String, i64>> {
    // Behind a slash comes a zero.
    let end = format!("{}0", prefix.trim_end_matches('/'));
    let mut all = BTreeMap::new();
    let mut from = prefix.to_owned();
    loop {
        let options = etcd_client::GetOptions::new().with_range(end.clone());
        let answer = client
            .get(from, Some(options.with_keys_only().with_limit(PAGE)))
            .await?;
        all.extend(
            answer
                .kvs()
                .iter()
                .map(|kv| (String::from_utf8_lossy(kv.key()).into_owned(), kv.mod_revision())),
        );
        match all.last_key_value() {
            Some((last, _)) if answer.more() => from = format!("{last}\0"),
            _ => return Ok(all),
        }
    }
}

impl Writer {
    /// Stops writing, then checks that the store holds every acknowledged write at the revision that was promised.
    pub async fn finish_and_check(self, endpoints: &[String], prefix: &str) -> Acknowledged {
        let promised = self.finish().await;
        let stored = crate::eventually(crate::cluster::PATIENCE, || async {
            stored(&mut connect(endpoints).await, &format!("{prefix}/")).await
        })
        .await;
        let lost: Vec<_> = promised
            .iter()
            .filter(|(key, revision)| stored.get(*key) != Some(revision))
            .collect();
        assert!(
            lost.is_empty(),
            "{} of {} acknowledged writes are lost, first {:?}",
            lost.len(),
            promised.len(),
            lost[0]
        );
        promised
    }
}
