//! Listeners and what they accept.

use crate::caller::CertificateName;
use rustix::net::RecvFlags;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// What a listener's clients may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Traffic {
    /// gRPC and HTTP.
    All,
    /// Only gRPC: a client URL beside separate HTTP URLs.
    Grpc,
    /// Only HTTP: `--listen-client-http-urls`.
    Http,
    /// Only `/metrics` and the health paths: `--listen-metrics-urls`.
    Metrics,
}

/// A place where clients connect.
pub struct Listener {
    pub(crate) socket: Accept,
    pub(crate) traffic: Traffic,
    pub(crate) handshake: Handshake,
}

/// How connections of a listener begin.
#[derive(Clone)]
pub(crate) enum Handshake {
    /// At once.
    None,
    /// With TLS.
    Required(Arc<dyn Secure>),
    /// With TLS if the first byte says so: an http and an https URL of one port.
    Optional(Arc<dyn Secure>),
}

/// A bound socket.
#[derive(Debug)]
pub enum Accept {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Listener {
    /// Serves plain connections.
    pub fn plain(socket: Accept, traffic: Traffic) -> Listener {
        Listener {
            socket,
            traffic,
            handshake: Handshake::None,
        }
    }

    /// Serves connections that begin with a handshake.
    pub fn secure(socket: Accept, traffic: Traffic, secure: Arc<dyn Secure>) -> Listener {
        Listener {
            socket,
            traffic,
            handshake: Handshake::Required(secure),
        }
    }

    /// Serves plain connections and those that begin with a handshake, as each client likes.
    pub fn either(socket: Accept, traffic: Traffic, secure: Arc<dyn Secure>) -> Listener {
        Listener {
            socket,
            traffic,
            handshake: Handshake::Optional(secure),
        }
    }
}

/// Turns an accepted connection into one that is encrypted. Called on the thread that will serve the connection.
pub trait Secure: Send + Sync + 'static {
    /// The handshake. It has no time limit of its own.
    fn handshake(&self, socket: Socket) -> Pin<Box<dyn Future<Output = io::Result<Secured>> + Send>>;
}

/// A connection after its handshake.
pub struct Secured {
    /// The connection's plain text.
    pub stream: Box<dyn Stream>,
    /// Common name of the client's certificate, if one was verified.
    pub common_name: Option<String>,
}

/// Bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection's bytes. Plain ones, nearly all there are on the fast path, cost no indirection.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// Encrypted.
    Secured(Box<dyn Stream>),
}

/// A socket on its way to another thread's runtime.
pub(crate) enum Accepted {
    Tcp(std::net::TcpStream, SocketAddr),
    Unix(std::os::unix::net::UnixStream),
}

impl Accept {
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Accept::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                // Requests and answers are written in one piece; waiting for more only costs time.
                stream.set_nodelay(true)?;
                stream.into_std().map(|stream| Accepted::Tcp(stream, from))
            }
            Accept::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.into_std().map(Accepted::Unix)
            }
        }
    }
}

impl Accepted {
    /// Where it came from, for the log.
    pub fn from(&self) -> String {
        match self {
            Accepted::Tcp(_, from) => from.to_string(),
            Accepted::Unix(_) => "unix".to_owned(),
        }
    }

    /// Joins the runtime of the current thread.
    pub fn into_socket(self) -> io::Result<Socket> {
        match self {
            Accepted::Tcp(stream, _) => TcpStream::from_std(stream).map(Socket::Tcp),
            Accepted::Unix(stream) => UnixStream::from_std(stream).map(Socket::Unix),
        }
    }
}

/// First byte of a TLS handshake. HTTP begins with a letter.
const TLS_HANDSHAKE: u8 = 0x16;

impl Handshake {
    /// The connection as its client wants it, and what is known of the client by then. `None` for plain text.
    pub async fn perform(self, socket: Socket) -> io::Result<(Socket, Option<ClientCertificate>)> {
        let secure = match self {
            Handshake::None => return Ok((socket, None)),
            Handshake::Required(secure) => secure,
            Handshake::Optional(secure) => {
                let first = match &socket {
                    Socket::Tcp(stream) => first_of_tcp(stream).await?,
                    Socket::Unix(stream) => first_of_unix(stream).await?,
                    Socket::Secured(_) => None,
                };
                if first != Some(TLS_HANDSHAKE) {
                    return Ok((socket, None));
                }
                secure
            }
        };
        let secured = secure.handshake(socket).await?;
        let name = secured.common_name.filter(|name| !name.is_empty());
        let certificate = ClientCertificate {
            name: name.map(|name| CertificateName(name.into())),
        };
        Ok((Socket::Secured(secured.stream), Some(certificate)))
    }
}

/// The first byte, once it is there, which is not taken; `None` at the end.
async fn first_of_tcp(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut first = [0];
    let len = stream.peek(&mut first).await?;
    Ok((len == 1).then_some(first[0]))
}

/// As [`first_of_tcp`].
async fn first_of_unix(stream: &UnixStream) -> io::Result<Option<u8>> {
    let mut first = [0];
    let look = || Ok(rustix::net::recv(stream, &mut first, RecvFlags::PEEK)?.1);
    let len = stream.async_io(Interest::READABLE, look).await?;
    Ok((len == 1).then_some(first[0]))
}

/// What a handshake found out.
pub(crate) struct ClientCertificate {
    /// The common name of a verified certificate.
    pub name: Option<CertificateName>,
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
            Socket::Secured($stream) => $call,
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Tcp(stream) => stream.is_write_vectored(),
            Socket::Unix(stream) => stream.is_write_vectored(),
            Socket::Secured(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
