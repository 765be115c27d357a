//! What can go wrong in the hub itself.

use thiserror::Error;

/// The history could not be read. Watchers keep their place; the next [`crate::Hub::tick`] tries again.
#[derive(Debug, Error)]
#[error("cannot read the history for watchers that are behind")]
pub struct Error(#[from] mvcc::Error);
