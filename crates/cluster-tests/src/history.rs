//! A watch that goes on across faults, and what it must have seen.

use crate::cluster::connect;
use etcd_client::{EventType, WatchOptions};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::task::JoinHandle;

/// Follows a prefix from revision 2 on, through any member that answers; after a cut it goes on behind the last
/// revision it saw, as every etcd client does.
pub struct Watched {
    seen: Arc<Mutex<Vec<(i64, String)>>>,
    last: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Watched {
    /// Starts to watch.
    pub fn start(endpoints: Vec<String>, prefix: &str) -> Watched {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let last = Arc::new(AtomicI64::new(1));
        let task = tokio::spawn(follow(endpoints, prefix.to_owned(), seen.clone(), last.clone()));
        Watched { seen, last, task }
    }

    /// Waits until it has seen this revision, then checks that all of `promised` was seen: each once, in order, and
    /// at the revision that the writer was told.
    pub async fn finish_and_check(self, promised: &BTreeMap<String, i64>) {
        let goal = promised.values().copied().max().unwrap_or_default();
        crate::eventually(crate::cluster::PATIENCE, || async {
            let last = self.last.load(Ordering::Relaxed);
            anyhow::ensure!(last >= goal, "the watch has seen revision {last} of {goal}");
            Ok(())
        })
        .await;
        self.task.abort();
        let seen = self.seen.lock().expect("no panic while it was held");
        for pair in seen.windows(2) {
            assert!(
                pair[0].0 < pair[1].0,
                "events out of order or twice: {:?} then {:?}",
                pair[0],
                pair[1]
            );
        }
        let by_key: BTreeMap<&str, i64> = seen
            .iter()
            .map(|(revision, key)| (key.as_str(), *revision))
            .collect();
        for (key, revision) in promised {
            assert_eq!(by_key.get(key.as_str()), Some(revision), "the watch missed {key}");
        }
    }
}

async fn follow(
    endpoints: Vec<String>,
    prefix: String,
    seen: Arc<Mutex<Vec<(i64, String)>>>,
    last: Arc<AtomicI64>,
) {
    for endpoint in endpoints.iter().cycle() {
        let mut client = connect(std::slice::from_ref(endpoint)).await;
        let from = last.load(Ordering::Relaxed) + 1;
        let options = WatchOptions::new().with_prefix().with_start_revision(from);
        let Ok(mut stream) = client.watch(prefix.clone(), Some(options)).await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        while let Ok(Some(answer)) = stream.message().await {
            if answer.canceled() {
                break;
            }
            let mut seen = seen.lock().expect("no panic while it was held");
            for event in answer.events() {
                let Some(kv) = event.kv().filter(|_| event.event_type() == EventType::Put) else {
                    continue;
                };
                seen.push((kv.mod_revision(), String::from_utf8_lossy(kv.key()).into_owned()));
                last.store(kv.mod_revision(), Ordering::Relaxed);
            }
        }
    }
}
