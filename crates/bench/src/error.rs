//! What can end a run.

use crate::http2::Failure;

/// Why a run could not be done or reported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket or a thread.
    #[error("{0}; is the server up, and is --endpoints right?")]
    Io(#[from] std::io::Error),
    /// A call that a workload depends on.
    #[error("{path}: {failure}")]
    Refused {
        /// Of the method.
        path: &'static str,
        /// The server's answer.
        failure: Failure,
    },
    /// A response that is not of its type.
    #[error("{0}: the server's answer cannot be decoded; is it an etcd v3 endpoint?")]
    Malformed(&'static str),
    /// A bug of the generator.
    #[error("a thread of the generator ended without a result; its panic is above")]
    Thread,
    /// Something that a workload needs did not come about.
    #[error("{0}")]
    Unmet(String),
    /// A file that was to be written or read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file that holds no run.
    #[error("{path} is no result of quorate-bench: {source}")]
    Result {
        /// Which.
        path: String,
        /// Why not.
        source: serde_json::Error,
    },
}

/// With [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
