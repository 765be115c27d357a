//! A proxy for TCP: every connection goes to one of the endpoints that live (etcd server/proxy/tcpproxy).

use discovery::Record;
use rand::Rng;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

/// Time for a connection to an endpoint. etcd's has none: a host that swallows packets would hold a client for minutes
/// while others could serve it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a failed accept: out of file descriptors, for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The endpoints, and which of them live.
pub struct TcpProxy {
    remotes: Vec<Remote>,
    /// An endpoint that failed is left alone for so long.
    retry_delay: Duration,
    picked: AtomicUsize,
}

struct Remote {
    record: Record,
    inactive: AtomicBool,
}

impl TcpProxy {
    /// With these endpoints, all of which are thought to live.
    pub fn new(endpoints: Vec<Record>, retry_delay: Duration) -> TcpProxy {
        TcpProxy {
            remotes: endpoints
                .into_iter()
                .map(|record| Remote {
                    record,
                    inactive: AtomicBool::new(false),
                })
                .collect(),
            retry_delay,
            picked: AtomicUsize::new(0),
        }
    }

    /// Serves a listener for ever.
    pub async fn run(self: Arc<Self>, listener: TcpListener) {
        let endpoints: Vec<String> = self
            .remotes
            .iter()
            .map(|remote| remote.record.address())
            .collect();
        info!(?endpoints, "ready to proxy client requests");
        tokio::spawn(self.clone().revive());
        loop {
            match listener.accept().await {
                Ok((client, _)) => {
                    tokio::spawn(self.clone().serve(client));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        // An endpoint that fails is out, so this ends.
        while let Some(remote) = self.pick() {
            match connect(&remote.record).await {
                Ok(mut server) => {
                    let _ = client.set_nodelay(true);
                    let _ = server.set_nodelay(true);
                    // How a connection ends is its two ends' business.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
                Err(error) => {
                    remote.inactive.store(true, Ordering::Relaxed);
                    warn!(
                        address = remote.record.address(),
                        interval = ?self.retry_delay,
                        %error,
                        "deactivated endpoint"
                    );
                }
            }
        }
    }

    /// One of those with the best priority: in turn, or, where records have weights, by chance.
    fn pick(&self) -> Option<&Remote> {
        let live = || {
            self.remotes
                .iter()
                .filter(|remote| !remote.inactive.load(Ordering::Relaxed))
        };
        let best = live().map(|remote| remote.record.priority).min()?;
        let (weighted, others): (Vec<_>, Vec<_>) = live()
            .filter(|remote| remote.record.priority == best)
            .partition(|remote| remote.record.weight > 0);
        let mut random = rand::rng();
        // Beside others with weights, those without are to be chosen seldom (RFC 2782).
        if weighted.is_empty() || !others.is_empty() && random.random_ratio(1, 100) {
            let turn = self.picked.fetch_add(1, Ordering::Relaxed);
            return others.get(turn % others.len()).copied();
        }
        let total: u32 = weighted
            .iter()
            .map(|remote| u32::from(remote.record.weight))
            .sum();
        let mut chosen = random.random_range(0..total);
        weighted.into_iter().find(|remote| {
            let weight = u32::from(remote.record.weight);
            let found = chosen < weight;
            chosen = chosen.saturating_sub(weight);
            found
        })
    }

    /// Tries those that failed again, now and then.
    async fn revive(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.retry_delay).await;
            for remote in &self.remotes {
                if !remote.inactive.load(Ordering::Relaxed) {
                    continue;
                }
                let address = remote.record.address();
                match connect(&remote.record).await {
                    Ok(_) => {
                        remote.inactive.store(false, Ordering::Relaxed);
                        info!(address, "activated");
                    }
                    Err(error) => warn!(
                        address,
                        interval = ?self.retry_delay,
                        %error,
                        "failed to activate endpoint (stay inactive for another interval)"
                    ),
                }
            }
        }
    }
}

async fn connect(record: &Record) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect((record.host.as_str(), record.port));
    tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn record(port: u16, priority: u16, weight: u16) -> Record {
        Record {
            scheme: "http",
            host: "127.0.0.1".into(),
            port,
            priority,
            weight,
        }
    }

    fn picks(proxy: &TcpProxy, count: usize) -> Vec<u16> {
        (0..count)
            .filter_map(|_| proxy.pick())
            .map(|remote| remote.record.port)
            .collect()
    }

    #[test]
    fn the_best_priority_takes_turns_and_the_others_wait_for_its_end() {
        let proxy = TcpProxy::new(
            vec![record(1, 0, 0), record(2, 0, 0), record(3, 5, 0)],
            Duration::ZERO,
        );
        assert_eq!(picks(&proxy, 4), [1, 2, 1, 2]);
        proxy.remotes[0].inactive.store(true, Ordering::Relaxed);
        assert_eq!(picks(&proxy, 2), [2, 2]);
        proxy.remotes[1].inactive.store(true, Ordering::Relaxed);
        assert_eq!(picks(&proxy, 2), [3, 3]);
        proxy.remotes[2].inactive.store(true, Ordering::Relaxed);
        assert!(proxy.pick().is_none());
    }

    #[test]
    fn weights_share_the_connections() {
        let proxy = TcpProxy::new(vec![record(1, 0, 90), record(2, 0, 10)], Duration::ZERO);
        let picks = picks(&proxy, 2000);
        let second = picks.iter().filter(|port| **port == 2).count();
        // 200 expected; ten standard deviations are 134.
        assert!((66..=334).contains(&second), "{second} of 2000");
    }

    /// Answers every connection with its name.
    async fn server(name: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let _ = client.write_all(name.as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn a_client_of_a_dead_endpoint_is_served_by_another_until_it_lives_again() {
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dead = unused.local_addr().unwrap().port();
        drop(unused);
        let live = server("live").await;
        let proxy = Arc::new(TcpProxy::new(
            vec![record(dead, 0, 0), record(live, 0, 0)],
            Duration::from_millis(20),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = tokio::spawn(proxy.clone().run(listener));
        let ask = || async move {
            let mut answer = String::new();
            let mut client = TcpStream::connect(address).await.unwrap();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        for _ in 0..3 {
            assert_eq!(ask().await, "live");
        }
        let back = TcpListener::bind(("127.0.0.1", dead)).await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = back.accept().await {
                let _ = client.write_all(b"back").await;
            }
        });
        while ask().await != "back" {
            tokio::task::yield_now().await;
        }
        running.abort();
    }
}
