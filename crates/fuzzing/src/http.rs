//! Bytes on a connection: whatever stands between a listener and the handlers behind it, HTTP of both versions, gRPC,
//! JSON, WebSocket. What is answered is read until there is nothing more to come.

mod client;
mod member;

use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::signal::unix::SignalKind;

/// Silence after which nothing is expected any more.
const SILENCE: Duration = Duration::from_millis(20);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
    // A fuzzer's `main` is not Rust's, which would have done it: writing to who has gone must not end the process.
    let entered = runtime.enter();
    let _ = tokio::signal::unix::signal(SignalKind::pipe()).expect("a handler");
    drop(entered);
    runtime
});

/// Bytes to the listener of clients.
pub(crate) fn gateway(data: &[u8]) -> bool {
    RUNTIME.block_on(async { converse(client::connect().await, data).await })
}

/// Bytes to the listener of members.
pub(crate) fn link(data: &[u8]) -> bool {
    RUNTIME.block_on(async { converse(member::connect().await, data).await })
}

/// Whether there was an answer.
async fn converse(stream: impl AsyncRead + AsyncWrite, data: &[u8]) -> bool {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let mut answered = 0;
    let mut answers = vec![0; 1 << 16];
    let write = async {
        let _ = writing.write_all(data).await;
    };
    let read = async {
        while let Ok(Ok(bytes)) = tokio::time::timeout(SILENCE, reading.read(&mut answers)).await
            && bytes > 0
        {
            answered += bytes;
        }
    };
    tokio::join!(write, read);
    answered > 0
}
