//! Why a request was not answered.

use model::Rejection;
use thiserror::Error;

/// What the caller is told.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// Refused, with etcd's code and text.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The request found no leader to go to for the whole time a request may take: gRPC code DeadlineExceeded.
    #[error("context deadline exceeded")]
    DeadlineExceeded,
    /// This member could not read its own store, or is damaged; others may answer. gRPC code Unknown.
    #[error("{0}")]
    Fault(String),
}

impl From<mvcc::Error> for Error {
    fn from(error: mvcc::Error) -> Error {
        match error {
            mvcc::Error::Rejected(rejection) => Error::Rejected(rejection),
            fault => Error::Fault(fault.to_string()),
        }
    }
}
