//! Keys of the family `versions`: a user key, then a revision, newest first.

use crate::{Error, Result};
use bytes::{BufMut, Bytes, BytesMut};
use model::RevisionKey;

/// Key in `versions` of one version.
pub(crate) fn encode(key: &[u8], at: RevisionKey) -> Bytes {
    let mut out = BytesMut::with_capacity(len(key));
    put(&mut out, key, at);
    out.freeze()
}

/// Appends what [`encode`] returns.
pub(crate) fn put(out: &mut BytesMut, key: &[u8], at: RevisionKey) {
    // A zero byte becomes 00 ff, and 00 01 ends the key: so "a" and all its versions stand before "a\0" and "ab".
    let mut parts = key.split(|byte| *byte == 0);
    out.put_slice(parts.next().unwrap_or_default());
    for part in parts {
        out.put_slice(&[0, 0xff]);
        out.put_slice(part);
    }
    out.put_slice(&[0, 1]);
    out.put_slice(&at.encode().map(|byte| !byte));
}

/// Longest key of a row that a version of `key` needs: its row in `versions`, where zero bytes take two.
pub fn row_key_bytes(key: &[u8]) -> usize {
    len(key)
}

/// Bytes that [`put`] appends.
pub(crate) fn len(key: &[u8]) -> usize {
    key.len() + key.iter().filter(|byte| **byte == 0).count() + 2 + RevisionKey::LEN
}

/// Key and revision of a row of `versions`.
pub(crate) fn decode(row_key: &[u8]) -> Result<(Vec<u8>, RevisionKey)> {
    let damaged = || Error::Damaged("a key in versions cannot be read".into());
    let (escaped, revision) = row_key
        .split_last_chunk::<{ RevisionKey::LEN }>()
        .ok_or_else(damaged)?;
    let mut key = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    loop {
        match rest {
            [0, 1] => break,
            [0, 0xff, tail @ ..] => {
                key.push(0);
                rest = tail;
            }
            [0, ..] | [] => return Err(damaged()),
            [byte, tail @ ..] => {
                key.push(*byte);
                rest = tail;
            }
        }
    }
    let at = RevisionKey::decode(&revision.map(|byte| !byte)).ok_or_else(damaged)?;
    Ok((key, at))
}

/// The revision at the end of a key in `versions` that is known to belong to some user key.
pub(crate) fn revision(row_key: &[u8]) -> Result<RevisionKey> {
    row_key
        .last_chunk::<{ RevisionKey::LEN }>()
        .and_then(|revision| RevisionKey::decode(&revision.map(|byte| !byte)))
        .ok_or_else(|| Error::Damaged("a key in versions cannot be read".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Revision;

    fn at(main: i64, sub: i64) -> RevisionKey {
        RevisionKey {
            main: Revision(main),
            sub,
        }
    }

    #[test]
    fn versions_sort_by_key_then_newest_first() {
        let order = [
            encode(b"a", at(9, 1)),
            encode(b"a", at(9, 0)),
            encode(b"a", at(2, 0)),
            encode(b"a\0", at(5, 0)),
            encode(b"a\0\0", at(5, 0)),
            encode(b"a\0b", at(5, 0)),
            encode(b"a\x01", at(5, 0)),
            encode(b"ab", at(7, 0)),
        ];
        assert!(order.is_sorted());
        for row_key in order {
            let (key, at) = decode(&row_key).unwrap();
            assert_eq!(
                (encode(&key, at), key.len() + RevisionKey::LEN < len(&key)),
                (row_key, true)
            );
        }
    }
}
