//! What can be wrong with configuration, peers' answers and stored rows.

use crate::Version;
use thiserror::Error;

/// A configuration that cannot be used, or data that no cluster wrote.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Error {
    /// A URL is not usable; the text is etcd's.
    #[error("{0}")]
    BadUrl(String),
    /// `--initial-cluster` names nobody, or somebody without a URL.
    #[error("bad initial cluster: {0}")]
    BadInitialCluster(String),
    /// Two members would have the same id.
    #[error("member exists with identical ID {0:x}")]
    SameId(u64),
    /// This member's configuration and the running cluster do not fit.
    #[error("error validating peerURLs: {0}")]
    Mismatch(String),
    /// The downgrade job in force asks for a version that cannot be reached from here.
    #[error("invalid downgrade target {0}")]
    BadDowngrade(Version),
    /// A version is not `major.minor` or `major.minor.patch`.
    #[error("bad version {0:?}")]
    BadVersion(String),
    /// A conf change in the log cannot be read.
    #[error("damaged conf change: {0}")]
    DamagedChange(String),
    /// A stored row cannot be read.
    #[error("stored membership is damaged: {0}")]
    DamagedRow(String),
}
