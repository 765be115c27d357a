//! Starting an engine: log and state machine are brought together, then the threads run.

use std::sync::Arc;

use crate::{Bootstrap, Error, Handle, Options, StateMachine, Transport};

/// Everything an engine starts from.
pub struct Start {
    /// Settings.
    pub options: Options,
    /// How this member comes into its cluster.
    pub bootstrap: Bootstrap,
    // wal: wal::Wal and recovered: wal::Recovered come here once the wal crate has them.
    /// The state the log is applied to.
    pub machine: Box<dyn StateMachine>,
    /// The way to the other members.
    pub transport: Arc<dyn Transport>,
}

/// A replica of the log. Lives in its threads; see [`Handle`].
pub struct Engine;

impl Engine {
    /// Checks that log and state machine belong together, finishes an interrupted snapshot installation, and starts
    /// the threads.
    pub fn start(_start: Start) -> Result<Handle, Error> {
        todo!()
    }
}
