//! What strangers answer when this member asks over HTTP: a peer URL that a client named, a discovery service.

use futures::future::BoxFuture;
use peer::{BoxIo, Connector};
use std::io;
use std::sync::LazyLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use url::Url;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
});

/// The first byte says what was asked, the others are the answer.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((kind, answer)) = data.split_first() else {
        return false;
    };
    let url = "http://member:2380";
    let connector = Canned(answer.to_vec());
    match kind % 3 {
        0 => RUNTIME.block_on(peer::members_of(&connector, url)).is_ok(),
        1 => RUNTIME.block_on(peer::version_of(&connector, url)).is_ok(),
        _ => discovery::members_listed(answer).is_ok(),
    }
}

/// A place where every request gets the same answer.
struct Canned(Vec<u8>);

impl Connector for Canned {
    fn connect(&self, _: Url) -> BoxFuture<'static, io::Result<BoxIo>> {
        let answer = self.0.clone();
        Box::pin(async move {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                // A request has no body: nothing more is waited for than its head.
                let mut request = [0; 1024];
                let _ = far.read(&mut request).await;
                let _ = far.write_all(&answer).await;
            });
            Ok(Box::new(near) as BoxIo)
        })
    }
}
