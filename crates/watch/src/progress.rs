//! When each stream reports progress to its quiet watchers.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Due times of the streams that have something to report.
pub(crate) struct Schedule {
    interval: Duration,
    due: BTreeSet<(Duration, u64)>,
    /// When each stream is due; `None` until a tick says what time it is.
    streams: HashMap<u64, Option<Duration>>,
    fresh: Vec<u64>,
}

impl Schedule {
    pub fn new(interval: Duration) -> Schedule {
        Schedule {
            interval,
            due: BTreeSet::new(),
            streams: HashMap::new(),
            fresh: Vec::new(),
        }
    }

    /// Enters a stream, unless it is in.
    pub fn enter(&mut self, stream: u64) {
        self.streams.entry(stream).or_insert_with(|| {
            self.fresh.push(stream);
            None
        });
    }

    /// Takes a stream out.
    pub fn leave(&mut self, stream: u64) {
        if let Some(Some(at)) = self.streams.remove(&stream) {
            self.due.remove(&(at, stream));
        }
    }

    /// Whether streams wait to be given their first due time.
    pub fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// The streams that are due, in order. Each is due again an interval later.
    pub fn take_due(&mut self, now: Duration) -> Vec<u64> {
        for stream in std::mem::take(&mut self.fresh) {
            self.set(stream, now + self.interval_of(stream));
        }
        let mut streams = Vec::new();
        while let Some((at, stream)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            streams.push(stream);
            // Counted from when it was due, so that a late tick does not shift what follows; but one report makes up
            // for all that were missed.
            let interval = self.interval_of(stream);
            let again = at + interval;
            self.set(stream, if again > now { again } else { now + interval });
        }
        streams
    }

    /// When the next stream is due.
    pub fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    fn set(&mut self, stream: u64, at: Duration) {
        if let Some(entry) = self.streams.get_mut(&stream) {
            *entry = Some(at);
            self.due.insert((at, stream));
        }
    }

    /// The interval and up to a tenth more, always the same for a stream.
    fn interval_of(&self, stream: u64) -> Duration {
        let spread = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let interval = self.interval.max(Duration::from_millis(1));
        interval + interval / 10 * spread as u32 / 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_due_once_an_interval() {
        let mut schedule = Schedule::new(Duration::from_secs(100));
        schedule.enter(1);
        schedule.enter(1);
        let at = |secs| Duration::from_secs(secs);
        assert_eq!(schedule.take_due(at(5)), []);
        let first = schedule.next().unwrap();
        assert!((at(105)..=at(115)).contains(&first));
        assert_eq!(schedule.take_due(first), [1]);
        assert_eq!(schedule.take_due(first), []);
        // A driver that slept through several intervals reports once.
        assert_eq!(schedule.take_due(at(1000)), [1]);
        assert_eq!(schedule.take_due(at(1000)), []);
        schedule.leave(1);
        assert_eq!(schedule.next(), None);
    }
}
