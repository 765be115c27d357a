//! etcd's client API in front of a [`node::Handle`]: gRPC, JSON and the HTTP paths beside them, on any number of
//! listeners. Knows how requests look on the wire and who may open a stream; knows nothing of raft, storage or
//! what a request does: each handler is a translation to one or two calls of the node.
//!
//! Connections are spread over a few threads with a runtime each ([`Options::rpc_threads`]); everything about a
//! connection, its streams and its requests happens on the one thread it was given to.

mod authority;
mod body;
mod budget;
mod caller;
mod core;
mod cut;
mod frames;
mod gather;
mod http;
mod json;
mod messages;
mod methods;
mod metrics;
mod options;
mod pieces;
mod prompt;
mod route;
mod rpc;
mod serve;
mod services;
mod shared;
mod socket;
mod status;
mod trace;
mod unary;
mod unread;

pub use json::requests as json_requests;
pub use options::{Backup, Options, SnapshotWriter, WriteBackup};
pub use prompt::Prompt;
pub use serve::{Error, serve};
pub use socket::{Accept, Listener, Secure, Secured, Socket, Stream, Traffic};
pub use status::{rejected, status};
