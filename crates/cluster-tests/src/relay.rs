//! A way to a member that can be cut, held up, made slow, or change what passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards connections to a port of this machine.
pub struct Relay {
    /// Where it listens.
    pub port: u16,
    weather: Arc<Weather>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Weather {
    stalled: AtomicBool,
    delay_millis: AtomicU64,
    /// One bit in so many bytes changes, on the average; 0 for none.
    damage_bytes: AtomicU64,
    damaged: AtomicU64,
    /// Connections that were begun before the newest one end.
    era: watch::Sender<u64>,
}

impl Relay {
    /// Starts one.
    pub async fn start(target: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let weather = Arc::new(Weather::default());
        let shared = weather.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, target, shared.clone()));
            }
        });
        Relay {
            port,
            weather,
            accepting,
        }
    }

    /// Ends all connections there are.
    pub fn cut(&self) {
        self.weather.era.send_modify(|era| *era += 1);
    }

    /// Nothing gets through any more, and nobody is told; or all does again, in the same connections.
    pub fn stall(&self, stalled: bool) {
        self.weather.stalled.store(stalled, Relaxed);
    }

    /// One bit in so many bytes changes on its way, on the average; 0 for none.
    pub fn damage(&self, bytes: u64) {
        self.weather.damage_bytes.store(bytes, Relaxed);
    }

    /// Bits that have changed so far.
    pub fn damaged(&self) -> u64 {
        self.weather.damaged.load(Relaxed)
    }

    /// Everything takes so much longer.
    pub fn delay(&self, by: Duration) {
        self.weather.delay_millis.store(by.as_millis() as u64, Relaxed);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn connect(client: TcpStream, target: u16, weather: Arc<Weather>) {
    let mut era = weather.era.subscribe();
    era.mark_unchanged();
    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = forward(from_client, to_server, &weather, target.into()) => {}
        () = forward(from_server, to_client, &weather, !u64::from(target)) => {}
        _ = era.changed() => {}
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: &Weather, seed: u64) {
    let mut bytes = vec![0; 16 << 10];
    // Other places in each connection: one that began with the same damage every time would never get anywhere.
    let mut chance = seed ^ weather.damaged.load(Relaxed) << 32;
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        while weather.stalled.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let delay = weather.delay_millis.load(Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let damage = weather.damage_bytes.load(Relaxed);
        if damage > 0 {
            for byte in &mut bytes[..length] {
                chance = chance
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                if (chance >> 33).is_multiple_of(damage) {
                    *byte ^= 1 << (chance >> 30 & 7);
                    weather.damaged.fetch_add(1, Relaxed);
                }
            }
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
