//! The log writer thread: group commit.
//!
//! It takes everything that has queued while the last fdatasync ran, writes it with one append, syncs once, and reports
//! the newest number. There is no delay to gather more: the slower the disk, the larger the groups.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wal::{Entry, Marker, Record, Wal};

use crate::consensus::{HardState, Write};
use crate::directory;
use crate::shared::Shared;
use crate::{Applied, Fault, MachineError};

pub(crate) enum Job {
    /// A record group, with the files of its snapshot.
    Write(Write, Option<PathBuf>),
    /// The state up to here needs the log no more.
    Mark(Applied),
}

/// Writes that become durable together.
#[derive(Default)]
struct Group {
    entries: Vec<Entry>,
    hard_state: Option<HardState>,
    must_sync: bool,
    number: u64,
}

pub(crate) fn run(shared: &Arc<Shared>, mut wal: Wal) -> Result<(), Fault> {
    while let Some(jobs) = shared.log.take() {
        shared.writing(true);
        turn(shared, &mut wal, jobs)?;
    }
    Ok(())
}

/// Does all jobs and reports what is durable now. The clock of the disk is running, and is stopped here.
pub(crate) fn turn(shared: &Shared, wal: &mut Wal, jobs: Vec<Job>) -> Result<(), Fault> {
    let outcome = write(shared, wal, jobs);
    shared.writing(false);
    if let Some(number) = outcome.map_err(Fault::Log)? {
        failpoint::point!("raftBeforePersisted");
        shared.inbox.persisted(number);
        shared.drive();
    }
    Ok(())
}

/// Does all jobs and returns the number of the last write that had to be durable, and now is.
fn write(shared: &Shared, wal: &mut Wal, jobs: Vec<Job>) -> Result<Option<u64>, MachineError> {
    let mut group = Group::default();
    let mut durable = None;
    for job in jobs {
        match job {
            Job::Write(
                Write {
                    snapshot: Some(install),
                    entries,
                    hard_state,
                    number,
                    ..
                },
                files,
            ) => {
                group.flush(shared, wal)?;
                let hard_state = hard_state.ok_or("a snapshot that commits nothing")?;
                reset(shared, wal, &install.applied, hard_state, files)?;
                durable = Some(number);
                group = Group {
                    entries,
                    hard_state: None,
                    must_sync: true,
                    number,
                };
            }
            Job::Write(write, _) => group.add(write),
            Job::Mark(applied) => {
                failpoint::point!("raftBeforeMark");
                durable = group.flush(shared, wal)?.or(durable);
                wal.save_snapshot_marker(marker(&applied))?;
                failpoint::point!("raftAfterMark");
                wal.release(applied.index)?;
            }
        }
    }
    Ok(group.flush(shared, wal)?.or(durable))
}

impl Group {
    fn add(&mut self, write: Write) {
        if self.entries.is_empty() {
            self.entries = write.entries;
        } else {
            self.entries.extend(write.entries);
        }
        self.hard_state = write.hard_state.or(self.hard_state);
        if write.must_sync {
            self.must_sync = true;
            self.number = write.number;
        }
    }

    /// Writes what has gathered, and syncs if anything in it asks for it.
    fn flush(&mut self, shared: &Shared, wal: &mut Wal) -> Result<Option<u64>, MachineError> {
        let Self {
            entries,
            hard_state,
            must_sync,
            number,
        } = std::mem::take(self);
        if entries.is_empty() && hard_state.is_none() {
            return Ok(None);
        }
        #[cfg(feature = "planted")]
        let hard_state = hard_state.filter(|_| !planted::is(planted::Bug::VoteForgotten));
        let state = hard_state.map(|state| state.encode());
        let mut records = Vec::with_capacity(entries.len() + 1);
        records.extend(entries.iter().map(record));
        records.extend(state.as_deref().map(Record::State));

        let bytes = entries.iter().map(|entry| entry.data.len()).sum();
        failpoint::point!("raftBeforeSave");
        let began = shared.now();
        wal.append(&records)?;
        let written = shared.now();
        if must_sync {
            wal.sync()?;
        }
        failpoint::point!("raftAfterSave");
        let sync = must_sync.then(|| shared.now() - written);
        shared.options.observer.log_written(bytes, written - began, sync);
        Ok(must_sync.then_some(number))
    }
}

fn record(entry: &Entry) -> Record<'_> {
    Record::Entry {
        kind: entry.kind,
        index: entry.index,
        term: entry.term,
        data: &entry.data,
    }
}

/// Begins the log anew behind a snapshot. The files first move to the place where a restart looks for them: from the
/// moment the log says that the state comes from them, they must be there until the state machine has taken them.
fn reset(
    shared: &Shared,
    wal: &mut Wal,
    applied: &Applied,
    hard_state: HardState,
    files: Option<PathBuf>,
) -> Result<(), MachineError> {
    let files = files.ok_or("a snapshot without files")?;
    failpoint::point!("raftBeforeSaveSnap");
    let place = install_place(&shared.options.snapshot_dir, applied.index, applied.term);
    if files != place {
        directory::replace(&files, &place)?;
    }
    failpoint::point!("raftAfterSaveSnap");
    failpoint::point!("raftBeforeApplySnap");
    wal.reset_to_snapshot(marker(applied), &hard_state.encode())?;
    failpoint::point!("raftAfterApplySnap");
    failpoint::point!("raftAfterWALRelease");
    Ok(())
}

/// Where the files of an accepted snapshot wait for the state machine.
pub(crate) fn install_place(snapshot_dir: &Path, index: u64, term: u64) -> PathBuf {
    snapshot_dir.join(format!("install-{term:016x}-{index:016x}"))
}

fn marker(applied: &Applied) -> Marker {
    Marker {
        index: applied.index,
        term: applied.term,
        conf_state: applied.configuration.encode().into(),
    }
}
