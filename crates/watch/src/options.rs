//! Limits and intervals.

use std::time::Duration;

/// How much the hub may hold, and how often it reports progress.
#[derive(Clone, Debug)]
pub struct Options {
    /// Revisions kept in memory for watchers that are a little behind.
    pub ring_revisions_max: usize,
    /// Bytes those revisions may take, about.
    pub ring_bytes_max: usize,
    /// Event responses that may wait on a stream. A stream gets one more for each of its watchers, so that one change
    /// that all of them watch does not put them behind.
    pub queue_responses_max: usize,
    /// Bytes of events that may wait on a stream; a single larger response still passes when nothing else waits.
    pub queue_bytes_max: usize,
    /// Watchers of all streams together; a request for more is refused.
    pub watchers_max: usize,
    /// Between two progress responses of a watcher that asked for them. Streams add up to a tenth each, so that they
    /// do not all report at once.
    pub progress_interval: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            ring_revisions_max: 100_000,
            ring_bytes_max: 8 << 20,
            queue_responses_max: 128,
            queue_bytes_max: 4 << 20,
            watchers_max: 2_000_000,
            progress_interval: Duration::from_secs(600),
        }
    }
}

/// What a gateway says when it opens a stream.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Size from which responses of watchers created with `fragment` are cut: etcd's `max-request-bytes` + 512 KiB.
    pub fragment_bytes: usize,
}

impl Default for StreamOptions {
    fn default() -> StreamOptions {
        StreamOptions {
            fragment_bytes: 2 << 20,
        }
    }
}
