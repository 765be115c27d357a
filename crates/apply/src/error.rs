//! What can go wrong while commands are applied.

use model::Rejection;
use thiserror::Error;

/// A fault of this member. It must apply nothing more: going on would make it differ from the others.
#[derive(Debug, Error)]
pub enum Error {
    /// The keys could not be read or written.
    #[error("keys")]
    Keys(#[source] mvcc::Error),
    /// The store could not be read.
    #[error("store")]
    Storage(#[from] storage::Error),
    /// Stored leases cannot be read.
    #[error("leases")]
    Leases(#[from] lease::Error),
    /// Stored users and roles cannot be read.
    #[error("users and roles")]
    Auth(#[from] auth::Error),
    /// Stored members cannot be read.
    #[error("members")]
    Members(#[from] membership::Error),
    /// A row of the meta family cannot be read.
    #[error("row {0:?} of the meta family is damaged")]
    Meta(&'static str),
    /// Entries do not follow each other.
    #[error("entry {found} after entry {applied}")]
    Gap {
        /// Index of the entry.
        found: u64,
        /// Index of the last one applied.
        applied: u64,
    },
}

/// Why the execution of a request ends early: refused, the same on every member, or a fault of this one.
pub(crate) enum Stop {
    Refused(Rejection),
    Fault(Error),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Stop {
        Stop::Refused(rejection)
    }
}

impl From<mvcc::Error> for Stop {
    fn from(error: mvcc::Error) -> Stop {
        match error {
            mvcc::Error::Rejected(rejection) => Stop::Refused(rejection),
            fault => Stop::Fault(Error::Keys(fault)),
        }
    }
}
