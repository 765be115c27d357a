//! Who speaks.

use model::{ClusterId, MemberId};

/// How this member shows itself to others.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Members of other clusters are refused.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// Version of the server, `major.minor.patch`.
    pub version: String,
    /// Where others reach this member: told them with each connection, since they may not yet have applied the entry
    /// that adds it.
    pub peer_urls: Vec<String>,
}
