//! What the workloads of watches have in common: opening watchers and reading their events cheaply.

use crate::grpc::method::WATCH;
use crate::grpc::{self, Field, fields};
use crate::wire::{At, Wire};
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::pb::etcdserverpb::{WatchCreateRequest, WatchRequest};
use prost::Message;

/// What a watcher watches.
#[derive(Clone, Debug)]
pub struct Target {
    pub key: Vec<u8>,
    /// Empty for one key.
    pub end: Vec<u8>,
    /// 0 for what comes.
    pub start_revision: i64,
}

/// Opens `watchers` watchers on one stream of a connection, as etcd's own clients do.
pub fn open(
    wire: &mut Wire,
    connection: usize,
    tag: u64,
    targets: impl Iterator<Item = Target>,
) -> Option<At> {
    let mut at = None;
    for target in targets {
        let request = WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(WatchCreateRequest {
                key: target.key.into(),
                range_end: target.end.into(),
                start_revision: target.start_revision,
                ..WatchCreateRequest::default()
            })),
        };
        let request = request.encode_to_vec();
        match at {
            None => at = Some(wire.call(connection, WATCH, tag, &request, false)),
            Some(at) => wire.send(at, &request),
        }
    }
    at
}

/// What a response of a watch says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum News {
    /// The watcher exists.
    Created,
    /// It exists no more.
    Canceled,
    /// So many events.
    Events(u64),
}

/// Reads a response; hands over the value of each event.
pub fn read(message: &[u8], mut each: impl FnMut(&[u8])) -> News {
    let mut events = 0;
    for field in fields(message) {
        match field {
            Field::Varint(3, 1) => return News::Created,
            Field::Varint(4, 1) => return News::Canceled,
            Field::Bytes(11, event) => {
                events += 1;
                let value = grpc::bytes(event, 2).and_then(|key_value| grpc::bytes(key_value, 5));
                each(value.unwrap_or_default());
            }
            _ => {}
        }
    }
    News::Events(events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb::WatchResponse;
    use model::pb::mvccpb::{Event, KeyValue};

    #[test]
    fn values_of_events_are_found() {
        let event = |value: &'static str| Event {
            kv: KeyValue {
                key: "k".into(),
                value: value.into(),
                ..KeyValue::default()
            }
            .encode_to_vec()
            .into(),
            ..Event::default()
        };
        let response = WatchResponse {
            events: ["a", "b"]
                .map(|value| event(value).encode_to_vec().into())
                .to_vec(),
            ..WatchResponse::default()
        };
        let mut values = Vec::new();
        let news = read(&response.encode_to_vec(), |value| values.push(value.to_vec()));
        assert_eq!(
            (news, values),
            (News::Events(2), vec![b"a".to_vec(), b"b".to_vec()])
        );
        let created = WatchResponse {
            created: true,
            ..WatchResponse::default()
        };
        assert_eq!(read(&created.encode_to_vec(), |_| {}), News::Created);
    }
}
