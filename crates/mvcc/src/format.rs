//! Bytes of the stored rows. Format version 2; docs/formats.md tells the same to people who read files.
//!
//! ```text
//! current   user key                         -> KeyValue, mark: the newest version; or, of a large value,
//!                                               KeyValue without value, length of the whole one (4), apart (8), 0x7f
//! log       main (8), sub (8)                -> replaced, Event, mark
//! versions  escaped user key, !main, !sub    -> 0 put | 1 delete: all versions but the newest
//! counts    'f', first key of the chunk      -> number of living keys (8)
//! meta      "mvcc/head"                      -> format (1), revision, compacted, previous, written, allocated (8 each)
//! meta      "mvcc/sweep"                     -> finished, target, next main, next sub, reclaimed (8 each)
//!
//! KeyValue  mvccpb.KeyValue as on the wire; of a delete only key and mod_revision
//! Event     mvccpb.Event around the KeyValue, without prev_kv
//! mark      1 byte: bit 7 delete, bits 0..7 sub; where those are 127, the sub is in the 8 bytes before the mark
//! apart     the sub with bit 63 set, which no sub has
//! replaced  varint main, and unless that is 0: varint sub, varint length of its KeyValue
//! ```
//!
//! Integers are big endian; `!` inverts all bits, so that newer revisions of a key come first. `replaced` is the
//! living version that a change made obsolete: with it compaction finds what to drop without an index. The mark
//! stands at the end so that a row of `current` is a suffix of its `log` row: both, and the event that watchers get,
//! are slices of one buffer. A large value is in `log` only: `current` is compacted again and again, `log` hardly
//! (docs/decisions/0005). Version 1 had all values in `current`; its rows are read as they are.

use crate::kv::{Fields, Input};
use crate::{Error, Result, version_key};
use bytes::{BufMut, Bytes, BytesMut};
use model::{EventKind, Revision, RevisionKey, key_value_len, put_key_value};
use prost::encoding::{encode_varint, encoded_len_varint};

const DELETE: u8 = 0x80;
const SUB_WIDE: u8 = 0x7f;
/// In the wide sub: the value is in `log`.
const APART: u64 = 1 << 63;
/// What follows the KeyValue then.
const APART_LEN: usize = 4 + 8 + 1;

/// What a change takes out of `current`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Superseded {
    /// A living version.
    Version(Replaced),
    /// The mark of a deletion.
    Mark(RevisionKey),
}

/// A living version that a change made obsolete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Replaced {
    pub at: RevisionKey,
    /// Length of its KeyValue, for the account of sizes.
    pub kv_len: u64,
}

/// Everything that one change writes; all bytes share one allocation.
pub(crate) struct Record {
    pub log_key: Bytes,
    pub log: Bytes,
    /// Key in `versions` of what was superseded; empty for nothing.
    pub version_key: Bytes,
    /// Row of `current`: KeyValue and mark.
    pub row: Bytes,
    pub event: Bytes,
    pub kv: Bytes,
    /// The key, out of the KeyValue.
    pub key: Bytes,
}

