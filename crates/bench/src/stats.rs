//! What a load has seen: latencies, counts, and the hash of its answers.

use crate::clock::Nanos;
use crate::http2::Failure;
use hdrhistogram::Histogram;

/// Latencies from a microsecond to ten minutes, with three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

const LEAST: u64 = 1_000;
const MOST: u64 = 600_000_000_000;

impl Default for Latencies {
    fn default() -> Self {
        Latencies(Histogram::new_with_bounds(LEAST, MOST, 3).expect("the bounds are in order"))
    }
}

impl Latencies {
    /// Notes one.
    pub fn record(&mut self, latency: Nanos) {
        self.0.saturating_record(latency.clamp(LEAST, MOST));
    }

    /// Takes in those of another thread.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("the bounds are the same");
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a share of all, 0 to 1, does not exceed; milliseconds.
    pub fn quantile(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1e6
    }

    /// Mean in milliseconds.
    pub fn mean(&self) -> f64 {
        self.0.mean() / 1e6
    }

    /// The longest, in milliseconds.
    pub fn max(&self) -> f64 {
        self.0.max() as f64 / 1e6
    }
}

/// What happened in one phase of a run.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    /// Of operations that succeeded.
    pub latencies: Latencies,
    /// Things that the answers held: keys, events.
    pub items: u64,
    /// Bytes of the answers.
    pub bytes: u64,
    /// Operations that failed.
    pub errors: u64,
    /// The first failure.
    pub failure: Option<Failure>,
}

impl Tally {
    /// Takes in that of another thread.
    pub fn merge(&mut self, other: Tally) {
        self.latencies.merge(&other.latencies);
        self.items += other.items;
        self.bytes += other.bytes;
        self.errors += other.errors;
        if self.failure.is_none() {
            self.failure = other.failure;
        }
    }

    /// Notes a failure.
    pub fn fail(&mut self, failure: Failure) {
        self.errors += 1;
        self.failure.get_or_insert(failure);
    }
}

/// A hash of the answers of the first operations, in whatever order they came: two servers that were given the same
/// work have the same, or one of them answered wrongly. Covers [`Digest::OPERATIONS`] operations, so that a short run
/// and a long one compare.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Digest {
    sum: u64,
    operations: u64,
}

impl Digest {
    /// How many operations it covers.
    pub const OPERATIONS: u64 = 64;

    /// Whether operation `number` belongs in.
    pub fn covers(number: u64) -> bool {
        number < Self::OPERATIONS
    }

    /// Adds an answer.
    pub fn add(&mut self, number: u64, answer: u64) {
        self.sum = self.sum.wrapping_add(mix(answer ^ mix(number + 1)));
        self.operations += 1;
    }

    /// Takes in that of another thread.
    pub fn merge(&mut self, other: Digest) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.operations += other.operations;
    }

    /// The hash as text, once it covers all that it should.
    pub fn text(&self) -> Option<String> {
        (self.operations >= Self::OPERATIONS).then(|| format!("{:016x}", self.sum))
    }
}

/// Hash of bytes (FNV-1a): stable between versions of compilers and libraries, which std's is not.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Spreads a number over all bits (the finalizer of SplitMix64).
pub fn mix(mut value: u64) -> u64 {
    value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_latencies_are_those_of_one_thread_that_saw_all() {
        let (mut one, mut two, mut all) = (Latencies::default(), Latencies::default(), Latencies::default());
        for value in 1..=1000u64 {
            let half = if value % 3 == 0 { &mut one } else { &mut two };
            half.record(value * 10_000);
            all.record(value * 10_000);
        }
        one.merge(&two);
        assert_eq!(one.count(), 1000);
        for share in [0.0, 0.5, 0.99, 0.999, 1.0] {
            assert_eq!(one.quantile(share), all.quantile(share));
        }
        assert!((one.quantile(0.5) - 5.0).abs() < 0.01, "{}", one.quantile(0.5));
    }

    #[test]
    fn a_latency_beyond_the_bounds_is_kept_at_the_bound() {
        let mut latencies = Latencies::default();
        latencies.record(0);
        latencies.record(u64::MAX);
        assert_eq!(latencies.count(), 2);
        assert!(latencies.max() >= 600_000.0);
    }

    #[test]
    fn the_order_of_answers_does_not_matter_but_their_operations_do() {
        let digest = |answers: &[(u64, u64)]| {
            let mut digest = Digest::default();
            answers
                .iter()
                .for_each(|(number, answer)| digest.add(*number, *answer));
            digest
        };
        assert_eq!(digest(&[(0, 5), (1, 6)]), digest(&[(1, 6), (0, 5)]));
        assert_ne!(digest(&[(0, 5), (1, 6)]), digest(&[(0, 6), (1, 5)]));
    }

    #[test]
    fn a_digest_of_too_few_operations_is_none() {
        let mut digest = Digest::default();
        for number in 0..Digest::OPERATIONS {
            assert_eq!(digest.text(), None);
            digest.add(number, 1);
        }
        assert!(digest.text().is_some());
    }
}
