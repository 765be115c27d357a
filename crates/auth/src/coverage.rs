//! Which keys somebody may touch: the union of all granted ranges.

use bytes::Bytes;
use model::KeyRange;

/// A set of keys as disjoint intervals with gaps between them, in order: a question is one binary search, however many
/// roles and permissions it was made of. `[a,b)` and `[b,c)` together cover `[a,c)`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Coverage {
    intervals: Vec<Interval>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Interval {
    start: Bytes,
    /// Exclusive; `None` for no end.
    end: Option<Bytes>,
}

impl Coverage {
    pub fn new(ranges: impl IntoIterator<Item = KeyRange>) -> Coverage {
        let mut pieces: Vec<Interval> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .map(interval)
            .collect();
        pieces.sort_by(|a, b| a.start.cmp(&b.start));
        let mut intervals: Vec<Interval> = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match intervals.last_mut() {
                Some(last) if reaches(&last.end, &piece.start) => {
                    if is_later(&piece.end, &last.end) {
                        last.end = piece.end;
                    }
                }
                _ => intervals.push(piece),
            }
        }
        Coverage { intervals }
    }

    /// Whether every key of the range is in the set. An empty interval must at least begin in it: it reads nothing, but
    /// what is asked for without a permission is refused.
    pub fn covers(&self, range: &KeyRange) -> bool {
        match range {
            KeyRange::Single(key) => self.contains(key),
            KeyRange::Interval(start, end) => self.at(start).is_some_and(|found| {
                found
                    .end
                    .as_ref()
                    .is_none_or(|found| found >= end || start >= end)
            }),
            KeyRange::From(start) => self.at(start).is_some_and(|found| found.end.is_none()),
        }
    }

    /// Whether a key is in the set.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.at(key).is_some()
    }

    /// The interval that a key lies in.
    fn at(&self, key: &[u8]) -> Option<&Interval> {
        let after = self
            .intervals
            .partition_point(|interval| &interval.start[..] <= key);
        let found = self.intervals.get(after.checked_sub(1)?)?;
        found
            .end
            .as_ref()
            .is_none_or(|end| key < &end[..])
            .then_some(found)
    }
}

fn interval(range: KeyRange) -> Interval {
    match range {
        KeyRange::Single(key) => {
            // The next key there is: no other lies between.
            let end = [&key[..], b"\0"].concat();
            Interval {
                start: key,
                end: Some(end.into()),
            }
        }
        KeyRange::Interval(start, end) => Interval {
            start,
            end: Some(end),
        },
        KeyRange::From(start) => Interval { start, end: None },
    }
}

fn reaches(end: &Option<Bytes>, start: &Bytes) -> bool {
    end.as_ref().is_none_or(|end| end >= start)
}

fn is_later(a: &Option<Bytes>, b: &Option<Bytes>) -> bool {
    match (a, b) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(a), Some(b)) => a > b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(key: &str, end: &str) -> KeyRange {
        KeyRange::new(
            Bytes::copy_from_slice(key.as_bytes()),
            Bytes::copy_from_slice(end.as_bytes()),
        )
    }

    #[test]
    fn ranges_that_touch_cover_what_lies_across_them() {
        let both = Coverage::new([range("b", "c"), range("a", "b"), range("x", "")]);
        assert!(both.covers(&range("a", "c")) && both.covers(&range("aa", "bz")));
        assert!(!both.covers(&range("a", "c\0")) && !both.covers(&range("a", "\0")));
        assert!(both.covers(&range("x", "")) && !both.covers(&range("x\0", "")));
        assert!(both.covers(&range("x", "x\0")) && !both.covers(&range("x", "y")));
        let gap = Coverage::new([range("a", "b"), range("b\0", "c")]);
        assert!(!gap.covers(&range("a", "c")));
        let closed = Coverage::new([range("a", "b"), range("b", ""), range("b\0", "c")]);
        assert!(closed.covers(&range("a", "c")));
    }

    #[test]
    fn only_an_open_end_covers_an_open_end() {
        let open = Coverage::new([range("b", "\0"), range("a", "c")]);
        assert!(open.covers(&range("a", "\0")) && open.covers(&range("z", "")));
        assert!(!open.covers(&range("A", "\0")));
        assert!(!Coverage::new([range("a", "\u{10ffff}")]).covers(&range("a", "\0")));
    }

    #[test]
    fn an_empty_interval_must_begin_in_the_set() {
        let set = Coverage::new([range("b", "c")]);
        assert!(set.covers(&range("b", "a")) && set.covers(&range("b", "b")));
        assert!(!set.covers(&range("a", "A")) && !set.covers(&range("c", "b")));
        // An empty range that was granted grants nothing.
        assert!(!Coverage::new([range("b", "a")]).contains(b"b"));
    }

    /// Keys of up to two letters out of three: few enough to try them all.
    fn keys() -> Vec<Bytes> {
        let letters = [b"a", b"b", b"c"];
        let one = letters.map(|letter| letter.to_vec());
        let two = letters
            .iter()
            .flat_map(|a| letters.map(|b| [&a[..], &b[..]].concat()));
        one.into_iter().chain(two).map(Bytes::from).collect()
    }

    fn some_range() -> impl Strategy<Value = KeyRange> {
        let key = prop::sample::select(keys());
        let end = prop_oneof![
            1 => Just(Bytes::new()),
            1 => Just(Bytes::from_static(b"\0")),
            4 => prop::sample::select(keys()),
        ];
        (key, end).prop_map(|(key, end)| KeyRange::new(key, end))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// Nothing is covered of which not every key was granted; and what one grant covers, the union covers.
        #[test]
        fn the_union_covers_exactly_what_was_granted(
            granted in prop::collection::vec(some_range(), 0..6),
            asked in some_range(),
        ) {
            let set = Coverage::new(granted.clone());
            let may = |key: &[u8]| granted.iter().any(|range| range.contains(key));
            // Also keys between those of the alphabet, just behind each of them, and behind all.
            let dense = keys().into_iter().flat_map(|key| {
                let behind = [&key[..], b"\0"].concat();
                [key.to_vec(), behind]
            });
            let dense: Vec<Vec<u8>> = dense.chain([b"\xff\xff".to_vec()]).collect();
            for key in &dense {
                prop_assert_eq!(set.contains(key), may(key));
            }
            if !asked.is_empty() {
                let mut inside = dense.iter().filter(|key| asked.contains(key));
                prop_assert_eq!(set.covers(&asked), inside.all(|key| may(key)));
            }
        }
    }
}
