//! A store, its writer and a hub, driven by hand.

use bytes::Bytes;
use model::pb::etcdserverpb::WatchResponse;
use model::pb::mvccpb;
use model::{EventKind, KeyRange, Revision};
use mvcc::{Store, Writer};
use prost::Message;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use storage::memory::MemoryBackend;
use watch::{Hub, Options, Responses};

pub struct World {
    pub writer: Writer,
    pub hub: Hub,
    pub now: Duration,
}

/// One operation of a request.
#[derive(Clone, Debug)]
pub enum Op {
    Put(String, String),
    Delete(KeyRange),
}

impl World {
    pub fn new(options: Options) -> World {
        let backend = Arc::new(MemoryBackend::new());
        let (store, writer) = Store::open(backend, mvcc::Options::default()).unwrap();
        World {
            hub: Hub::new(store, options),
            writer,
            now: Duration::ZERO,
        }
    }

    /// Commits one request and publishes it.
    pub fn write(&mut self, ops: &[Op]) -> Revision {
        let revision = self.stage(ops);
        let changes = self.writer.commit().unwrap();
        self.hub.publish(changes);
        revision
    }

    /// Commits one request that the hub does not hear of: it came with a snapshot.
    pub fn write_unheard(&mut self, ops: &[Op]) -> Revision {
        let revision = self.stage(ops);
        self.writer.commit().unwrap();
        revision
    }

    /// Executes one request in the current group.
    pub fn stage(&mut self, ops: &[Op]) -> Revision {
        let mut tx = self.writer.begin();
        for op in ops {
            match op {
                Op::Put(key, value) => {
                    tx.put(key.clone().into(), value.clone().into(), 0).unwrap();
                }
                Op::Delete(range) => {
                    tx.delete_range(range).unwrap();
                }
            }
        }
        tx.finish()
    }

    pub fn compact(&mut self, revision: i64) -> Result<(), mvcc::Error> {
        self.writer.compact(Revision(revision))?;
        self.hub.publish(self.writer.commit()?);
        Ok(())
    }

    /// Ticks until the hub has nothing more to do at this time.
    pub fn settle(&mut self) {
        for _ in 0..100_000 {
            match self.hub.tick(self.now).unwrap() {
                Some(at) if at <= self.now => {}
                _ => return,
            }
        }
        panic!("the hub never comes to rest");
    }
}

/// The next response if one is ready.
pub fn poll(responses: &mut Responses) -> Option<WatchResponse> {
    match responses.poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => Some(response.expect("the stream is open")),
        Poll::Pending => None,
    }
}

/// All responses that are ready.
pub fn drain(responses: &mut Responses) -> Vec<WatchResponse> {
    std::iter::from_fn(|| poll(responses)).collect()
}

/// An event, taken apart.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    pub kind: EventKind,
    pub kv: mvccpb::KeyValue,
    pub prev: Option<mvccpb::KeyValue>,
}

pub fn events(response: &WatchResponse) -> Vec<Event> {
    let decode = |encoded: &Bytes| {
        let event = mvccpb::Event::decode(encoded.clone()).unwrap();
        let kv = |encoded: &Bytes| mvccpb::KeyValue::decode(encoded.clone()).unwrap();
        Event {
            kind: match event.r#type {
                0 => EventKind::Put,
                _ => EventKind::Delete,
            },
            kv: kv(&event.kv),
            prev: (!event.prev_kv.is_empty()).then(|| kv(&event.prev_kv)),
        }
    };
    response.events.iter().map(decode).collect()
}