impl Record {
    pub fn encode(
        kind: EventKind,
        at: RevisionKey,
        superseded: Option<Superseded>,
        fields: &Fields<'_>,
    ) -> Record {
        let Fields {
            key,
            create,
            modified,
            version,
            value,
            lease,
        } = *fields;
        let (superseded_at, replaced) = match superseded {
            None => (None, None),
            Some(Superseded::Mark(at)) => (Some(at), None),
            Some(Superseded::Version(replaced)) => (Some(replaced.at), Some(replaced)),
        };
        let version_len = superseded_at.map_or(0, |_| version_key::len(key));
        let kv_len = key_value_len(key, create, modified, version, value, lease);
        let replaced_len = match replaced {
            None => 1,
            Some(Replaced { at, kv_len }) => {
                encoded_len_varint(at.main.0 as u64)
                    + encoded_len_varint(at.sub as u64)
                    + encoded_len_varint(kv_len)
            }
        };
        let delete_len = if kind == EventKind::Delete { 2 } else { 0 };
        let event_len = delete_len + 1 + encoded_len_varint(kv_len as u64) + kv_len;
        let mark_len = if at.sub < i64::from(SUB_WIDE) { 1 } else { 9 };

        let mut out =
            BytesMut::with_capacity(RevisionKey::LEN + version_len + replaced_len + event_len + mark_len);
        out.put_slice(&at.encode());
        if let Some(at) = superseded_at {
            version_key::put(&mut out, key, at);
        }
        let log_start = out.len();
        match replaced {
            None => out.put_u8(0),
            Some(Replaced { at, kv_len }) => {
                encode_varint(at.main.0 as u64, &mut out);
                encode_varint(at.sub as u64, &mut out);
                encode_varint(kv_len, &mut out);
            }
        }
        let event_start = out.len();
        if kind == EventKind::Delete {
            out.put_slice(&[0x08, 0x01]);
        }
        out.put_u8(0x12);
        encode_varint(kv_len as u64, &mut out);
        let kv_start = out.len();
        put_key_value(&mut out, key, create, modified, version, value, lease);
        let kv_end = out.len();
        put_mark(&mut out, kind, at.sub);

        let out = out.freeze();
        // The key is the first field of every KeyValue: a tag, its length, its bytes.
        let key_start = kv_start + 1 + encoded_len_varint(key.len() as u64);
        Record {
            log_key: out.slice(..RevisionKey::LEN),
            version_key: out.slice(RevisionKey::LEN..log_start),
            log: out.slice(log_start..),
            row: out.slice(kv_start..),
            event: out.slice(event_start..kv_end),
            kv: out.slice(kv_start..kv_end),
            key: out.slice(key_start..key_start + key.len()),
        }
    }
}

/// A row of `current`, or the end of a log row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row<'a> {
    /// The KeyValue, without its value if that is apart.
    pub kv: &'a [u8],
    pub kind: EventKind,
    pub sub: i64,
    /// Length of the whole KeyValue, if that is in `log` only.
    pub apart: Option<u32>,
}

impl<'a> Row<'a> {
    pub fn parse(row: &'a [u8]) -> Result<Row<'a>> {
        let short = || Error::Damaged("a stored version is cut short".into());
        let (mark, rest) = row.split_last().ok_or_else(short)?;
        let kind = if mark & DELETE == 0 {
            EventKind::Put
        } else {
            EventKind::Delete
        };
        let sub = mark & !DELETE;
        if sub < SUB_WIDE {
            return Ok(Row {
                kv: rest,
                kind,
                sub: i64::from(sub),
                apart: None,
            });
        }
        let (rest, sub) = rest.split_last_chunk::<8>().ok_or_else(short)?;
        let sub = u64::from_be_bytes(*sub);
        let (kv, apart) = if sub & APART == 0 {
            (rest, None)
        } else {
            let (kv, len) = rest.split_last_chunk::<4>().ok_or_else(short)?;
            (kv, Some(u32::from_be_bytes(*len)))
        };
        Ok(Row {
            kv,
            kind,
            sub: (sub & !APART) as i64,
            apart,
        })
    }

    /// Length of the whole KeyValue.
    pub fn kv_len(&self) -> u64 {
        self.apart.map_or(self.kv.len() as u64, u64::from)
    }

    pub fn is_live(&self) -> bool {
        self.kind == EventKind::Put
    }

    /// Revision of the change that wrote it.
    pub fn modified(&self) -> Result<Revision> {
        Ok(Revision(Fields::parse(self.kv)?.modified))
    }

    pub fn at(&self) -> Result<RevisionKey> {
        Ok(RevisionKey {
            main: self.modified()?,
            sub: self.sub,
        })
    }
}

/// A log row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LogRow<'a> {
    pub replaced: Option<Replaced>,
    pub event: &'a [u8],
    pub row: Row<'a>,
}

