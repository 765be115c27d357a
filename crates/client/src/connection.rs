//! One lazily opened HTTP/2 connection per endpoint.

use crate::options::{Address, Endpoint, Options};
use crate::{Error, Result, tls};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;

/// Why a server refused the last connection, taken by whoever reports the failure. With TLS 1.3 a server judges its
/// client when the handshake is over for the client: its alert comes where the answer was expected, and the transport
/// only says that the connection was closed.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<String>>>);

impl Refusal {
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().ok()?.take()
    }

    fn note(&self, error: &io::Error) {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        if let (Some(alert @ rustls::Error::AlertReceived(_)), Ok(mut refusal)) = (cause, self.0.lock()) {
            *refusal = Some(format!(
                "connection error: desc = \"transport: authentication handshake failed: {alert}\""
            ));
        }
    }
}

/// Connects when first used, and again after a failure.
pub(crate) fn channel(endpoint: &str, options: &Options) -> Result<(Channel, Refusal)> {
    let parsed = Endpoint::parse(endpoint)?;
    let invalid = |reason: String| Error::Endpoint {
        endpoint: endpoint.to_owned(),
        reason,
    };
    let authority = match &parsed.address {
        Address::Tcp(address) => address.as_str(),
        Address::Unix(_) => "localhost",
    };
    let secure = parsed.tls.unwrap_or(options.tls.is_some());
    let encryption = if secure {
        let settings = options.tls.clone().unwrap_or_default();
        let uri: Uri = format!("https://{authority}")
            .parse()
            .map_err(|_| invalid("not host:port".into()))?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let name = settings.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| invalid(error.to_string()))?;
        Some((tls::tls_config(&settings, &["h2"])?, name))
    } else {
        None
    };

    // The transport refuses https without its own TLS, so it is told http, and the real scheme as the origin.
    let origin = format!("{}://{authority}", if secure { "https" } else { "http" });
    let origin: Uri = origin.parse().map_err(|_| invalid("not host:port".into()))?;
    let mut target = Channel::from_shared(format!("http://{authority}"))
        .map_err(|error| invalid(error.to_string()))?
        .origin(origin)
        .connect_timeout(options.dial_timeout)
        .tcp_nodelay(true);
    if let Some((interval, timeout)) = options.keep_alive {
        target = target
            .http2_keep_alive_interval(interval)
            .keep_alive_timeout(timeout);
    }
    let address = parsed.address;
    let refusal = Refusal::default();
    let noted = refusal.clone();
    let connector =
        tower::service_fn(move |_: Uri| connect(address.clone(), encryption.clone(), noted.clone()));
    Ok((target.connect_with_connector_lazy(connector), refusal))
}

async fn connect(
    address: Address,
    encryption: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    refusal: Refusal,
) -> io::Result<TokioIo<Socket>> {
    let plain = match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Plain::Tcp(stream)
        }
        Address::Unix(path) => Plain::Unix(UnixStream::connect(path).await?),
    };
    let socket = match encryption {
        None => Socket::Plain(plain),
        Some((config, name)) => {
            let connecting = TlsConnector::from(config).connect(name, plain);
            let stream = connecting.await.inspect_err(|error| refusal.note(error))?;
            Socket::Tls(Noted {
                stream: Box::new(stream),
                refusal,
            })
        }
    };
    Ok(TokioIo::new(socket))
}

enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

enum Socket {
    Plain(Plain),
    Tls(Noted),
}

/// A connection whose refusal is noted.
struct Noted {
    stream: Box<TlsStream<Plain>>,
    refusal: Refusal,
}

impl AsyncRead for Noted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &read {
            this.refusal.note(error);
        }
        read
    }
}

impl AsyncWrite for Noted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

macro_rules! forward {
    ($type:ident: $($variant:ident),*) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $($type::$variant(io) => Pin::new(io).poll_read(cx, buf),)* }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() { $($type::$variant(io) => Pin::new(io).poll_write(cx, buf),)* }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $($type::$variant(io) => Pin::new(io).poll_flush(cx),)* }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $($type::$variant(io) => Pin::new(io).poll_shutdown(cx),)* }
            }
        }
    };
}

forward!(Plain: Tcp, Unix);
forward!(Socket: Plain, Tls);
