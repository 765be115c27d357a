//! How leases and attachments are stored. All rows are written by the caller, in the batch of the change itself.

use crate::{Error, Lease};
use bytes::{BufMut, Bytes, BytesMut};
use model::LeaseId;
use model::pb::leasepb;
use prost::Message;

/// Key in the lease family: the id as eight bytes, big endian.
pub fn lease_key(id: LeaseId) -> Bytes {
    Bytes::copy_from_slice(&id.0.to_be_bytes())
}

/// Value in the lease family: `leasepb.Lease`.
pub fn lease_value(lease: &Lease) -> Bytes {
    let message = leasepb::Lease {
        id: lease.id.0,
        ttl: lease.ttl,
        remaining_ttl: lease.remaining_ttl,
    };
    message.encode_to_vec().into()
}

/// Reads a row of the lease family.
pub fn decode_lease(key: &[u8], value: &[u8]) -> Result<Lease, Error> {
    let key: [u8; 8] = key.try_into().map_err(|_| Error::DamagedLease { id: 0 })?;
    let id = i64::from_be_bytes(key);
    let damaged = Error::DamagedLease { id };
    let message = leasepb::Lease::decode(value).map_err(|_| damaged.clone())?;
    if message.id != id || id == 0 || message.ttl < 1 || message.remaining_ttl < 0 {
        return Err(damaged);
    }
    Ok(Lease {
        id: LeaseId(id),
        ttl: message.ttl,
        remaining_ttl: message.remaining_ttl,
    })
}

/// Key in the lease keys family, the value is empty: the lease's key, then the user's.
pub fn attachment_key(id: LeaseId, key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + key.len());
    out.put_i64(id.0);
    out.put_slice(key);
    out.freeze()
}

/// Start and end (exclusive) of all attachments of a lease, to be removed with it. The end is `None` for the lease
/// whose id is eight bytes of 0xff: its attachments are the last of the family.
pub fn attachments(id: LeaseId) -> (Bytes, Option<Bytes>) {
    let end = (id.0 as u64)
        .checked_add(1)
        .map(|end| Bytes::copy_from_slice(&end.to_be_bytes()));
    (lease_key(id), end)
}

/// Reads a key of the lease keys family: the lease and the user's key.
pub fn decode_attachment(key: &[u8]) -> Result<(LeaseId, &[u8]), Error> {
    let (id, key) = key.split_first_chunk::<8>().ok_or(Error::DamagedAttachment)?;
    Ok((LeaseId(i64::from_be_bytes(*id)), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_no_lessor_wrote_are_refused() {
        let lease = Lease {
            id: LeaseId(7),
            ttl: 10,
            remaining_ttl: 0,
        };
        let key = lease_key(lease.id);
        assert_eq!(decode_lease(&key, &lease_value(&lease)), Ok(lease));
        let other = Lease {
            id: LeaseId(8),
            ..lease
        };
        let dead = Lease { ttl: 0, ..lease };
        for value in [
            lease_value(&other),
            lease_value(&dead),
            Bytes::from_static(b"\xff"),
            Bytes::new(),
        ] {
            assert_eq!(decode_lease(&key, &value), Err(Error::DamagedLease { id: 7 }));
        }
        assert_eq!(decode_lease(b"short", b""), Err(Error::DamagedLease { id: 0 }));
        assert_eq!(decode_attachment(b"short"), Err(Error::DamagedAttachment));
    }

    #[test]
    fn the_attachments_of_a_lease_lie_between_its_bounds() {
        for id in [1, 255, i64::MAX, i64::MIN, -2, -1] {
            let (start, end) = attachments(LeaseId(id));
            let key = attachment_key(LeaseId(id), b"\xff\xff");
            assert!(key >= start && end.as_ref().is_none_or(|end| key < *end), "{id}");
            assert_eq!(decode_attachment(&key), Ok((LeaseId(id), &b"\xff\xff"[..])));
            assert_eq!(end.is_none(), id == -1);
        }
    }
}
