//! Bytes between members: the place where TLS goes.

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use url::Url;

/// A connection, plain or encrypted.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// Any connection.
pub type BoxIo = Box<dyn Io>;

/// A connection that came in.
pub struct Accepting {
    /// Where from, for the log; empty where there is nothing to say.
    pub from: String,
    /// Its handshake, if there is one.
    pub ready: BoxFuture<'static, io::Result<BoxIo>>,
}

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
                    let stream = connect_tcp(&url, None).await?;
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

/// A TCP connection to the URL's host and port, for connectors; from `local` if that is given. Messages are small and
/// must not wait for each other.
pub async fn connect_tcp(url: &Url, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let host = url
        .host_str()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = url
        .port_or_known_default()
        .ok_or_else(|| io::Error::other(format!("{url} has no port")))?;
    let stream = match local {
        None => TcpStream::connect((host, port)).await?,
        Some(local) => connect_from(local, host, port).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect_from(local: IpAddr, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut fault = io::Error::other(format!("{host} has no address of the kind of {local}"));
    for address in tokio::net::lookup_host((host, port)).await? {
        if address.is_ipv4() != local.is_ipv4() {
            continue;
        }
        let socket = if local.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind(SocketAddr::new(local, 0))?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = error,
        }
    }
    Err(fault)
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
        let accepted = listener.accept().await.map(|(stream, from)| {
            let ready = stream.set_nodelay(true).map(|()| Box::new(stream) as BoxIo);
            Accepting {
                from: from.to_string(),
                ready: Box::pin(std::future::ready(ready)),
            }
        });
        Some((accepted, listener))
    })
    .boxed()
}
