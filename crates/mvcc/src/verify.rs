//! Comparing everything with everything: for tests and tools, not for every day.

use crate::format::{LogRow, Row, log_revision};
use crate::kv::Fields;
use crate::meta::{HEAD, Head, SWEEP, Sweep};
use crate::{Error, Result, Sizes, Store, count_rows, version_key};
use bytes::Bytes;
use model::{EventKind, RevisionKey};
use std::ops::Bound;
use storage::{Family, Snapshot};

impl Store {
    /// Reads everything and compares the families with each other; an error names the first contradiction. Takes
    /// long on a large store, in little memory, and disturbs nobody.
    pub fn verify(&self) -> Result<()> {
        let ground = self.shared.ground.lock();
        let snapshot = ground.backend.snapshot()?;
        drop(ground);
        Verify::new(&*snapshot)?.run()
    }
}

const EVERYTHING: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Unbounded, Bound::Unbounded);

struct Verify<'a> {
    snapshot: &'a dyn Snapshot,
    head: Head,
    sweep: Sweep,
}

impl<'a> Verify<'a> {
    fn new(snapshot: &'a dyn Snapshot) -> Result<Verify<'a>> {
        let head = match snapshot.get(Family::Meta, HEAD)? {
            Some(row) => Head::decode(&row)?,
            None => Head::default(),
        };
        let sweep = match snapshot.get(Family::Meta, SWEEP)? {
            Some(row) => Sweep::decode(&row)?,
            None => Sweep::default(),
        };
        Ok(Verify {
            snapshot,
            head,
            sweep,
        })
    }

    fn run(&self) -> Result<()> {
        if self.head.compacted > self.head.revision || self.sweep.finished > self.head.compacted {
            return damaged(format!(
                "progress contradicts itself: {:?} {:?}",
                self.head, self.sweep
            ));
        }
        let logged = self.log()?;
        let (superseded, newest) = (self.versions()?, self.current()?);
        if logged != superseded + newest {
            return damaged(format!(
                "{logged} versions in log, {superseded} in versions, {newest} in current"
            ));
        }
        self.counts()
    }

    /// Every log record is the newest of its key or has its row in versions, and what it replaced is there as long as
    /// a readable revision needs it. Returns the number of records.
    fn log(&self) -> Result<u64> {
        let mut cursor = self.snapshot.scan(Family::Log, EVERYTHING)?;
        let (mut records, mut bytes) = (0, 0);
        while let Some((row_key, row)) = cursor.next()? {
            let at = log_revision(row_key)?;
            let LogRow { replaced, row, .. } = LogRow::parse(row)?;
            let fields = Fields::parse(row.kv)?;
            let place = || format!("log record {}/{}", at.main, at.sub);
            if (fields.modified, row.sub) != (at.main.0, at.sub) || at.main > self.head.revision {
                return damaged(format!("{} says it is {}/{}", place(), fields.modified, row.sub));
            }
            let newest = self.newest(fields.key)?;
            let kind = self
                .snapshot
                .get(Family::Versions, &version_key::encode(fields.key, at))?;
            let superseded = kind.as_deref() == Some(&[row.kind as u8]);
            if newest < Some(at) || superseded == (newest == Some(at)) {
                return damaged(format!("{} is neither newest nor in versions", place()));
            }
            // What a deletion at the compacted revision replaced may never have been imported.
            let baseless = replaced.is_none() && at.main > self.head.compacted;
            if row.kind == EventKind::Delete && (baseless || at.main < self.sweep.finished) {
                return damaged(format!("{} deletes nothing, or should be gone", place()));
            }
            if let Some(replaced) = replaced {
                self.replaced(at, fields.key, replaced.at, replaced.kv_len)?;
            }
            records += 1;
            bytes += Sizes::of_version(row.kv.len() as u64);
        }
        let in_use = self.head.written.checked_sub(self.sweep.reclaimed);
        if in_use != Some(bytes) {
            return damaged(format!(
                "versions have {bytes} bytes, the account says {in_use:?}"
            ));
        }
        Ok(records)
    }

    fn replaced(&self, by: RevisionKey, key: &[u8], at: RevisionKey, kv_len: u64) -> Result<()> {
        let log = self.snapshot.get(Family::Log, &at.encode())?;
        let place = || format!("{}/{}, which {}/{} replaced,", at.main, at.sub, by.main, by.sub);
        let gone = self.is_swept(by);
        match log {
            Some(_) if gone => damaged(format!("{} should be gone", place())),
            None if !gone => damaged(format!("{} is missing", place())),
            None => Ok(()),
            Some(log) => {
                let kv = LogRow::parse(&log)?.row.kv;
                if Fields::parse(kv)?.key != key || kv.len() as u64 != kv_len {
                    return damaged(format!("{} is another version", place()));
                }
                Ok(())
            }
        }
    }

    /// Whether the compaction has looked at this record.
    fn is_swept(&self, at: RevisionKey) -> bool {
        at.main <= self.sweep.finished || self.sweep.job.is_some_and(|job| at < job.next)
    }

    /// Every row of versions has its log record; returns their number.
    fn versions(&self) -> Result<u64> {
        let mut cursor = self.snapshot.scan(Family::Versions, EVERYTHING)?;
        let mut rows = 0;
        while let Some((row_key, _)) = cursor.next()? {
            let (key, at) = version_key::decode(row_key)?;
            let log = self.snapshot.get(Family::Log, &at.encode())?;
            let log = log.as_deref().map(LogRow::parse).transpose()?;
            let logged = log.map(|log| Fields::parse(log.row.kv)).transpose()?;
            if logged.map(|fields| fields.key) != Some(&key[..]) {
                return damaged(format!("version {}/{} is not in log", at.main, at.sub));
            }
            rows += 1;
        }
        Ok(rows)
    }

    fn newest(&self, key: &[u8]) -> Result<Option<RevisionKey>> {
        let row = self.snapshot.get(Family::Current, key)?;
        row.as_deref().map(|row| Row::parse(row)?.at()).transpose()
    }

    /// Every row of current is the end of its log record, or all of it but the value; returns their number.
    fn current(&self) -> Result<u64> {
        let mut cursor = self.snapshot.scan(Family::Current, EVERYTHING)?;
        let mut rows = 0;
        while let Some((key, row)) = cursor.next()? {
            let parsed = Row::parse(row)?;
            let (at, head) = (parsed.at()?, Fields::parse(parsed.kv)?);
            if head.key != key {
                return damaged(format!(
                    "version {}/{} is in current under another key",
                    at.main, at.sub
                ));
            }
            let log = self.snapshot.get(Family::Log, &at.encode())?;
            let is_logged = match (&log, parsed.apart) {
                (None, _) => false,
                (Some(log), None) => log.ends_with(row),
                (Some(log), Some(_)) => {
                    let log = LogRow::parse(log)?.row;
                    let fields = Fields::parse(log.kv)?;
                    log.is_live()
                        && !fields.value.is_empty()
                        && log.kv_len() == parsed.kv_len()
                        && Fields { value: &[], ..fields } == head
                }
            };
            if !is_logged {
                return damaged(format!("current version {}/{} is not in log", at.main, at.sub));
            }
            rows += 1;
        }
        Ok(rows)
    }

    fn counts(&self) -> Result<()> {
        let mut chunks = count_rows::load(self.snapshot)?;
        if chunks.first().is_none_or(|(fence, _)| !fence.is_empty()) {
            chunks.insert(0, (Bytes::new(), 0));
        }
        let mut chunks = chunks.into_iter().peekable();
        while let Some((fence, count)) = chunks.next() {
            let end = chunks
                .peek()
                .map_or(Bound::Unbounded, |(end, _)| Bound::Excluded(&end[..]));
            let mut cursor = self
                .snapshot
                .scan(Family::Current, (Bound::Included(&fence[..]), end))?;
            let mut living = 0;
            while let Some((_, row)) = cursor.next()? {
                living += u64::from(Row::parse(row)?.is_live());
            }
            if living != count {
                return damaged(format!(
                    "{living} keys live from {fence:?} on, {count} are counted"
                ));
            }
        }
        Ok(())
    }
}

fn damaged<T>(what: String) -> Result<T> {
    Err(Error::Damaged(what))
}
