//! Sockets that the member listens on.

use crate::address::Address;
use anyhow::{Context, bail};
use gateway::Accept;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{SocketAddr, ToSocketAddrs};
use tokio::net::{TcpListener, UnixListener};

/// How sockets are bound.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Several processes may bind one port.
    pub reuse_port: bool,
}

const BACKLOG: i32 = 1024;

/// Binds what the URL names. The error says which URL it was, and what to do where that is known.
pub fn bind(address: &Address, options: Options) -> anyhow::Result<Accept> {
    if address.is_unix() {
        return Ok(Accept::Unix(bind_unix(address)?));
    }
    let target = address.socket();
    let found = target
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve {address}"))?;
    // `localhost` is ::1 first on some machines; clients that were told so try 127.0.0.1.
    let Some(target) = found.min_by_key(|address| address.is_ipv6()) else {
        bail!("{address} has no IP address");
    };
    let listener = bind_tcp(target, options).with_context(|| hint(address))?;
    Ok(Accept::Tcp(listener))
}

fn hint(address: &Address) -> String {
    format!("cannot listen on {address} (is another process using the port? see: ss -ltnp)")
}

fn bind_tcp(target: SocketAddr, options: Options) -> std::io::Result<TcpListener> {
    let domain = if target.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // Without it a restart fails for a minute: connections of the process before linger on the port.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(target))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_unix(address: &Address) -> anyhow::Result<UnixListener> {
    let path = address.unix_path();
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        bail!("cannot listen on {address}: another process does");
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove the old socket {path}"));
        }
        _ => {}
    }
    UnixListener::bind(path).with_context(|| format!("cannot listen on {address}"))
}
