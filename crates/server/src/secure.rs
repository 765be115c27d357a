//! TLS on this member's sockets: the handshakes of clients and of peers, and the way to peers.

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use gateway::{Accept, Prompt, Secure, Secured, Socket};
use peer::{Accepting, BoxIo, Connector};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tls::{Certificate, Resolver};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use url::Url;

/// Time that a peer may take to say which protocol it speaks.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Time that a refused client may take to read why.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// The handshake with clients.
pub struct Clients(pub tls::Server);

impl Secure for Clients {
    fn handshake(&self, socket: Socket) -> Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>> {
        let acceptor = TlsAcceptor::from(self.0.config());
        Box::pin(async move {
            let stream = accept(acceptor, socket).await?;
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let common_name = certificate
                .and_then(Certificate::parse)
                .and_then(|certificate| certificate.common_name);
            Ok(Secured {
                stream: Box::new(stream),
                common_name,
            })
        })
    }
}

/// A handshake. Who is refused gets to read why: closing a socket with unread bytes in it resets the connection, and that
/// takes the alert with it, for the client sends its first request right behind its certificate.
async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: TlsAcceptor,
    socket: S,
) -> io::Result<TlsStream<S>> {
    match acceptor.accept(socket).into_fallible().await {
        Ok(stream) => Ok(stream),
        Err((error, mut socket)) => {
            let farewell = async {
                let mut unread = [0; 1024];
                if socket.shutdown().await.is_ok() {
                    while matches!(socket.read(&mut unread).await, Ok(1..)) {}
                }
            };
            let _ = tokio::time::timeout(FAREWELL_MAX, farewell).await;
            Err(tls::explain(error))
        }
    }
}

/// What peers that connect have to show.
pub struct PeerDoor {
    /// Certificates.
    pub tls: tls::Server,
    /// They need not come from an address that their certificate names.
    pub any_origin: bool,
}

/// Connections of peers that come in, encrypted if there is a door.
pub fn peers(accept: Accept, door: Option<Arc<PeerDoor>>) -> BoxStream<'static, io::Result<Accepting>> {
    match accept {
        Accept::Tcp(listener) => futures::stream::unfold((listener, door), |(listener, door)| async move {
            let accepted = listener.accept().await.map(|(stream, from)| Accepting {
                from: from.to_string(),
                ready: Box::pin(tcp_peer(stream, from, door.clone())),
            });
            Some((accepted, (listener, door)))
        })
        .boxed(),
        Accept::Unix(listener) => futures::stream::unfold((listener, door), |(listener, door)| async move {
            let accepted = listener.accept().await.map(|(stream, _)| Accepting {
                from: "unix".to_owned(),
                ready: Box::pin(unix_peer(stream, door.clone())),
            });
            Some((accepted, (listener, door)))
        })
        .boxed(),
    }
}

async fn tcp_peer(stream: TcpStream, from: SocketAddr, door: Option<Arc<PeerDoor>>) -> io::Result<BoxIo> {
    stream.set_nodelay(true)?;
    let Some(door) = door else {
        return Ok(Box::new(Prompt::new(stream, SILENCE_MAX)));
    };
    let acceptor = TlsAcceptor::from(door.tls.config());
    let stream = accept(acceptor, stream).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    if let Some(certificate) = certificate.and_then(Certificate::parse)
        && !door.any_origin
    {
        check_origin(certificate, from.ip()).await?;
    }
    Ok(Box::new(Prompt::new(stream, SILENCE_MAX)))
}

async fn unix_peer(stream: UnixStream, door: Option<Arc<PeerDoor>>) -> io::Result<BoxIo> {
    let Some(door) = door else {
        return Ok(Box::new(Prompt::new(stream, SILENCE_MAX)));
    };
    let acceptor = TlsAcceptor::from(door.tls.config());
    let stream = accept(acceptor, stream).await?;
    Ok(Box::new(Prompt::new(stream, SILENCE_MAX)))
}

/// Names are looked up on a thread where that may take its time; only who has a certificate that is believed gets so
/// far.
async fn check_origin(certificate: Certificate, origin: IpAddr) -> io::Result<()> {
    let checked = if certificate.needs_resolver(origin) {
        tokio::task::spawn_blocking(move || certificate.check_origin(origin, &System)).await?
    } else {
        certificate.check_origin(origin, &System)
    };
    checked.map_err(io::Error::other)
}

/// The machine's own resolver.
struct System;

impl Resolver for System {
    fn names(&self, address: IpAddr) -> io::Result<Vec<String>> {
        let name = dns_lookup::lookup_addr(&address)?;
        Ok(vec![name.trim_end_matches('.').to_owned()])
    }

    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect())
    }
}

/// The way to peers: plain for `http` and `unix`, encrypted for `https` and `unixs`.
pub struct Dialler {
    /// Certificates.
    pub tls: tls::Client,
    /// Where connections come from; `None` lets the system choose.
    pub local: Option<IpAddr>,
}

impl Connector for Dialler {
    fn connect(&self, url: Url) -> BoxFuture<'static, io::Result<BoxIo>> {
        let local = self.local;
        let config = url.scheme().ends_with('s').then(|| self.tls.config());
        Box::pin(async move {
            let connector = config
                .transpose()
                .map_err(io::Error::other)?
                .map(TlsConnector::from);
            match (url.scheme(), connector) {
                ("http", _) => Ok(Box::new(peer::connect_tcp(&url, local).await?) as BoxIo),
                ("unix", _) => Ok(Box::new(UnixStream::connect(peer::unix_path(&url)).await?) as BoxIo),
                ("https", Some(connector)) => {
                    let host = url.host_str().unwrap_or_default();
                    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                    let name = ServerName::try_from(host).map_err(io::Error::other)?;
                    let stream = peer::connect_tcp(&url, local).await?;
                    secured(connector, name, stream).await
                }
                ("unixs", Some(connector)) => {
                    let host = url.host_str().unwrap_or_default().to_owned();
                    let name = ServerName::try_from(host).map_err(io::Error::other)?;
                    let stream = UnixStream::connect(peer::unix_path(&url)).await?;
                    secured(connector, name, stream).await
                }
                (scheme, _) => Err(io::Error::other(format!("cannot connect by {scheme}"))),
            }
        })
    }
}

async fn secured<S>(connector: TlsConnector, name: ServerName<'static>, stream: S) -> io::Result<BoxIo>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = connector.connect(name, stream).await.map_err(tls::explain)?;
    Ok(Box::new(Explained(stream)))
}

/// With TLS 1.3 a server judges its client after the client thinks that all is well: its refusal comes with the first
/// bytes that are read.
struct Explained<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0)
            .poll_read(cx, buf)
            .map_err(tls::explain)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0)
            .poll_write(cx, buf)
            .map_err(tls::explain)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0)
            .poll_write_vectored(cx, bufs)
            .map_err(tls::explain)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0)
            .poll_flush(cx)
            .map_err(tls::explain)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0)
            .poll_shutdown(cx)
            .map_err(tls::explain)
    }
}
