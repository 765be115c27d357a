//! Reading the stored values and events in responses.

use crate::{Error, Result};
use bytes::Bytes;
use model::pb::mvccpb::event::EventType;
use model::pb::mvccpb::{self, KeyValue};
use prost::Message;

/// One change, decoded.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventType,
    /// The new version; of a delete, the key and the revision.
    pub kv: KeyValue,
    /// The version before, if it was asked for and there was one.
    pub prev_kv: Option<KeyValue>,
}

/// Decodes a stored value.
pub fn key_value(encoded: &Bytes) -> Result<KeyValue> {
    KeyValue::decode(encoded.clone()).map_err(|error| Error::Malformed(error.to_string()))
}

/// Decodes the values of a response.
pub fn key_values(encoded: &[Bytes]) -> Result<Vec<KeyValue>> {
    encoded.iter().map(key_value).collect()
}

/// Decodes an event of a watch response.
pub fn event(encoded: &Bytes) -> Result<Event> {
    let event =
        mvccpb::Event::decode(encoded.clone()).map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(Event {
        kind: event.r#type(),
        kv: key_value(&event.kv)?,
        prev_kv: match event.prev_kv.is_empty() {
            true => None,
            false => Some(key_value(&event.prev_kv)?),
        },
    })
}

/// The end of the range of all keys that begin with `prefix`; a zero byte, "everything from here", where no key can be
/// greater.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let kept = prefix.iter().rposition(|byte| *byte != 0xff);
    match kept {
        None => Bytes::from_static(&[0]),
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(prefix_end(b"ab"), "ac");
        assert_eq!(prefix_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_end(b"\xff"), &[0][..]);
        assert_eq!(prefix_end(b""), &[0][..]);
    }
}
