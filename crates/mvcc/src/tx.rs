//! One request being executed.

use crate::{Kv, Read, Result, Writer};
use bytes::Bytes;
use model::pb::etcdserverpb::{RangeRequest, RangeResponse};
use model::{KeyRange, Revision};
use std::ops::ControlFlow;

/// One request: all its changes get one revision, the current one plus 1. Reads see its own changes; there is no
/// way back, so check before writing.
pub struct Tx<'a> {
    #[expect(dead_code)]
    writer: &'a mut Writer,
}

impl Tx<'_> {
    /// Sets `key`; `lease` 0 for none. Returns the version before.
    pub fn put(&mut self, _key: Bytes, _value: Bytes, _lease: i64) -> Result<Option<Kv>> {
        todo!()
    }

    /// Deletes every key of the range. Returns the versions before, in order of keys.
    pub fn delete_range(&mut self, _range: &KeyRange) -> Result<Vec<Kv>> {
        todo!()
    }

    /// Whether something was written.
    pub fn changed(&self) -> bool {
        todo!()
    }

    /// Ends the request. Returns its revision, or the current one if it changed nothing.
    pub fn finish(self) -> Revision {
        todo!()
    }
}

impl Read for Tx<'_> {
    fn revision(&self) -> Revision {
        todo!()
    }

    fn compacted(&self) -> Revision {
        todo!()
    }

    fn get(&self, _key: &[u8]) -> Result<Option<Kv>> {
        todo!()
    }

    fn range(&self, _request: &RangeRequest) -> Result<RangeResponse> {
        todo!()
    }

    fn scan(&self, _range: &KeyRange, _visit: &mut dyn FnMut(Kv) -> ControlFlow<()>) -> Result<()> {
        todo!()
    }

    fn count(&self, _range: &KeyRange, _revision: i64) -> Result<u64> {
        todo!()
    }
}
