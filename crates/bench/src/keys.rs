//! Keys and values: functions of the seed, so that every run and every server sees the same.

use crate::options::{Options, Pattern};
use crate::stats::mix;
use std::io::Write;
use std::sync::Arc;

/// Where keys of fills, puts and reads live; ends with the character before the end of their range.
const PREFIX: &[u8] = b"b/";

/// Where a value may begin in the random bytes.
const WINDOWS: usize = 8 << 20;

/// The end of the range of all keys.
pub const END: &[u8] = b"b0";

/// Chooses keys and makes their values.
#[derive(Clone)]
pub struct Keys {
    seed: u64,
    keys: u64,
    key_size: usize,
    pattern: Pattern,
    /// Random bytes; a value is a window of them that depends on its key. So large that windows hardly ever overlap
    /// among the values that a server may compress together.
    noise: Arc<[u8]>,
    value_size: usize,
}

impl Keys {
    /// As the options say.
    pub fn new(options: &Options) -> Keys {
        let words = (options.value_size + WINDOWS) / 8 + 1;
        let noise = (0..words as u64).flat_map(|word| mix(mix(options.seed) ^ word).to_le_bytes());
        Keys {
            seed: options.seed,
            keys: options.keys.max(1),
            key_size: options.key_size,
            pattern: options.pattern,
            noise: noise.collect(),
            value_size: options.value_size,
        }
    }

    /// Which key operation `number` takes.
    pub fn choose(&self, number: u64) -> u64 {
        match self.pattern {
            Pattern::Random => self.random(number) % self.keys,
            Pattern::Sequential => number % self.keys,
            Pattern::Hot => 0,
        }
    }

    /// A number that looks random and depends on the seed and the operation alone.
    pub fn random(&self, number: u64) -> u64 {
        mix(self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ mix(number))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.keys
    }

    /// Key `index`: decimal digits, so that their order is that of the numbers.
    pub fn key(&self, index: u64) -> Vec<u8> {
        let mut key = PREFIX.to_vec();
        let digits = self.key_size.saturating_sub(PREFIX.len()).max(8);
        // Writing into memory does not fail.
        let _ = write!(key, "{index:0digits$}");
        key
    }

    /// The value of key `index`.
    pub fn value(&self, index: u64) -> &[u8] {
        let start = mix(index) as usize % WINDOWS;
        &self.noise[start..start + self.value_size]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        options: Options,
    }

    pub fn options(args: &[&str]) -> Options {
        Command::parse_from(["test"].iter().chain(args)).options
    }

    #[test]
    fn the_same_seed_makes_the_same_work() {
        let (one, two) = (Keys::new(&options(&[])), Keys::new(&options(&[])));
        let other = Keys::new(&options(&["--seed", "2"]));
        assert!((0..100).all(|number| one.choose(number) == two.choose(number)));
        assert!((0..100).any(|number| one.choose(number) != other.choose(number)));
        assert_eq!(one.value(7), two.value(7));
        assert_ne!(one.value(7), other.value(7));
    }

    /// Fault: values that are cut out of the same few bytes, which a store that compresses writes once.
    #[test]
    fn values_have_nothing_in_common() {
        let keys = Keys::new(&options(&["--value-size", "4096"]));
        let mut seen = std::collections::HashSet::new();
        let pieces = (0..64).flat_map(|index| keys.value(index).windows(8));
        let (all, new) = pieces.fold((0, 0), |(all, new), piece| {
            (all + 1, new + usize::from(seen.insert(piece)))
        });
        assert!(new * 100 > all * 97, "{new} of {all}");
    }

    #[test]
    fn keys_are_ordered_as_their_numbers_and_inside_the_range() {
        let keys = Keys::new(&options(&[]));
        assert_eq!(keys.key(5).len(), 16);
        assert!(keys.key(9) < keys.key(10));
        assert!(keys.key(u64::MAX).as_slice() < END);
    }

    #[test]
    fn random_keys_reach_all_of_the_space() {
        let keys = Keys::new(&options(&["--keys", "50"]));
        let chosen: std::collections::BTreeSet<_> = (0..1000).map(|number| keys.choose(number)).collect();
        assert_eq!(chosen.len(), 50);
    }
}
