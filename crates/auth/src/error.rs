//! What can be wrong with options, keys and stored rows.

use thiserror::Error;

/// A token option that cannot be used, or rows that no auth store wrote.
#[derive(Debug, Error)]
pub enum Error {
    /// `--auth-token` cannot be read.
    #[error("auth: invalid auth options: {0}")]
    BadOptions(String),
    /// A key file cannot be read.
    #[error("auth: cannot read key file {path}")]
    KeyFile {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A stored row cannot be read.
    #[error("stored users and roles are damaged: {0}")]
    DamagedRow(String),
}
