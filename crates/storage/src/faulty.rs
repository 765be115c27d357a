//! An engine that fails when told to, over any other.

use crate::backend::{Backend, Cursor, Error, Result, Sizes, Snapshot};
use crate::{Batch, FailStop, Family};
use bytes::Bytes;
use parking_lot::Mutex;
use std::ops::{Bound, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

/// What can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `get` of the store or of a snapshot.
    Get,
    /// Opening a cursor, and each of its steps.
    Scan,
    /// Taking a snapshot.
    Snapshot,
    /// `write`. A failed one has changed nothing.
    Write,
    /// `flush`.
    Flush,
    /// `checkpoint`.
    Checkpoint,
}

const OPERATIONS: usize = Operation::Checkpoint as usize + 1;

/// Passes everything on to an engine and counts it, and returns [`Error::Engine`] in place of the calls chosen.
///
/// As with a real engine, nothing can be written after a failed write or flush.
pub struct FaultyBackend {
    inner: Arc<dyn Backend>,
    plan: Arc<Plan>,
    fail_stop: FailStop,
}

/// Which calls fail; shared with snapshots and cursors.
#[derive(Default)]
struct Plan {
    counts: Mutex<[Count; OPERATIONS]>,
}

#[derive(Clone, Default)]
struct Count {
    calls: u64,
    failing: Option<RangeInclusive<u64>>,
}

impl FaultyBackend {
    /// Over `inner`, with nothing failing.
    pub fn new(inner: Arc<dyn Backend>) -> FaultyBackend {
        FaultyBackend {
            inner,
            plan: Arc::default(),
            fail_stop: FailStop::default(),
        }
    }

    /// Makes the `nth` call from now on fail, the next one being the first.
    pub fn fail_nth(&self, operation: Operation, nth: u64) {
        self.plan.set(operation, nth..=nth);
    }

    /// Makes the `nth` call from now on, and all after it, fail.
    pub fn fail_from(&self, operation: Operation, nth: u64) {
        self.plan.set(operation, nth..=u64::MAX);
    }

    /// How often the operation was called so far, failed calls included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.plan.counts.lock()[operation as usize].calls
    }
}

impl Plan {
    fn set(&self, operation: Operation, nth: RangeInclusive<u64>) {
        let count = &mut self.counts.lock()[operation as usize];
        count.failing = Some(count.calls + nth.start()..=count.calls.saturating_add(*nth.end()));
    }

    fn call(&self, operation: Operation) -> Result<()> {
        let count = &mut self.counts.lock()[operation as usize];
        count.calls += 1;
        match &count.failing {
            Some(failing) if failing.contains(&count.calls) => Err(Error::Engine(format!(
                "{operation:?} number {} was made to fail",
                count.calls
            ))),
            _ => Ok(()),
        }
    }
}

impl Backend for FaultyBackend {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.plan.call(Operation::Get)?;
        self.inner.get(family, key)
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>> {
        self.plan.call(Operation::Snapshot)?;
        Ok(Arc::new(FaultySnapshot {
            inner: self.inner.snapshot()?,
            plan: self.plan.clone(),
        }))
    }

    fn write(&self, batch: Batch) -> Result<()> {
        self.fail_stop.guard(|| {
            self.plan.call(Operation::Write)?;
            self.inner.write(batch)
        })
    }

    fn flush(&self) -> Result<()> {
        self.fail_stop.guard(|| {
            self.plan.call(Operation::Flush)?;
            self.inner.flush()
        })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.plan.call(Operation::Checkpoint)?;
        self.inner.checkpoint(dir)
    }

    fn reclaim(&self) -> Result<()> {
        self.inner.reclaim()
    }

    fn sizes(&self) -> Result<Sizes> {
        self.inner.sizes()
    }

    fn key_bytes_max(&self) -> usize {
        self.inner.key_bytes_max()
    }
}

struct FaultySnapshot {
    inner: Arc<dyn Snapshot>,
    plan: Arc<Plan>,
}

impl Snapshot for FaultySnapshot {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>> {
        self.plan.call(Operation::Get)?;
        self.inner.get(family, key)
    }

    fn scan(&self, family: Family, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Box<dyn Cursor + '_>> {
        self.plan.call(Operation::Scan)?;
        Ok(Box::new(FaultyCursor {
            inner: self.inner.scan(family, bounds)?,
            plan: &self.plan,
        }))
    }
}

struct FaultyCursor<'a> {
    inner: Box<dyn Cursor + 'a>,
    plan: &'a Plan,
}

impl Cursor for FaultyCursor<'_> {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.plan.call(Operation::Scan)?;
        self.inner.next()
    }

    fn prev(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.plan.call(Operation::Scan)?;
        self.inner.prev()
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.plan.call(Operation::Scan)?;
        self.inner.seek(key)
    }
}
