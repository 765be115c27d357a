//! How long a server takes from its start to its first answer.

use crate::caller::Caller;
use crate::clock::{self, SECOND};
use crate::grpc::method::RANGE;
use crate::keys::Keys;
use crate::options::Options;
use crate::outcome::{Outcome, Phase};
use crate::server::{Books, Server};
use crate::stats::Tally;
use crate::{Error, Result};
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use std::time::Duration;

/// Between two attempts to connect; the operating system does not know a process's start more exactly.
const PAUSE: Duration = Duration::from_millis(10);

/// A server that needs longer will not come.
const PATIENCE: u64 = 600 * SECOND;

/// Waits for the first endpoint to answer a linearizable read. Counted from the start of the first process that was
/// named, or from now; what it spent is all that it has spent since then.
pub fn run(options: &Options) -> Result<Outcome> {
    let server = Server::new(options);
    let begun = clock::now();
    let age = server.age().unwrap_or_default();
    let before = Books {
        own_cpu: server.books().own_cpu,
        ..Books::default()
    };
    loop {
        match ask(options) {
            Ok(()) => break,
            Err(error) if clock::now() - begun > PATIENCE => return Err(error),
            Err(Error::Io(_) | Error::Refused { .. }) => wait(),
            Err(error) => return Err(error),
        }
    }
    let took = age + clock::now() - begun;
    let mut tally = Tally::default();
    tally.latencies.record(took);
    Ok(Outcome {
        phases: vec![Phase::new("run", took, tally).with_books(&before, &server.books())],
        ..Outcome::default()
    })
}

fn ask(options: &Options) -> Result<()> {
    let request = RangeRequest {
        key: Keys::new(options).key(0).into(),
        ..RangeRequest::default()
    };
    let mut caller = Caller::connect(&options.endpoints[0])?;
    caller.call::<RangeResponse>(RANGE, &request).map(drop)
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells a stranger that a server is ready"
)]
fn wait() {
    std::thread::sleep(PAUSE);
}
