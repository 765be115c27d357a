//! Raft messages, snapshots and forwarded requests between members, by gRPC on the peer URLs.
//!
//! Knows nothing of what raft's messages mean, of keys, or of certificates: messages are bytes with a sender, snapshots
//! are directories of files, and connections come from a [`Connector`] and an accept loop that may encrypt them.

mod error;
mod identity;
mod inbox;
mod net;
mod peers;
mod server;

pub use error::Error;
pub use identity::Identity;
pub use inbox::{Inbox, Requests, Versions};
pub use net::{Accepting, BoxIo, Connector, Io, Plain, accept_tcp};
pub use peers::{Options, Peers};
pub use server::{ClusterMembers, members_of, version_of};
