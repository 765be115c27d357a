//! TLS as etcd's flags describe it: which certificate is shown, which are believed, and what may be spoken.
//!
//! Makes rustls configurations out of files, and makes them anew when the files change; tells why a handshake failed
//! in Go's words, which operators' alerts and etcd's own tests look for. Knows nothing of sockets, of tokio, or of
//! what is said on a connection.

mod options;
mod p521;
mod protocol;

mod client;
mod server;

mod certificate;
mod revocation;
mod self_signed;
mod verify;

mod cached;
mod error;
mod files;
mod words;

pub use certificate::{Certificate, Resolver};
pub use client::Client;
pub use error::Error;
pub use options::{Allowed, Options, Pair};
pub use protocol::Protocol;
pub use self_signed::self_signed;
pub use server::Server;
pub use words::explain;
