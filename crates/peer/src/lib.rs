//! Raft messages, snapshots and forwarded requests between members, by gRPC on the peer URLs.
//!
//! Knows nothing of what raft's messages mean, of keys, or of certificates: messages are bytes with a sender, snapshots
//! are directories of files, and connections come from a [`Connector`] and from an accept loop, which may encrypt them.

mod peers;

mod link;
mod metrics;
mod outbox;
mod service;
mod snapshot;
mod sum;
mod ways;

mod http;
mod serve;

mod error;
mod identity;
mod inbox;
mod net;

pub use error::Error;
pub use http::{ClusterMembers, members_of, version_of};
pub use identity::Identity;
pub use inbox::{Inbox, Requests, Versions};
pub use net::{Accepting, BoxIo, Connector, Io, Plain, accept_tcp, connect_tcp, unix_path};
pub use peers::{Options, Peers};

/// For implementations of [`Requests`].
pub use tonic::async_trait;