impl<'a> LogRow<'a> {
    pub fn parse(value: &'a [u8]) -> Result<LogRow<'a>> {
        let mut input = Input(value);
        let replaced = match input.varint()? {
            0 => None,
            main => Some(Replaced {
                at: RevisionKey {
                    main: Revision(main as i64),
                    sub: input.varint()? as i64,
                },
                kv_len: input.varint()?,
            }),
        };
        let row = Row::parse(input.0)?;
        if row.apart.is_some() {
            return Err(Error::Damaged("a log record is without its value".into()));
        }
        let event = row.kv;
        let mut inner = Input(event);
        if row.kind == EventKind::Delete {
            inner.expect(0x08)?;
            inner.expect(0x01)?;
        }
        inner.expect(0x12)?;
        let kv = inner.bytes()?;
        if !inner.0.is_empty() {
            return Err(Error::Damaged("a log record is longer than its event".into()));
        }
        Ok(LogRow {
            replaced,
            event,
            row: Row { kv, ..row },
        })
    }
}

/// What goes into `current` for a row of the open group: the row, or one without its value, if that has `large` bytes
/// or more.
pub(crate) fn current_row(row: &Bytes, large: usize) -> Result<Bytes> {
    if row.len() < large {
        return Ok(row.clone());
    }
    let parsed = Row::parse(row)?;
    let fields = Fields::parse(parsed.kv)?;
    let Ok(kv_len) = u32::try_from(parsed.kv.len()) else {
        return Ok(row.clone());
    };
    if !parsed.is_live() || fields.value.is_empty() || fields.value.len() < large {
        return Ok(row.clone());
    }
    let Fields {
        key,
        create,
        modified,
        version,
        lease,
        ..
    } = fields;
    let len = key_value_len(key, create, modified, version, &[], lease) + APART_LEN;
    let mut out = BytesMut::with_capacity(len);
    put_key_value(&mut out, key, create, modified, version, &[], lease);
    out.put_u32(kv_len);
    out.put_u64(parsed.sub as u64 | APART);
    out.put_u8(SUB_WIDE);
    Ok(out.freeze())
}

/// Revision of a key in `log`.
pub(crate) fn log_revision(row_key: &[u8]) -> Result<RevisionKey> {
    RevisionKey::decode(row_key).ok_or_else(|| Error::Damaged("a key in log cannot be read".into()))
}

/// Value of a row of `versions`.
pub(crate) fn version_kind(kind: EventKind) -> Bytes {
    Bytes::from_static(match kind {
        EventKind::Put => &[0],
        EventKind::Delete => &[1],
    })
}

fn put_mark(out: &mut BytesMut, kind: EventKind, sub: i64) {
    let delete = if kind == EventKind::Delete { DELETE } else { 0 };
    if sub < i64::from(SUB_WIDE) {
        out.put_u8(delete | sub as u8);
    } else {
        out.put_i64(sub);
        out.put_u8(delete | SUB_WIDE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::pb::mvccpb;
    use prost::Message;

    fn at(main: i64, sub: i64) -> RevisionKey {
        RevisionKey {
            main: Revision(main),
            sub,
        }
    }

    #[test]
    fn one_buffer_holds_every_row_of_a_change() {
        let mark = Superseded::Mark(at(700, 130));
        for (kind, sub, replaced) in [
            (EventKind::Put, 0, None),
            (
                EventKind::Put,
                126,
                Some(Replaced {
                    at: at(3, 0),
                    kv_len: 9,
                }),
            ),
            (
                EventKind::Delete,
                127,
                Some(Replaced {
                    at: at(300, 200),
                    kv_len: 1 << 20,
                }),
            ),
            (EventKind::Delete, 1 << 40, None),
        ] {
            let fields = Fields {
                key: b"k\0ey",
                create: 5,
                modified: 900,
                version: 3,
                value: b"value",
                lease: -7,
            };
            let superseded = replaced.map(Superseded::Version).or((sub == 0).then_some(mark));
            let record = Record::encode(kind, at(900, sub), superseded, &fields);
            let row = Row::parse(&record.row).unwrap();
            assert_eq!((row.kind, row.at().unwrap()), (kind, at(900, sub)));
            assert_eq!(Fields::parse(row.kv).unwrap(), fields);
            assert_eq!(record.key, fields.key);
            assert_eq!(log_revision(&record.log_key).unwrap(), at(900, sub));
            match superseded {
                None => assert!(record.version_key.is_empty()),
                Some(_) => {
                    let superseded_at = replaced.map_or(at(700, 130), |replaced| replaced.at);
                    let version = version_key::decode(&record.version_key).unwrap();
                    assert_eq!(version, (fields.key.to_vec(), superseded_at));
                }
            }
            let log = LogRow::parse(&record.log).unwrap();
            assert_eq!(
                (log.replaced, log.row, log.event),
                (replaced, row, &record.event[..])
            );

            let event = mvccpb::Event::decode(record.event.clone()).unwrap();
            assert_eq!((event.r#type, &event.kv), (kind as i32, &record.kv));
            let kv = mvccpb::KeyValue::decode(record.kv.clone()).unwrap();
            assert_eq!((kv.lease, &kv.value[..]), (-7, &b"value"[..]));
        }
    }

    #[test]
    fn rows_are_as_formats_md_shows_them() {
        let replaced = Replaced {
            at: at(20, 0),
            kv_len: 17,
        };
        let fields = Fields {
            key: b"key",
            create: 20,
            modified: 300,
            version: 2,
            value: b"hi",
            lease: 0,
        };
        let record = Record::encode(
            EventKind::Put,
            at(300, 3),
            Some(Superseded::Version(replaced)),
            &fields,
        );
        assert_eq!(record.log_key, &b"\0\0\0\0\0\0\x01\x2c\0\0\0\0\0\0\0\x03"[..]);
        let version = b"key\0\x01\xff\xff\xff\xff\xff\xff\xff\xeb\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(record.version_key, &version[..]);
        let row = b"\x0a\x03key\x10\x14\x18\xac\x02\x20\x02\x2a\x02hi\x03";
        assert_eq!(record.row, &row[..]);
        assert_eq!(record.log, [&b"\x14\0\x11\x12\x10"[..], row].concat());
    }

    #[test]
    fn a_large_value_is_left_to_the_log() {
        for (sub, lease) in [(0, 0), (126, 5), (127, -7), (1 << 40, 0)] {
            let fields = Fields {
                key: b"key",
                create: 5,
                modified: 900,
                version: 3,
                value: b"value",
                lease,
            };
            let record = Record::encode(EventKind::Put, at(900, sub), None, &fields);
            assert_eq!(current_row(&record.row, 6).unwrap(), record.row);
            let row = current_row(&record.row, 5).unwrap();
            let parsed = Row::parse(&row).unwrap();
            assert_eq!(
                (parsed.kind, parsed.at().unwrap()),
                (EventKind::Put, at(900, sub))
            );
            assert_eq!(parsed.kv_len(), record.kv.len() as u64);
            let head = Fields { value: &[], ..fields };
            assert_eq!(Fields::parse(parsed.kv).unwrap(), head);
            for cut in 0..row.len() {
                let _ = Row::parse(&row[..cut]).map(|row| row.at());
            }
        }
        let deletion = Fields {
            key: b"a long key, longer than what is large",
            modified: 9,
            ..Fields::default()
        };
        let record = Record::encode(EventKind::Delete, at(9, 0), None, &deletion);
        assert_eq!(current_row(&record.row, 5).unwrap(), record.row);
    }

    #[test]
    fn damaged_rows_are_errors() {
        let fields = Fields {
            key: b"key",
            create: 5,
            modified: 9,
            version: 3,
            value: b"value",
            lease: 1,
        };
        let replaced = Superseded::Version(Replaced {
            at: at(3, 0),
            kv_len: 9,
        });
        let record = Record::encode(EventKind::Delete, at(9, 200), Some(replaced), &fields);
        for cut in 0..record.log.len() {
            let _ = LogRow::parse(&record.log[..cut]);
            let _ = Row::parse(&record.log[..cut]).map(|row| row.at());
            let _ = version_key::decode(&record.log[..cut]);
        }
        assert!(matches!(Row::parse(b""), Err(Error::Damaged(_))));
        assert!(matches!(
            Fields::parse(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            Err(Error::Damaged(_))
        ));
        assert!(matches!(
            Fields::parse(&[0x10, 0xff, 0xff]),
            Err(Error::Damaged(_))
        ));
    }
}
