//! Key intervals, with etcd's conventions for the end.

use bytes::Bytes;
use std::ops::Bound;

/// A set of keys as a request names it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum KeyRange {
    /// One key.
    Single(Bytes),
    /// `[start, end)`; empty where `start >= end`.
    Interval(Bytes, Bytes),
    /// Every key from this one on.
    From(Bytes),
}

impl KeyRange {
    /// Every key there is.
    pub fn all() -> KeyRange {
        KeyRange::From(Bytes::from_static(&[0]))
    }

    /// The wire form: an empty `range_end` means one key, a single zero byte means everything from `key` on
    /// (etcd server/etcdserver/txn/range.go).
    pub fn new(key: Bytes, range_end: Bytes) -> KeyRange {
        match &range_end[..] {
            [] => KeyRange::Single(key),
            [0] => KeyRange::From(key),
            _ => KeyRange::Interval(key, range_end),
        }
    }

    /// First key that may be in the range.
    pub fn start(&self) -> &Bytes {
        match self {
            KeyRange::Single(start) | KeyRange::Interval(start, _) | KeyRange::From(start) => start,
        }
    }

    /// `range_end` as on the wire.
    pub fn range_end(&self) -> Bytes {
        match self {
            KeyRange::Single(_) => Bytes::new(),
            KeyRange::Interval(_, end) => end.clone(),
            KeyRange::From(_) => Bytes::from_static(&[0]),
        }
    }

    /// Whether `key` belongs to the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::Single(start) => key == &start[..],
            KeyRange::Interval(start, end) => key >= &start[..] && key < &end[..],
            KeyRange::From(start) => key >= &start[..],
        }
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        matches!(self, KeyRange::Interval(start, end) if start >= end)
    }

    /// As bounds for an ordered map. An empty interval gives `start..start`, which ordered maps accept.
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        match self {
            KeyRange::Single(key) => (Bound::Included(key), Bound::Included(key)),
            KeyRange::Interval(start, _) if self.is_empty() => {
                (Bound::Included(start), Bound::Excluded(start))
            }
            KeyRange::Interval(start, end) => (Bound::Included(start), Bound::Excluded(end)),
            KeyRange::From(start) => (Bound::Included(start), Bound::Unbounded),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &'static str, end: &'static [u8]) -> KeyRange {
        KeyRange::new(Bytes::from_static(key.as_bytes()), Bytes::from_static(end))
    }

    #[test]
    fn the_end_decides_what_is_meant() {
        assert!(range("a", b"").contains(b"a") && !range("a", b"").contains(b"aa"));
        assert!(range("a", b"\0").contains(b"\xff") && !range("b", b"\0").contains(b"a"));
        assert!(range("a", b"c").contains(b"b") && !range("a", b"c").contains(b"c"));
        assert!(range("c", b"a").is_empty() && !range("c", b"a").contains(b"b"));
    }

    #[test]
    fn bounds_of_an_empty_interval_do_not_upset_a_map() {
        let map = std::collections::BTreeMap::from([(b"b".to_vec(), ())]);
        let range = range("c", b"a");
        assert_eq!(map.range::<[u8], _>(range.bounds()).count(), 0);
    }
}
