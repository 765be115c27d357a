//! HTTP/2 (RFC 9113) as a gRPC client needs it, without sockets: bytes in, events out.
//!
//! Why not a library: a general one costs as much per request as a good server does, and then a benchmark on one machine
//! measures the client. Here a request is a few dozen bytes appended to a buffer.

mod connection;
mod hpack;
mod huffman;

pub use connection::{Connection, Event, What, Windows};

/// How a call failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} (gRPC code {code})")]
pub struct Failure {
    /// gRPC's status code.
    pub code: u32,
    /// The server's words, or ours where it had none.
    pub message: String,
}
