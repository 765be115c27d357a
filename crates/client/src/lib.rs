//! A client for etcd's API: any of several endpoints, retries where they are safe, tokens renewed, watches resumed,
//! leases kept alive, and the lock and election recipes of etcd's own client.
//!
//! Knows nothing of the server's inside. Stored values arrive as encoded bytes, see [`kv`].

mod call;
mod connection;
mod election;
mod error;
pub mod kv;
mod lease;
mod mutex;
mod options;
mod session;
mod tls;
mod unary;
mod watch;

pub use call::Client;
pub use election::{Election, Observer};
pub use error::{Error, Result};
pub use lease::KeepAlive;
pub use mutex::Mutex;
pub use options::{Endpoint, Options, Tls};
pub use session::Session;
pub use tls::tls_config;
pub use watch::Watcher;

/// The messages of etcd's API.
pub use model::pb;
