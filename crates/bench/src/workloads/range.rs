//! Reads of all shapes.

use super::{background, fill};
use crate::Result;
use crate::caller::Caller;
use crate::director::measure;
use crate::grpc::method::{RANGE, RANGE_STREAM};
use crate::grpc::{self, Field, fields};
use crate::keys::{END, Keys};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::stats::{Digest, hash};
use crate::unary::{Answer, Plan};
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use prost::Message;

/// What is read.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    extent: Extent,
    serializable: bool,
    keys_only: bool,
    revision: i64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Extent {
    /// One key.
    Key,
    /// So many keys from a random one on: the range holds no more.
    Interval(u64),
    /// From a random key to the end of all, but no more than so many: the answer counts the rest.
    Page(u64),
    /// How many there are.
    Count,
    /// All keys, streamed.
    Stream,
}

impl Shape {
    fn of(extent: Extent) -> Shape {
        Shape {
            extent,
            serializable: false,
            keys_only: false,
            revision: 0,
        }
    }

    /// One key.
    pub fn key() -> Shape {
        Shape::of(Extent::Key)
    }

    /// So many neighbouring keys.
    pub fn interval(keys: u64) -> Shape {
        Shape::of(Extent::Interval(keys))
    }

    /// So many of all, with the count.
    pub fn page(keys: u64) -> Shape {
        Shape::of(Extent::Page(keys))
    }

    /// How many there are.
    pub fn count() -> Shape {
        Shape::of(Extent::Count)
    }

    /// All keys, streamed.
    pub fn stream() -> Shape {
        Shape::of(Extent::Stream)
    }

    /// From the member's own state.
    pub fn serializable(self) -> Shape {
        Shape {
            serializable: true,
            ..self
        }
    }

    /// Without values.
    pub fn keys_only(self) -> Shape {
        Shape {
            keys_only: true,
            ..self
        }
    }
}

/// Reads what was filled in before.
pub fn run(options: &Options, shape: Shape) -> Result<Outcome> {
    fill::filled(options)?;
    measure(options, &|_| Box::new(Read::new(options, shape)))
}

/// Pages at one revision while writes go on.
pub fn list(options: &Options) -> Result<Outcome> {
    fill::filled(options)?;
    let request = RangeRequest {
        key: END.into(),
        ..RangeRequest::default()
    };
    let now: RangeResponse = Caller::connect(&options.endpoints[0])?.call(RANGE, &request)?;
    let shape = Shape {
        revision: now.header.unwrap_or_default().revision,
        ..Shape::page(options.limit.unwrap_or(500))
    };
    let mut puts = background::puts(options)?;
    puts.warm_up(options.warmup)?;
    let mut outcome = puts.during("puts", |_| {
        measure(options, &|_| Box::new(Read::new(options, shape)))
    })?;
    outcome.phases.extend(puts.finish()?.phases);
    Ok(outcome)
}

/// Reads in one shape.
pub struct Read {
    keys: Keys,
    shape: Shape,
}

impl Read {
    pub fn new(options: &Options, shape: Shape) -> Read {
        Read {
            keys: Keys::new(options),
            shape,
        }
    }
}

impl Plan for Read {
    fn request(&mut self, number: u64, _: usize, body: &mut Vec<u8>) -> &'static str {
        let keys = &self.keys;
        let (first, end, limit) = match self.shape.extent {
            Extent::Key => (keys.choose(number), Vec::new(), 0),
            Extent::Interval(size) => {
                let first = keys.random(number) % keys.count().saturating_sub(size).max(1);
                (first, keys.key(first + size), 0)
            }
            // A random start in the first half, so that a page is full and there is a rest to count.
            Extent::Page(size) => (keys.random(number) % keys.count().div_ceil(2), END.to_vec(), size),
            Extent::Count | Extent::Stream => (0, END.to_vec(), 0),
        };
        let request = RangeRequest {
            key: keys.key(first).into(),
            range_end: end.into(),
            limit: limit as i64,
            revision: self.shape.revision,
            serializable: self.shape.serializable,
            keys_only: self.shape.keys_only,
            count_only: self.shape.extent == Extent::Count,
            ..RangeRequest::default()
        };
        // A vector grows as far as is needed.
        let _ = request.encode(body);
        match self.shape.extent {
            Extent::Stream => RANGE_STREAM,
            _ => RANGE,
        }
    }

    fn answer(&mut self, number: u64, _: usize, message: &[u8]) -> Answer {
        let message = match self.shape.extent {
            Extent::Stream => grpc::bytes(message, 1).unwrap_or_default(),
            _ => message,
        };
        let hashed = Digest::covers(number);
        let (mut items, mut sum) = (0, 0u64);
        for field in fields(message) {
            match field {
                Field::Bytes(2, key_value) => {
                    items += 1;
                    if hashed {
                        sum = sum.wrapping_add(hash_of(key_value));
                    }
                }
                // What a stream says of counts, and in which of its messages, is the server's choice.
                Field::Varint(3 | 4, value) if self.shape.extent != Extent::Stream => {
                    sum = sum.wrapping_add(value);
                }
                _ => {}
            }
        }
        Answer {
            hash: sum,
            items: items.max(u64::from(self.shape.extent == Extent::Count)),
            more: false,
        }
    }
}

/// Of key and value: revisions depend on the order in which writes came.
fn hash_of(key_value: &[u8]) -> u64 {
    let part = |number| hash(grpc::bytes(key_value, number).unwrap_or_default());
    part(1).rotate_left(1) ^ part(5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::options;
    use bytes::Bytes;
    use model::pb::mvccpb::KeyValue;

    fn answer(shape: Shape, kvs: &[KeyValue], number: u64) -> Answer {
        let response = RangeResponse {
            kvs: kvs.iter().map(|kv| Bytes::from(kv.encode_to_vec())).collect(),
            count: 9,
            ..RangeResponse::default()
        };
        Read::new(&options(&[]), shape).answer(number, 0, &response.encode_to_vec())
    }

    #[test]
    fn a_wrong_value_or_a_missing_key_is_another_answer_but_another_revision_is_not() {
        let kv = |value: &'static str, revision| KeyValue {
            key: "k".into(),
            value: value.into(),
            mod_revision: revision,
            ..KeyValue::default()
        };
        let right = answer(Shape::page(1), &[kv("v", 5)], 0);
        assert_eq!(right.items, 1);
        assert_eq!(answer(Shape::page(1), &[kv("v", 6)], 0).hash, right.hash);
        assert_ne!(answer(Shape::page(1), &[kv("w", 5)], 0).hash, right.hash);
        assert_ne!(answer(Shape::page(1), &[], 0).hash, right.hash);
    }

    #[test]
    fn an_interval_never_leaves_the_keys() {
        let options = options(&["--keys", "1000"]);
        let mut read = Read::new(&options, Shape::interval(100));
        for number in 0..1000 {
            let mut body = Vec::new();
            read.request(number, 0, &mut body);
            let request = RangeRequest::decode(&body[..]).unwrap();
            assert!(request.range_end <= Keys::new(&options).key(1000));
        }
    }
}
