//! Clusters of real processes for tests: real sockets, real files, real signals. Knows the server only as a binary,
//! and talks to it with clients that others wrote.

mod cluster;
mod history;
mod http;
mod member;
mod network;
mod pki;
mod registers;
mod relay;
mod shim;
mod watchers;
pub mod wire;
mod witness;
mod writer;

pub use cluster::{Cluster, Setup, connect};
pub use history::Watched;
pub use http::{get, put};
pub use member::{Member, Outcome, binary, server_binary};
pub use network::{Network, inside};
pub use pki::{Authority, Identity};
pub use registers::Registers;
pub use relay::Relay;
pub use shim::{Clock, Fault, Shim};
pub use watchers::{Seen, Watchers, Wish};
pub use witness::{Report, Witness};
pub use writer::{Acknowledged, Writer};

use std::future::Future;
use std::time::Duration;

/// Whether this test may have the machine for itself, which those need that stop disks or measure times. Where
/// `QUORATE_ALONE` is not set it may not, which is printed.
pub fn alone() -> bool {
    let alone = std::env::var_os("QUORATE_ALONE").is_some();
    if !alone {
        println!(
            "left out: set QUORATE_ALONE=1 and --test-threads=1, as scripts/test does in a step of its own"
        );
    }
    alone
}

/// Tries until it succeeds; panics with the last error after `within`.
pub async fn eventually<T, F: Future<Output = anyhow::Result<T>>>(
    within: Duration,
    mut attempt: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + within;
    let mut last = None;
    loop {
        match tokio::time::timeout_at(deadline, attempt()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(error)) if tokio::time::Instant::now() >= deadline => {
                panic!("after {within:?}: {error:#}")
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => panic!("no answer after {within:?}; the last attempt before: {last:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
