//! Chance, and the small worlds it picks from: few enough keys, leases and users that requests meet.

use crate::step::NOW;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// One stream of chance.
pub(crate) struct Dice {
    chance: StdRng,
    /// Whether ranges may end before they begin. Whether etcd lets a user read such a range, which holds nothing, depends
    /// on the shape of the tree that his permissions happen to form: nobody can agree with that.
    pub(crate) inverted: bool,
}

const KEYS: &[&[u8]] = &[
    b"a",
    b"a\0",
    b"aa",
    b"ab",
    b"abc",
    b"b",
    b"b\0",
    b"ba",
    b"c",
    b"c\xff",
    b"d",
    b"d/1",
    b"d/2",
    b"d/3",
    b"d/\xff",
    b"e",
    b"\0",
    b"\0\0",
    b"\x01",
    b"\xff",
    b"\xff\xff",
    b"zz",
];
const ENDS: &[&[u8]] = &[
    b"\0",
    b"a",
    b"a\0",
    b"ac",
    b"b",
    b"c",
    b"d",
    b"d0",
    b"e",
    b"zzz",
    b"\xff",
    b"\xff\xff\xff",
    b"\0\0",
];
const LEASES: &[i64] = &[1, 2, 3, 4, 5, -7, i64::MAX, i64::MIN, 1 << 33];

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice {
            chance: StdRng::seed_from_u64(seed),
            inverted: true,
        }
    }

    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.chance.random_ratio(1, n)
    }

    /// In `[0, below)`.
    pub(crate) fn below(&mut self, below: i64) -> i64 {
        self.chance.random_range(0..below)
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        *from
            .choose(&mut self.chance)
            .expect("there is something to pick from")
    }

    /// Index of one of the weights; at least one must not be zero.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.chance.random_range(0..weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        unreachable!("the number drawn is below the sum")
    }

    /// Seldom the empty key, which is none.
    pub(crate) fn key(&mut self) -> Bytes {
        match self.below(60) {
            0 => Bytes::new(),
            _ => Bytes::from_static(self.pick(KEYS)),
        }
    }

    /// Key and end of a range: single keys, intervals, prefixes, everything, from a key on, inverted, empty.
    pub(crate) fn range(&mut self) -> (Bytes, Bytes) {
        let key = self.key();
        let end: Bytes = match self.below(8) {
            0..=2 => Bytes::new(),
            3 => key.clone(),
            4 => [&key[..], b"\0"].concat().into(),
            _ => Bytes::from_static(self.pick(ENDS)),
        };
        if !self.inverted && end < key && end.as_ref() != b"\0" {
            return (key, Bytes::new());
        }
        (key, end)
    }

    pub(crate) fn value(&mut self) -> Bytes {
        match self.below(40) {
            0 => Bytes::new(),
            1 => vec![b'x'; self.below(4096) as usize].into(),
            _ => self.below(30).to_string().into(),
        }
    }

    pub(crate) fn lease(&mut self) -> i64 {
        self.pick(LEASES)
    }

    /// Around the present, long ago, in the future, none at all.
    pub(crate) fn revision(&mut self) -> i64 {
        match self.below(16) {
            0 => self.pick(&[i64::MIN, -1, i64::MAX, NOW + 1000]),
            1 => self.below(8),
            2 => NOW + 1 + self.below(3),
            3 => NOW,
            4..=6 => NOW - self.below(200),
            _ => NOW - self.below(25),
        }
    }

    /// A number of an enumeration with so many, seldom one that is not defined.
    pub(crate) fn variant(&mut self, of: i64) -> i32 {
        match self.below(80) {
            0 => self.pick(&[-1, of as i32, 99]),
            _ => self.below(of) as i32,
        }
    }
}
