//! Encoding of stored values and events straight from their parts, so that no message has to be built first.

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// What happened to a key. The number is the one on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EventKind {
    /// A put.
    Put = 0,
    /// A delete.
    Delete = 1,
}

/// `mvccpb.KeyValue` as Go's protobuf writes it: fields in order of number, zero fields left out. These bytes are
/// stored, hashed (HashKV) and sent.
pub fn encode_key_value(
    key: &[u8],
    create: i64,
    modified: i64,
    version: i64,
    value: &[u8],
    lease: i64,
) -> Bytes {
    let len = key_value_len(key, create, modified, version, value, lease);
    let mut out = BytesMut::with_capacity(len);
    put_key_value(&mut out, key, create, modified, version, value, lease);
    debug_assert_eq!(out.len(), len);
    out.freeze()
}

/// Bytes that [`put_key_value`] appends.
pub fn key_value_len(
    key: &[u8],
    create: i64,
    modified: i64,
    version: i64,
    value: &[u8],
    lease: i64,
) -> usize {
    let bytes_len = |field: &[u8]| {
        if field.is_empty() {
            0
        } else {
            1 + encoded_len_varint(field.len() as u64) + field.len()
        }
    };
    let int_len = |field: i64| {
        if field == 0 {
            0
        } else {
            1 + encoded_len_varint(field as u64)
        }
    };
    bytes_len(key)
        + int_len(create)
        + int_len(modified)
        + int_len(version)
        + bytes_len(value)
        + int_len(lease)
}

/// Appends what [`encode_key_value`] returns, for records that hold it among other things.
pub fn put_key_value(
    out: &mut BytesMut,
    key: &[u8],
    create: i64,
    modified: i64,
    version: i64,
    value: &[u8],
    lease: i64,
) {
    put_bytes(out, 1, key);
    put_int(out, 2, create);
    put_int(out, 3, modified);
    put_int(out, 4, version);
    put_bytes(out, 5, value);
    put_int(out, 6, lease);
}

/// `mvccpb.Event` around an encoded KeyValue; `prev_kv` empty for none.
pub fn encode_event(kind: EventKind, kv: &[u8], prev_kv: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(kv.len() + prev_kv.len() + 14);
    put_int(&mut out, 1, kind as i64);
    put_bytes(&mut out, 2, kv);
    put_bytes(&mut out, 3, prev_kv);
    out.freeze()
}

fn put_bytes(out: &mut BytesMut, tag: u32, field: &[u8]) {
    if !field.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(field.len() as u64, out);
        out.put_slice(field);
    }
}

fn put_int(out: &mut BytesMut, tag: u32, field: i64) {
    if field != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(field as u64, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::mvccpb;
    use prost::Message;

    #[test]
    fn parts_encode_like_the_message() {
        for (key, create, modified, version, value, lease) in [
            ("k", 2, 300, 7, "value", 0),
            ("key", 0, 9, 0, "", 0),
            ("k", 1, 1, 1, "", -5),
        ] {
            let kv = mvccpb::KeyValue {
                key: Bytes::from_static(key.as_bytes()),
                create_revision: create,
                mod_revision: modified,
                version,
                value: Bytes::from_static(value.as_bytes()),
                lease,
            };
            let encoded =
                encode_key_value(key.as_bytes(), create, modified, version, value.as_bytes(), lease);
            assert_eq!(encoded, kv.encode_to_vec());

            let mut event = mvccpb::Event {
                kv: encoded.clone(),
                prev_kv: Bytes::new(),
                ..Default::default()
            };
            event.set_type(mvccpb::event::EventType::Delete);
            assert_eq!(
                encode_event(EventKind::Delete, &encoded, b""),
                event.encode_to_vec()
            );
        }
    }
}
