//! A mixture like that of a Kubernetes API server: most requests renew node leases or update objects by their revision,
//! some read one object, few list pages.

use super::fill;
use super::range::{Read, Shape};
use super::txn::{swap, swapped};
use crate::Result;
use crate::director::measure;
use crate::grpc::method::TXN;
use crate::keys::Keys;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::stats::mix;
use crate::unary::{Answer, Plan};
use std::collections::HashMap;

/// Of a hundred requests: updates; then gets; the rest lists.
const UPDATES: u64 = 70;
const GETS: u64 = 28;

pub fn run(options: &Options) -> Result<Outcome> {
    fill::filled(options)?;
    measure(options, &|thread| {
        Box::new(Mixture {
            keys: Keys::new(options),
            thread,
            revisions: HashMap::new(),
            get: Read::new(options, Shape::key()),
            list: Read::new(options, Shape::page(options.limit.unwrap_or(500))),
        })
    })
}

struct Mixture {
    keys: Keys,
    thread: usize,
    /// Of each client's own object.
    revisions: HashMap<usize, i64>,
    get: Read,
    list: Read,
}

enum Kind {
    Update,
    Get,
    List,
}

fn kind(number: u64) -> Kind {
    match mix(number ^ 0x27d4_eb2f) % 100 {
        share if share < UPDATES => Kind::Update,
        share if share < UPDATES + GETS => Kind::Get,
        _ => Kind::List,
    }
}

impl Plan for Mixture {
    fn request(&mut self, number: u64, client: usize, body: &mut Vec<u8>) -> &'static str {
        match kind(number) {
            Kind::Update => {
                let key = format!("leases/{:04}/node-{client:06}", self.thread).into_bytes();
                let revision = self.revisions.get(&client).copied().unwrap_or_default();
                swap(key, revision, self.keys.value(number), body);
                TXN
            }
            Kind::Get => self.get.request(number, client, body),
            Kind::List => self.list.request(number, client, body),
        }
    }

    fn answer(&mut self, number: u64, client: usize, message: &[u8]) -> Answer {
        match kind(number) {
            Kind::Update => {
                let (succeeded, revision) = swapped(message);
                self.revisions.insert(client, revision);
                Answer {
                    hash: 0,
                    items: 1,
                    more: !succeeded,
                }
            }
            Kind::Get => self.get.answer(number, client, message),
            Kind::List => self.list.answer(number, client, message),
        }
    }
}
