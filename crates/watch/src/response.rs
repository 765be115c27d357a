//! What goes to a client, with events that were encoded once for all watchers that are to get the same.

use bytes::{BufMut, Bytes, BytesMut};
use model::pb::etcdserverpb::WatchResponse;
use prost::encoding::{WireType, decode_varint, encode_key, encode_varint, encoded_len_varint, key_len};

/// Number of `events` in `WatchResponse`.
const EVENTS: u32 = 11;

/// A response on a stream of watches.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Response {
    /// All but the encoded events. Its header carries only the revision.
    pub message: WatchResponse,
    /// The events, where others get the same; then the message has none.
    pub encoded: Option<EncodedEvents>,
}

impl Response {
    /// Number of events.
    pub fn events(&self) -> usize {
        match &self.encoded {
            Some(encoded) => encoded.count,
            None => self.message.events.len(),
        }
    }

    /// The whole response as one message.
    pub fn into_message(self) -> WatchResponse {
        let Response { mut message, encoded } = self;
        if let Some(encoded) = encoded {
            message.events.extend(encoded.split());
        }
        message
    }
}

impl From<WatchResponse> for Response {
    fn from(message: WatchResponse) -> Response {
        Response {
            message,
            encoded: None,
        }
    }
}

/// The field `events` of a `WatchResponse` in its wire form, which may be put after all other fields. Its clones share
/// their memory.
#[derive(Clone, PartialEq, Debug)]
pub struct EncodedEvents {
    bytes: Bytes,
    count: usize,
}

impl EncodedEvents {
    /// Encodes events that are messages in their wire form.
    pub fn new(events: &[Bytes]) -> EncodedEvents {
        let entry_len =
            |event: &Bytes| key_len(EVENTS) + encoded_len_varint(event.len() as u64) + event.len();
        let mut bytes = BytesMut::with_capacity(events.iter().map(entry_len).sum());
        for event in events {
            encode_key(EVENTS, WireType::LengthDelimited, &mut bytes);
            encode_varint(event.len() as u64, &mut bytes);
            bytes.put_slice(event);
        }
        EncodedEvents {
            bytes: bytes.freeze(),
            count: events.len(),
        }
    }

    /// What is to be sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What is to be sent, in the shared memory.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether these are the same events in the same memory.
    pub(crate) fn is_same(&self, other: &EncodedEvents) -> bool {
        self.count == other.count && self.bytes.as_ptr() == other.bytes.as_ptr()
    }

    /// The events one by one, still in the shared memory.
    fn split(self) -> impl Iterator<Item = Bytes> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            // Written above: the key, the length, and so many bytes.
            decode_varint(&mut rest).ok()?;
            let len = decode_varint(&mut rest).ok()?;
            Some(rest.split_to(len as usize))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    /// A client that cannot read what was encoded by hand.
    #[test]
    fn encoded_events_are_those_of_a_message() {
        let events: Vec<Bytes> = [0, 1, 127, 128, 20_000]
            .map(|len| Bytes::from(vec![7; len]))
            .into();
        let head = WatchResponse {
            watch_id: 3,
            ..Default::default()
        };
        let response = Response {
            message: head.clone(),
            encoded: Some(EncodedEvents::new(&events)),
        };
        let whole = WatchResponse { events, ..head };
        let wire = [
            response.message.encode_to_vec(),
            EncodedEvents::new(&whole.events).bytes().to_vec(),
        ]
        .concat();
        assert_eq!(wire, whole.encode_to_vec());
        assert_eq!(response.events(), 5);
        assert_eq!(response.into_message(), whole);
    }
}
