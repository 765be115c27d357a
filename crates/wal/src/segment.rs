//! Segments, and where in them each entry lies.

use crate::dir::File;
use crate::frame::Salt;
use std::collections::VecDeque;
use std::sync::Arc;

/// One file of the log.
pub(crate) struct Segment {
    /// Counts up by one from segment to segment.
    pub(crate) sequence: u64,
    pub(crate) name: String,
    /// `None` if etcd wrote it.
    pub(crate) salt: Option<Salt>,
    pub(crate) file: Arc<dyn File>,
}

/// File name of a segment: its number, and the index that its first new entry was expected to have.
pub(crate) fn name(sequence: u64, index: u64) -> String {
    format!("{sequence:016x}-{index:016x}.wal")
}

/// The number of the segment of that name.
pub(crate) fn parse_name(name: &str) -> Option<u64> {
    let (sequence, index) = name.strip_suffix(".wal")?.split_once('-')?;
    let number = |digits: &str| {
        let hex = digits.len() == 16
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| u64::from_str_radix(digits, 16).ok())?
    };
    number(index)?;
    number(sequence)
}

/// The segments of the log, and the places of the entries in them.
///
/// * There is at least one segment; their numbers are dense.
/// * `places[i]` is entry `first + i`; places go up with the index, for what was overwritten is gone.
pub(crate) struct Index {
    segments: VecDeque<Live>,
    first: u64,
    places: VecDeque<Place>,
}

struct Live {
    segment: Arc<Segment>,
    /// Highest index of an entry ever written to it.
    highest: u64,
}

/// Eight bytes, since there is one for each entry. Of the segment's number the low half is enough to find it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    sequence: u32,
    offset: u32,
}

impl Index {
    /// Without entries; the next has index `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            segments: VecDeque::new(),
            first,
            places: VecDeque::new(),
        }
    }

    /// Number of segments.
    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The segment that is written to.
    pub(crate) fn tail(&self) -> Option<&Arc<Segment>> {
        self.segments.back().map(|live| &live.segment)
    }

    /// Index of the oldest entry; of the next one if there is none.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// One past the newest entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    /// Goes on with a new segment.
    pub(crate) fn push_segment(&mut self, segment: Arc<Segment>) {
        self.segments.push_back(Live { segment, highest: 0 });
    }

    /// Notes an entry written to the tail at `offset`; those at and after `index` are forgotten.
    pub(crate) fn push_entry(&mut self, index: u64, offset: u64) {
        if self.places.is_empty() || index < self.first || index > self.end() {
            self.forget_entries(index);
        }
        self.places.truncate((index - self.first) as usize);
        if let Some(tail) = self.segments.back_mut() {
            tail.highest = tail.highest.max(index);
            // Recovery and rotation keep segments below 4 GiB.
            self.places.push_back(Place {
                sequence: tail.segment.sequence as u32,
                offset: offset as u32,
            });
        }
    }

    /// Forgets all entries; the next has index `next`.
    pub(crate) fn forget_entries(&mut self, next: u64) {
        self.places.clear();
        self.first = next;
    }

    /// Takes out the oldest segments that hold only entries up to `index`; never the tail.
    pub(crate) fn release(&mut self, index: u64) -> Vec<Arc<Segment>> {
        let mut released = Vec::new();
        while self.segments.len() > 1 && self.segments.front().is_some_and(|live| live.highest <= index) {
            released.extend(self.segments.pop_front().map(|live| live.segment));
        }
        while self
            .places
            .front()
            .is_some_and(|place| self.segment_of(*place).is_none())
        {
            self.places.pop_front();
            self.first += 1;
        }
        released
    }

    /// Where entry `index` lies.
    pub(crate) fn find(&self, index: u64) -> Option<(Arc<Segment>, u64)> {
        let place = *self
            .places
            .get(usize::try_from(index.checked_sub(self.first)?).ok()?)?;
        Some((self.segment_of(place)?.clone(), place.offset.into()))
    }

    fn segment_of(&self, place: Place) -> Option<&Arc<Segment>> {
        let first = self.segments.front()?.segment.sequence as u32;
        let live = self.segments.get(place.sequence.wrapping_sub(first) as usize)?;
        Some(&live.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_etcds() {
        assert_eq!(name(1, 0x2a), "0000000000000001-000000000000002a.wal");
        assert_eq!(parse_name("0000000000000001-000000000000002a.wal"), Some(1));
        for other in [
            "1-2.wal",
            "0000000000000001-000000000000002a.tmp",
            "spare-1.tmp",
            "",
            "-.wal",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
        assert_eq!(parse_name("+000000000000001-000000000000002a.wal"), None);
    }
}
