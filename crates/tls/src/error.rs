//! Why TLS cannot be set up.

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// What is wrong with files or settings; each message says which.
#[derive(Debug, Error)]
pub enum Error {
    /// A file that was named cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could be read but holds something else than it should.
    #[error("{}: no usable {what} in it: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong with what is in it.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Certificate and key are not a pair.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// A server needs a certificate.
    #[error("KeyFile and CertFile are not presented")]
    NoCertificate,
    /// Certificates are asked for, and there is nobody whose signature on them would count.
    #[error("client certificates cannot be checked: name a --trusted-ca-file, the system has no authorities")]
    NoAuthorities,
    /// etcd's words for a version that is none.
    #[error("unexpected TLS version {0:?} (must be one of: TLS1.2, TLS1.3)")]
    Version(String),
    /// etcd's words for a range of versions that is empty.
    #[error("min version ({min}) is greater than max version ({max})")]
    Versions {
        /// Least version.
        min: String,
        /// Greatest version.
        max: String,
    },
    /// etcd's words: the suites of TLS 1.3 are not chosen.
    #[error("cipher suites cannot be configured when only TLS1.3 is enabled")]
    SuitesWithoutUse,
    /// etcd's words for a name that Go does not know either.
    #[error("unexpected TLS cipher suite {0:?}")]
    UnknownSuite(String),
    /// A suite that Go has and this server does not: CBC, RC4, 3DES, or a key exchange without forward secrecy.
    #[error(
        "TLS cipher suite {suite:?} is not supported: only suites with forward secrecy and authenticated encryption \
         are, name some of {available}"
    )]
    MissingSuite {
        /// The suite.
        suite: String,
        /// Names of those that can be had.
        available: String,
    },
    /// A library refused what should have been right.
    #[error("cannot set up TLS: {0}")]
    Setup(String),
}
