//! Bytes between members: the place where TLS goes.

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use url::Url;

/// A connection, plain or encrypted.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any connection.
pub type BoxIo = Box<dyn Io>;

/// A connection that came in, its handshake (if there is one) still to be done.
pub type Accepting = BoxFuture<'static, io::Result<BoxIo>>;

/// Makes connections to peer URLs.
pub trait Connector: Send + Sync + 'static {
    /// Connects, with everything that must be done before HTTP can be spoken. TLS must not negotiate a protocol (ALPN):
    /// HTTP/1 and HTTP/2 are both spoken to the same URLs, and the listener tells them apart by their first bytes.
    fn connect(&self, url: Url) -> BoxFuture<'static, io::Result<BoxIo>>;
}

/// Unencrypted connections: `http://host:port` and `unix://path`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Connector for Plain {
    fn connect(&self, url: Url) -> BoxFuture<'static, io::Result<BoxIo>> {
        Box::pin(async move {
            match url.scheme() {
                "http" => {
                    let stream = connect_tcp(&url).await?;
                    Ok(Box::new(stream) as BoxIo)
                }
                "unix" => Ok(Box::new(UnixStream::connect(unix_path(&url)).await?) as BoxIo),
                scheme => Err(io::Error::other(format!(
                    "cannot connect by {scheme} without TLS"
                ))),
            }
        })
    }
}

/// A TCP connection to the URL's host and port, for connectors. Messages are small and must not wait for each other.
pub async fn connect_tcp(url: &Url) -> io::Result<TcpStream> {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = url
        .port_or_known_default()
        .ok_or_else(|| io::Error::other(format!("{url} has no port")))?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// etcd writes `unix://name:port`, which is the file `name:port` in the working directory.
pub fn unix_path(url: &Url) -> String {
    let mut path = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        path.push_str(&format!(":{port}"));
    }
    path.push_str(url.path().trim_end_matches('/'));
    path
}

/// Unencrypted connections that come in.
pub fn accept_tcp(listener: TcpListener) -> BoxStream<'static, io::Result<Accepting>> {
    futures::stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await.map(|(stream, _)| {
            let ready = stream.set_nodelay(true).map(|()| Box::new(stream) as BoxIo);
            Box::pin(std::future::ready(ready)) as Accepting
        });
        Some((accepted, listener))
    })
    .boxed()
}
