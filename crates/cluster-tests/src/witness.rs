//! A client that behaves, beside others that do not.

use etcd_client::{Client, ConnectOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Puts and gets a key through one member, all the time.
pub struct Witness {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Report>,
}

/// How a witness fared.
#[derive(Debug, Default)]
pub struct Report {
    /// Pairs of calls that succeeded.
    pub served: u64,
    /// What was refused or broke.
    pub failures: Vec<String>,
    /// The longest time a pair took.
    pub slowest: Duration,
}

impl Witness {
    /// Starts it; returns once it has been served.
    pub async fn start(endpoint: String) -> Witness {
        let stop = Arc::new(AtomicBool::new(false));
        // Without pings: on a machine that has other things to do they may take their time.
        let options = ConnectOptions::new().with_timeout(Duration::from_secs(8));
        let client = Client::connect([endpoint], Some(options)).await;
        let mut client = client.expect("the member listens");
        client.put("witness", "0", None).await.expect("the member serves");
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut report = Report::default();
            for n in 1u64.. {
                if stopped.load(Relaxed) {
                    break;
                }
                let began = Instant::now();
                let result = async {
                    client.put("witness", n.to_string(), None).await?;
                    client.get("witness", None).await
                };
                match result.await {
                    Ok(answer) => {
                        let value = answer.kvs().first().map(|kv| kv.value().to_vec());
                        assert_eq!(value, Some(n.to_string().into_bytes()), "the last write is read");
                        report.served += 1;
                    }
                    Err(error) => report.failures.push(error.to_string()),
                }
                report.slowest = report.slowest.max(began.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            report
        });
        Witness { stop, task }
    }

    /// Ends it, and says how it fared.
    pub async fn finish(self) -> Report {
        self.stop.store(true, Relaxed);
        self.task.await.expect("what was written is what is read")
    }

    /// Ends it: it must have been served all the time, if not as fast as ever.
    pub async fn was_served(self) -> Report {
        let report = self.finish().await;
        assert!(report.failures.is_empty(), "others suffer: {report:?}");
        assert!(
            report.slowest < Duration::from_secs(7),
            "others suffer: {report:?}"
        );
        report
    }
}
