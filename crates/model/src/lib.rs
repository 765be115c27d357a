//! The words every crate shares: ids, revisions, key ranges, commands, replies and refusals.
//! Knows nothing of storage, raft, time or sockets.

mod command;
mod id;
mod key_range;
mod rejection;
mod reply;
mod revision;
mod stored;

/// The messages of proto/, see build.rs for how the fields of stored bytes are typed.
pub mod pb {
    #![allow(clippy::all, missing_docs)]
    include!(concat!(env!("OUT_DIR"), "/pb.rs"));
}

pub use command::{Command, DecodeError, Request};
pub use id::{ClusterId, LeaseId, LogIndex, MemberId, Term};
pub use key_range::KeyRange;
pub use rejection::{Code, Rejection};
pub use reply::Reply;
pub use revision::{Revision, RevisionKey};
pub use stored::{EventKind, encode_event, encode_key_value, key_value_len, put_key_value};
