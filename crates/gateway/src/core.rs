//! One RPC thread's own things.

use crate::methods::Method;
use crate::metrics::Counters;
use crate::services::Services;
use crate::shared::Shared;
use std::sync::Arc;
use std::time::Instant;
use tonic::Code;

/// What the connections of one RPC thread share with each other, and with no other thread in their daily work.
pub(crate) struct Core {
    pub shared: Arc<Shared>,
    pub services: Services,
    pub counters: Arc<Counters>,
}

impl Core {
    pub fn new(shared: Arc<Shared>, counters: Arc<Counters>) -> Core {
        Core {
            services: Services::new(&shared),
            shared,
            counters,
        }
    }
}

/// A call from its start to its end, whichever way it ends. One that is dropped was given up by its client.
pub(crate) struct Call {
    pub core: Arc<Core>,
    pub method: Method,
    started: Instant,
    ended: bool,
}

impl Call {
    #[expect(
        clippy::disallowed_methods,
        reason = "an edge: how long a call takes is what a clock shows"
    )]
    pub fn start(core: Arc<Core>, method: Method) -> Call {
        core.counters.started(method);
        Call {
            core,
            method,
            started: Instant::now(),
            ended: false,
        }
    }

    /// Counts the call as ended; only the first end counts.
    pub fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.started.elapsed();
        self.core.counters.handled(self.method, code);
        self.core
            .shared
            .metrics
            .observe(self.method, took, code == Code::Ok);
        if took > self.core.shared.options.slow_call && self.method.kind() == crate::methods::Kind::Unary {
            tracing::warn!(
                response_type = self.method.path(),
                time_spent = ?took,
                code = crate::status::code_name(code),
                "request stats"
            );
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}
