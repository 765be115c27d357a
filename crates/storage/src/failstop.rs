//! A store that failed once is not written again.

use crate::backend::{Error, Result};
use std::sync::OnceLock;

/// Remembers the first failed write or flush of an engine and refuses whatever would write after it. A caller that
/// tried again could otherwise succeed and leave a hole behind it: after a failed fsync the kernel drops the pages
/// and reports the next one as good.
#[derive(Debug, Default)]
pub struct FailStop {
    first: OnceLock<String>,
}

impl FailStop {
    /// Runs `change` unless one before it failed.
    pub fn guard<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some(first) = self.first.get() {
            return Err(Error::Engine(format!(
                "not written since an earlier failure: {first}"
            )));
        }
        change().inspect_err(|e| {
            // Lost only to another thread's failure, which serves as well.
            let _ = self.first.set(e.to_string());
        })
    }
}
