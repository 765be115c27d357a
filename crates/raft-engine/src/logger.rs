//! The `raft` crate's log lines, passed on to `tracing`.

use slog::{Drain, Level, Logger, Never, OwnedKVList, Record};

struct Bridge;

impl Drain for Bridge {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
        // The core logs changes of role and leader in etcd's words, so raft's own lines are detail.
        match record.level() {
            Level::Critical | Level::Error => tracing::error!(target: "raft", "{}", record.msg()),
            Level::Warning => tracing::warn!(target: "raft", "{}", record.msg()),
            Level::Info => tracing::debug!(target: "raft", "{}", record.msg()),
            Level::Debug | Level::Trace => {}
        }
        Ok(())
    }
}

pub(crate) fn bridge() -> Logger {
    Logger::root(Bridge, slog::o!())
}
