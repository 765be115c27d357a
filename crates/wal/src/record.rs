//! What a log consists of.

use crate::frame::{get_varint, put_varint};
use bytes::Bytes;

/// One thing to append. Entries and hard states of one group become durable together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// A raft entry. Its index is at most one past the newest; a smaller one replaces the entry there and all after it.
    Entry {
        /// raft's number for normal (0) and configuration change entries (1, 2).
        kind: u8,
        /// Position in the raft log.
        index: u64,
        /// Term of the leader that made it.
        term: u64,
        /// Opaque.
        data: &'a [u8],
    },
    /// raft's hard state, encoded; replaces the one before.
    State(&'a [u8]),
}

/// A raft entry read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// raft's number for normal (0) and configuration change entries (1, 2).
    pub kind: u8,
    /// Position in the raft log.
    pub index: u64,
    /// Term of the leader that made it.
    pub term: u64,
    /// Opaque.
    pub data: Bytes,
}

/// A place of the log up to which the state is durable elsewhere. Recovery returns the entries after the newest one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marker {
    /// Entries up to and including this index are contained in the state.
    pub index: u64,
    /// Term of the entry at `index`.
    pub term: u64,
    /// raft's ConfState at `index`, encoded; may be empty.
    pub conf_state: Bytes,
}

/// Tags of etcd's Entry (type 1, term 2, index 3, data 4) and Snapshot (index 1, term 2, conf_state 3) messages.
const VARINT: u8 = 0;
const BYTES: u8 = 2;

/// The encoded entry up to its data, into `buf`, which is emptied first.
pub(crate) fn encode_entry_head(buf: &mut Vec<u8>, kind: u8, index: u64, term: u64, data_bytes: usize) {
    buf.clear();
    put_field(buf, 1, kind.into());
    put_field(buf, 2, term);
    put_field(buf, 3, index);
    // etcd leaves data out where there is none.
    if data_bytes > 0 {
        buf.push(4 << 3 | BYTES);
        put_varint(buf, data_bytes as u64);
    }
}

/// An entry without its data copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct EntryView<'a> {
    pub(crate) kind: u8,
    pub(crate) index: u64,
    pub(crate) term: u64,
    pub(crate) data: &'a [u8],
}

impl<'a> EntryView<'a> {
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut entry = Self::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Number(kind)) => entry.kind = u8::try_from(kind).ok()?,
                (2, Value::Number(term)) => entry.term = term,
                (3, Value::Number(index)) => entry.index = index,
                (4, Value::Bytes(data)) => entry.data = data,
                _ => {}
            }
        }
        Some(entry)
    }

    pub(crate) fn to_entry(self) -> Entry {
        Entry {
            kind: self.kind,
            index: self.index,
            term: self.term,
            data: Bytes::copy_from_slice(self.data),
        }
    }
}

impl Marker {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut buf = Vec::with_capacity(32 + self.conf_state.len());
        put_field(&mut buf, 1, self.index);
        put_field(&mut buf, 2, self.term);
        if !self.conf_state.is_empty() {
            buf.push(3 << 3 | BYTES);
            put_varint(&mut buf, self.conf_state.len() as u64);
            buf.extend_from_slice(&self.conf_state);
        }
        buf
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut marker = Self::default();
        for field in Fields::new(bytes) {
            match field? {
                (1, Value::Number(index)) => marker.index = index,
                (2, Value::Number(term)) => marker.term = term,
                (3, Value::Bytes(conf_state)) => marker.conf_state = Bytes::copy_from_slice(conf_state),
                _ => {}
            }
        }
        Some(marker)
    }
}

fn put_field(buf: &mut Vec<u8>, number: u8, value: u64) {
    buf.push(number << 3 | VARINT);
    put_varint(buf, value);
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a type that no field of ours has.
    Other,
}

/// The fields of a protobuf message in the order of the bytes; `None` once where it is malformed.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = get_varint(self.bytes, &mut self.at)?;
        let value = match tag & 7 {
            0 => Value::Number(get_varint(self.bytes, &mut self.at)?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(get_varint(self.bytes, &mut self.at)?).ok()?;
                let start = self.at;
                self.skip(length)?;
                Value::Bytes(&self.bytes[start..self.at])
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn skip(&mut self, bytes: usize) -> Option<Value<'a>> {
        let end = self
            .at
            .checked_add(bytes)
            .filter(|end| *end <= self.bytes.len())?;
        self.at = end;
        Some(Value::Other)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.at = self.bytes.len();
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_and_marker_read_back() {
        let mut buf = Vec::new();
        encode_entry_head(&mut buf, 1, 300, 7, 3);
        buf.extend_from_slice(b"abc");
        let entry = EntryView::decode(&buf).expect("entry");
        assert_eq!(
            entry,
            EntryView {
                kind: 1,
                index: 300,
                term: 7,
                data: b"abc"
            }
        );

        let marker = Marker {
            index: 5,
            term: 2,
            conf_state: Bytes::from_static(b"\x08\x01"),
        };
        assert_eq!(Marker::decode(&marker.encode()), Some(marker));
    }

    #[test]
    fn malformed_messages_are_refused() {
        for bytes in [
            &b"\x08"[..],
            b"\x22\x05ab",
            b"\x0b",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ] {
            assert_eq!(EntryView::decode(bytes), None, "{bytes:?}");
            assert_eq!(Marker::decode(bytes), None, "{bytes:?}");
        }
    }
}
