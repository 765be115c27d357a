//! One write request in execution: keys through mvcc, and what hangs on leases with them.

use crate::error::Stop;
use crate::txn::header;
use bytes::Bytes;
use lease::{Lessor, rows};
use model::pb::etcdserverpb as pb;
use model::{KeyRange, LeaseId, Rejection, Revision};
use mvcc::{Read, Tx};
use parking_lot::Mutex;
use storage::{Family, Op};

/// A write request: all its changes get one revision.
pub(crate) struct Write<'a> {
    pub(crate) tx: Tx<'a>,
    lessor: &'a Mutex<Lessor>,
    /// Rows of attachments, to follow the keys into the group's batch.
    rows: Vec<Op>,
    work: Work,
}

/// What was done, for metrics: operations, not keys.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Work {
    /// Puts.
    pub puts: u64,
    /// Bytes of keys and values put.
    pub put_bytes: u64,
    /// Deletes, of however many keys.
    pub deletes: u64,
    /// Ranges within writes.
    pub ranges: u64,
    /// Requests of two or more operations.
    pub txns: u64,
    /// Leases granted.
    pub leases_granted: u64,
    /// Leases revoked.
    pub leases_revoked: u64,
}

impl Work {
    pub(crate) fn add(&mut self, other: Work) {
        self.puts += other.puts;
        self.put_bytes += other.put_bytes;
        self.deletes += other.deletes;
        self.ranges += other.ranges;
        self.txns += other.txns;
        self.leases_granted += other.leases_granted;
        self.leases_revoked += other.leases_revoked;
    }
}

impl<'a> Write<'a> {
    pub(crate) fn new(tx: Tx<'a>, lessor: &'a Mutex<Lessor>) -> Write<'a> {
        Write {
            tx,
            lessor,
            rows: Vec::new(),
            work: Work::default(),
        }
    }

    /// Ends the request; gives the rows to add to the group's batch, and what was done.
    pub(crate) fn finish(mut self) -> (Vec<Op>, Work) {
        self.tx.finish();
        if self.work.puts + self.work.deletes + self.work.ranges > 1 {
            self.work.txns += 1;
        }
        (self.rows, self.work)
    }

    /// The revision a reader sees: the request's own once it has changed something.
    pub(crate) fn revision(&self) -> Revision {
        self.tx.revision()
    }

    /// Refuses a put whose lease does not exist, or that keeps something of a key that does not.
    pub(crate) fn check_put(&self, request: &pb::PutRequest) -> Result<(), Stop> {
        if request.lease != 0 && !self.lessor.lock().contains(LeaseId(request.lease)) {
            return Err(Rejection::LeaseNotFound.into());
        }
        let keeps = request.ignore_value || request.ignore_lease;
        if keeps && self.tx.get(&request.key)?.is_none() {
            return Err(Rejection::KeyNotFound.into());
        }
        Ok(())
    }

    /// A range among writes.
    pub(crate) fn range(&mut self, request: &pb::RangeRequest) -> Result<pb::RangeResponse, Stop> {
        self.work.ranges += 1;
        Ok(self.tx.range(request)?)
    }

    /// Carries out a put that [`Write::check_put`] let pass. What it asks to keep is taken from the version it
    /// replaces; where the same transaction has deleted that meanwhile, nothing is kept (etcd panics there).
    pub(crate) fn put(&mut self, request: &pb::PutRequest) -> Result<pb::PutResponse, Stop> {
        let (mut value, mut lease) = (request.value.clone(), request.lease);
        if request.ignore_value || request.ignore_lease {
            let kept = self.tx.get(&request.key)?;
            if request.ignore_value {
                value = kept.as_ref().map_or_else(Bytes::new, |kept| kept.value.clone());
            }
            if request.ignore_lease {
                lease = kept.as_ref().map_or(0, |kept| kept.lease);
            }
        }
        if request.ignore_value || request.ignore_lease || request.prev_kv {
            self.work.ranges += 1;
        }
        self.work.puts += 1;
        self.work.put_bytes += (request.key.len() + value.len()) as u64;
        let previous = self.tx.put(request.key.clone(), value, lease)?;
        let held = previous.as_ref().map_or(0, |previous| previous.lease);
        if held != lease {
            self.move_lease(&request.key, held, lease);
        }
        Ok(pb::PutResponse {
            header: header(self.revision()),
            prev_kv: match previous {
                Some(previous) if request.prev_kv => previous.encoded,
                _ => Bytes::new(),
            },
        })
    }

    /// Deletes a range; the keys come off their leases.
    pub(crate) fn delete_range(
        &mut self,
        request: &pb::DeleteRangeRequest,
    ) -> Result<pb::DeleteRangeResponse, Stop> {
        self.work.deletes += 1;
        self.work.ranges += u64::from(request.prev_kv);
        let keys = KeyRange::new(request.key.clone(), request.range_end.clone());
        let deleted = self.tx.delete_range(&keys)?;
        for kv in deleted.iter().filter(|kv| kv.lease != 0) {
            self.move_lease(&kv.key, kv.lease, 0);
        }
        Ok(pb::DeleteRangeResponse {
            header: header(self.revision()),
            deleted: deleted.len() as i64,
            prev_kvs: if request.prev_kv {
                deleted.into_iter().map(|kv| kv.encoded).collect()
            } else {
                Vec::new()
            },
        })
    }

    /// Deletes the keys of a lease that is gone already, in the order given, and its rows.
    pub(crate) fn delete_revoked(&mut self, lease: LeaseId, keys: Vec<Bytes>) -> Result<(), Stop> {
        for key in keys {
            let row = rows::attachment_key(lease, &key);
            self.rows.push(Op::Delete(Family::LeaseKeys, row));
            self.work.deletes += 1;
            self.tx.delete_range(&KeyRange::Single(key))?;
        }
        self.rows.push(Op::Delete(Family::Lease, rows::lease_key(lease)));
        self.work.leases_revoked += 1;
        Ok(())
    }

    fn move_lease(&mut self, key: &[u8], from: i64, to: i64) {
        let mut lessor = self.lessor.lock();
        if from != 0 {
            lessor.detach(LeaseId(from), key);
            let row = rows::attachment_key(LeaseId(from), key);
            self.rows.push(Op::Delete(Family::LeaseKeys, row));
        }
        // Never refused: the lease was checked, or kept from a living key, and a lease does not go before its keys.
        if to != 0 && lessor.attach(LeaseId(to), key).is_ok() {
            let row = rows::attachment_key(LeaseId(to), key);
            self.rows.push(Op::Put(Family::LeaseKeys, row, Bytes::new()));
        }
    }
}
