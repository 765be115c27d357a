//! Puts before and while the server does something large.

use super::{background, fill};
use crate::Result;
use crate::caller::Caller;
use crate::grpc::method::{COMPACT, DEFRAGMENT, RANGE, SNAPSHOT};
use crate::keys::END;
use crate::options::Options;
use crate::outcome::Outcome;
use model::pb::etcdserverpb::{
    CompactionRequest, CompactionResponse, DefragmentRequest, DefragmentResponse, RangeRequest,
    RangeResponse, SnapshotRequest,
};

/// Compacts all but the last revision; every key has an older version that goes.
pub fn compaction(options: &Options) -> Result<Outcome> {
    fill::filled(options)?;
    fill::again(options)?;
    beside_puts(options, |caller| {
        let request = RangeRequest {
            key: END.into(),
            ..RangeRequest::default()
        };
        let now: RangeResponse = caller.call(RANGE, &request)?;
        let request = CompactionRequest {
            revision: now.header.unwrap_or_default().revision,
            physical: true,
        };
        caller.call::<CompactionResponse>(COMPACT, &request)?;
        Ok(0)
    })
}

/// Defragments the first endpoint.
pub fn defragment(options: &Options) -> Result<Outcome> {
    fill::filled(options)?;
    beside_puts(options, |caller| {
        caller.call::<DefragmentResponse>(DEFRAGMENT, &DefragmentRequest {})?;
        Ok(0)
    })
}

/// Takes a snapshot and throws it away.
pub fn snapshot(options: &Options) -> Result<Outcome> {
    fill::filled(options)?;
    beside_puts(options, |caller| {
        let mut bytes = 0;
        caller.stream(SNAPSHOT, &SnapshotRequest {}, |message| bytes += message.len())?;
        Ok(bytes)
    })
}

/// What is short is followed by a second of puts in the same phase: a stall would end with the action and before the
/// puts that it held up.
const LEAST_SECONDS: f64 = 1.0;

fn beside_puts(options: &Options, act: impl FnOnce(&mut Caller) -> Result<usize>) -> Result<Outcome> {
    let mut caller = Caller::connect(&options.endpoints[0])?;
    let mut puts = background::puts(options)?;
    puts.warm_up(options.warmup)?;
    puts.phase("quiet", options.seconds)?;
    let (seconds, bytes) = puts.during("meanwhile", |puts| {
        let start = crate::clock::now();
        let bytes = act(&mut caller)?;
        let seconds = (crate::clock::now() - start) as f64 / 1e9;
        puts.wait("meanwhile", Some(crate::clock::seconds(LEAST_SECONDS)))?;
        Ok((seconds, bytes))
    })?;
    let mut outcome = puts.finish()?;
    outcome.figures.insert("seconds of the action".into(), seconds);
    if bytes > 0 {
        outcome.figures.insert("megabytes".into(), bytes as f64 / 1e6);
    }
    if let [quiet, meanwhile] = &outcome.phases[..] {
        let ratio = meanwhile.latency.p99 / quiet.latency.p99.max(f64::MIN_POSITIVE);
        outcome.figures.insert("p99 meanwhile / quiet".into(), ratio);
    }
    Ok(outcome)
}
