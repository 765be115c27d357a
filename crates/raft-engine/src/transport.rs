//! How messages leave.

use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;

/// Carries messages to other members. Loss, delay and reordering are allowed, and so is duplication, except of forwarded
/// proposals ([`MessageKind`](crate::MessageKind) does not tell them apart, so a transport that repeats must not be
/// used): what is delivered twice would be proposed twice. Blocking is not allowed: both methods are called by the raft
/// thread.
pub trait Transport: Send + Sync + 'static {
    /// Sends encoded raft messages to `to`, in order where possible. Drops what does not fit into a bounded queue and
    /// then says so with [`Handle::report_unreachable`](crate::Handle::report_unreachable).
    fn send(&self, to: u64, messages: Vec<Bytes>);

    /// Starts sending a snapshot: the files of `checkpoint`, then `message`, which the receiver hands to
    /// [`Handle::install_snapshot`](crate::Handle::install_snapshot) with the directory it has put them in. How it
    /// went must be reported with [`Handle::report_snapshot`](crate::Handle::report_snapshot). Keep `checkpoint`
    /// until then: the files go when its last clone is dropped, and a clone dropped without a report counts as failed.
    fn send_snapshot(&self, to: u64, message: Bytes, checkpoint: Checkpoint);
}

/// A directory with a copy of the state, removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    files: Arc<Files>,
    /// Shared by the clones that belong to one sending, so that the engine notices when the last is gone.
    _sending: Arc<()>,
}

#[derive(Debug)]
struct Files {
    path: std::path::PathBuf,
    index: u64,
    term: u64,
}

impl Checkpoint {
    /// Takes charge of `path`: it will be removed.
    pub fn new(path: std::path::PathBuf, index: u64, term: u64) -> Self {
        Self {
            files: Arc::new(Files { path, index, term }),
            _sending: Arc::new(()),
        }
    }

    /// A clone to send, and what dies with the last clone of it.
    pub(crate) fn sending(&self) -> (Self, Weak<()>) {
        let sending = Arc::new(());
        let watch = Arc::downgrade(&sending);
        (
            Self {
                files: self.files.clone(),
                _sending: sending,
            },
            watch,
        )
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.files.path
    }

    /// The applied index of the state in it.
    pub fn index(&self) -> u64 {
        self.files.index
    }

    /// The term of that entry.
    pub fn term(&self) -> u64 {
        self.files.term
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        crate::directory::discard(&self.path);
    }
}
