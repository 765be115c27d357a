//! Why nobody was found.

use thiserror::Error;

/// Why discovery did not succeed. Texts that begin with `discovery:` are etcd's.
#[derive(Debug, Error)]
pub enum Error {
    /// The name server has no answer, or there is none.
    #[error("error querying DNS SRV records for _{service} lookup {name}: {reason}")]
    Dns {
        /// As `etcd-server`.
        service: String,
        /// The whole name.
        name: String,
        /// What the resolver said.
        reason: String,
    },
    /// A record names this member, but with another scheme than it advertises.
    #[error("bootstrap at {found} from DNS for {service} has scheme mismatch with expected peer {expected}")]
    Scheme {
        /// URL of the record.
        found: String,
        /// As `etcd-server`.
        service: String,
        /// What this member advertises.
        expected: String,
    },
    /// Nobody has said how many members the cluster is to have: the token or URL is wrong.
    #[error("discovery: size key not found")]
    SizeNotFound,
    /// The size is no positive number.
    #[error("discovery: size key is bad")]
    BadSize,
    /// As many members as there are places came first.
    #[error("discovery: cluster is full")]
    Full,
    /// Another member has taken this one's id: it has the same peer URLs.
    #[error("discovery: found duplicate id")]
    DuplicateId,
    /// The discovery URL cannot be used.
    #[error("discovery: invalid URL {url:?}: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The service answers, but with nothing that helps.
    #[error("discovery: {0}")]
    Service(String),
    /// The discovery cluster could not be connected to, or refuses.
    #[error(transparent)]
    Client(#[from] client::Error),
}

/// Result of discovery.
pub type Result<T, E = Error> = std::result::Result<T, E>;
