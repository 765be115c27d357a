//! Why another member could not be asked.

use model::{MemberId, Rejection};
use thiserror::Error;

/// Why a request to another member gave no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// It answered with a refusal.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No member of that id is known.
    #[error("member {0} is not known")]
    UnknownMember(MemberId),
    /// There is no connection, or it was lost before the answer; trying again may help.
    #[error("cannot reach {peer}: {reason}")]
    Unreachable {
        /// Member id or URL.
        peer: String,
        /// What went wrong.
        reason: String,
    },
    /// It did not answer in time.
    #[error("{peer} did not answer in time")]
    TimedOut {
        /// Member id or URL.
        peer: String,
    },
    /// It answered something else than a member of this cluster would.
    #[error("{peer} answered wrongly: {reason}")]
    Unexpected {
        /// Member id or URL.
        peer: String,
        /// What is wrong with it.
        reason: String,
    },
}
