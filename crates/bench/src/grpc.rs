//! Names of etcd's methods, and just enough of protobuf's wire form to look into a response without decoding all of it.

/// Methods by their paths.
pub mod method {
    pub const RANGE: &str = "/etcdserverpb.KV/Range";
    pub const RANGE_STREAM: &str = "/etcdserverpb.KV/RangeStream";
    pub const PUT: &str = "/etcdserverpb.KV/Put";
    pub const TXN: &str = "/etcdserverpb.KV/Txn";
    pub const COMPACT: &str = "/etcdserverpb.KV/Compact";
    pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
    pub const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
    pub const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
    pub const STATUS: &str = "/etcdserverpb.Maintenance/Status";
    pub const DEFRAGMENT: &str = "/etcdserverpb.Maintenance/Defragment";
    pub const SNAPSHOT: &str = "/etcdserverpb.Maintenance/Snapshot";
    pub const LOCK: &str = "/v3lockpb.Lock/Lock";
    pub const UNLOCK: &str = "/v3lockpb.Lock/Unlock";
}

/// A field of a message: its number and what it holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Field<'a> {
    /// A number.
    Varint(u32, u64),
    /// Bytes, text or a message.
    Bytes(u32, &'a [u8]),
}

/// The fields of a message in their order; ends early at what is no message.
pub fn fields(mut rest: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        let key = varint(&mut rest)?;
        let number = (key >> 3) as u32;
        match key & 7 {
            0 => Some(Field::Varint(number, varint(&mut rest)?)),
            2 => {
                let length = varint(&mut rest)? as usize;
                let (bytes, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(Field::Bytes(number, bytes))
            }
            _ => None,
        }
    })
}

/// The first field of this number that holds bytes.
pub fn bytes(message: &[u8], number: u32) -> Option<&[u8]> {
    fields(message).find_map(|field| match field {
        Field::Bytes(found, bytes) if found == number => Some(bytes),
        _ => None,
    })
}

/// The number in the field of this number; 0 where it is absent, as in protobuf.
pub fn number(message: &[u8], number: u32) -> i64 {
    fields(message)
        .find_map(|field| match field {
            Field::Varint(found, value) if found == number => Some(value as i64),
            _ => None,
        })
        .unwrap_or_default()
}

/// Revision in the header of any response.
pub fn revision(response: &[u8]) -> i64 {
    bytes(response, 1).map_or(0, |header| number(header, 3))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::etcdserverpb::{RangeResponse, ResponseHeader};
    use prost::Message;

    #[test]
    fn fields_are_those_that_were_encoded() {
        let response = RangeResponse {
            header: Some(ResponseHeader {
                revision: 1 << 40,
                ..Default::default()
            }),
            kvs: vec!["first".into(), "second".into()],
            count: 300,
            ..Default::default()
        };
        let encoded = response.encode_to_vec();
        assert_eq!(revision(&encoded), 1 << 40);
        assert_eq!(bytes(&encoded, 2), Some(&b"first"[..]));
        assert_eq!(number(&encoded, 4), 300);
        assert_eq!(number(&encoded, 9), 0);
    }

    #[test]
    fn damage_ends_the_message_instead_of_the_program() {
        for bytes in [&[0x0a, 200][..], &[0xff; 20], &[0x08], &[0x0b, 1]] {
            assert_eq!(fields(bytes).count(), 0);
        }
    }
}
