//! Gets and puts together.

use super::fill;
use super::put::Put;
use super::range::{Read, Shape};
use crate::Result;
use crate::director::measure;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::stats::mix;
use crate::unary::{Answer, Plan};

/// So many gets of a hundred operations.
pub fn run(options: &Options, gets: u64) -> Result<Outcome> {
    fill::filled(options)?;
    measure(options, &|_| {
        Box::new(Mixed {
            get: Read::new(options, Shape::key()),
            put: Put::new(options, Vec::new()),
            gets,
        })
    })
}

struct Mixed {
    get: Read,
    put: Put,
    gets: u64,
}

impl Mixed {
    /// By another mixture than the keys, or some keys would only be read.
    fn is_get(&self, number: u64) -> bool {
        mix(number ^ 0x5bd1_e995) % 100 < self.gets
    }
}

impl Plan for Mixed {
    fn request(&mut self, number: u64, client: usize, body: &mut Vec<u8>) -> &'static str {
        match self.is_get(number) {
            true => self.get.request(number, client, body),
            false => self.put.request(number, client, body),
        }
    }

    fn answer(&mut self, number: u64, client: usize, message: &[u8]) -> Answer {
        match self.is_get(number) {
            true => self.get.answer(number, client, message),
            false => self.put.answer(number, client, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::options;

    #[test]
    fn the_shares_are_those_asked_for() {
        let mixed = Mixed {
            get: Read::new(&options(&[]), Shape::key()),
            put: Put::new(&options(&[]), Vec::new()),
            gets: 90,
        };
        let gets = (0..100_000).filter(|number| mixed.is_get(*number)).count();
        assert!((89_000..91_000).contains(&gets), "{gets}");
    }
}
