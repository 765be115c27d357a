//! The apply thread: the state machine's only caller.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wal::Entry;

use crate::consensus::{AppliedChange, Event, Install};
use crate::directory;
use crate::shared::Shared;
use crate::waiter::Reader;
use crate::{
    Applied, Change, Checkpoint, Committed, Configuration, Fault, MachineError, StateMachine, Verdict,
};

/// One group, which is one batch of the store, at most.
const GROUP_ENTRIES_MAX: usize = 4096;
const GROUP_BYTES_MAX: usize = 8 << 20;

/// Entries between two looks at what the state machine has made durable.
const LOOK_EVERY: u64 = 500;

/// Log that would be replayed after a crash, beyond which the state machine is asked to flush. Bounds the time of a
/// restart and the disk space of the log; small enough to be rare for a store that flushes by itself.
const REPLAY_BYTES_MAX: u64 = 256 << 20;

pub(crate) enum Job {
    /// Committed entries, next in order.
    Entries(Vec<Entry>),
    /// A snapshot that replaces the state, next in order.
    Install(Install),
    /// Readers to be answered once this index is applied.
    Readers(u64, Vec<Reader>),
    /// A copy of the state is wanted.
    Checkpoint,
    /// Files that have become useless.
    Discard(PathBuf),
    /// A checkpoint that has become useless.
    Forget(Checkpoint),
}

/// Where a checkpoint that was made waits for the raft thread.
pub(crate) type Made = parking_lot::Mutex<Option<(u64, Checkpoint)>>;

pub(crate) struct Applier {
    shared: Arc<Shared>,
    machine: Box<dyn StateMachine>,
    made: Arc<Made>,
    configuration: Configuration,
    applied: u64,
    /// Bytes applied so far.
    bytes: u64,
    /// Applied index and bytes at each look at what is durable that was ahead of it.
    looks: VecDeque<(u64, u64)>,
    /// The durable index last reported.
    reported: u64,
    readers: BTreeMap<u64, Vec<Reader>>,
    tokens: u64,
    group_entries_max: usize,
}

impl Applier {
    pub fn new(shared: Arc<Shared>, machine: Box<dyn StateMachine>, made: Arc<Made>) -> Self {
        let Applied {
            index, configuration, ..
        } = machine.applied();
        let durable = machine.durable();
        Self {
            shared,
            machine,
            made,
            configuration,
            applied: index,
            bytes: 0,
            looks: [(index, 0)].into(),
            reported: durable,
            readers: BTreeMap::new(),
            tokens: 0,
            group_entries_max: GROUP_ENTRIES_MAX,
        }
    }

    /// Hands at most so many entries to the state machine at once.
    pub fn set_group_entries_max(&mut self, max: usize) {
        self.group_entries_max = max;
    }

    pub fn run(mut self) -> Result<(), Fault> {
        while let Some(jobs) = self.shared.apply.take() {
            self.turn(jobs)?;
        }
        Ok(())
    }

    /// Does all jobs, in order.
    pub fn turn(&mut self, jobs: Vec<Job>) -> Result<(), Fault> {
        let mut entries = Vec::new();
        for job in jobs {
            match job {
                Job::Entries(more) if entries.is_empty() => entries = more,
                Job::Entries(more) => entries.extend(more),
                other => {
                    self.apply(std::mem::take(&mut entries))?;
                    self.other(other)?;
                }
            }
        }
        self.apply(entries)
    }

    /// Applies entries in groups.
    fn apply(&mut self, entries: Vec<Entry>) -> Result<(), Fault> {
        let mut group = Vec::with_capacity(entries.len().min(GROUP_ENTRIES_MAX));
        let mut bytes = 0;
        for entry in entries {
            // What was applied before a restart is not handed out again, but a repetition would do harm.
            if entry.index != self.applied + group.len() as u64 + 1 {
                return Err(Fault::Internal(format!(
                    "entry {} after {}",
                    entry.index, self.applied
                )));
            }
            bytes += entry.data.len();
            self.bytes += entry.data.len() as u64;
            let (committed, change) = self.committed(entry);
            group.push(committed);
            if change.is_some() || group.len() >= self.group_entries_max || bytes >= GROUP_BYTES_MAX {
                self.apply_group(std::mem::take(&mut group), change)?;
                bytes = 0;
            }
        }
        if group.is_empty() {
            Ok(())
        } else {
            self.apply_group(group, None)
        }
    }

    fn committed(
        &self,
        Entry {
            kind,
            index,
            term,
            data,
        }: Entry,
    ) -> (Committed, Option<Change>) {
        if kind == 0 && data.is_empty() {
            return (Committed::Empty { index, term }, None);
        }
        if kind == 0 {
            return (Committed::Command { index, term, data }, None);
        }
        match Change::decode(kind, data) {
            Ok(change) => {
                let configuration = self.configuration.changed(&change).ok();
                (
                    Committed::ConfChange {
                        index,
                        term,
                        change: change.clone(),
                        configuration,
                    },
                    Some(change),
                )
            }
            // Refused by every member alike.
            Err(reason) => {
                tracing::error!(index, reason, "committed configuration change cannot be read");
                (Committed::Empty { index, term }, None)
            }
        }
    }

    fn apply_group(&mut self, group: Vec<Committed>, change: Option<Change>) -> Result<(), Fault> {
        let Some(last) = group.last() else { return Ok(()) };
        let count = group.len();
        let index = last.index();
        let next = match last {
            Committed::ConfChange { configuration, .. } => configuration.clone(),
            _ => None,
        };
        let began = self.shared.now();
        failpoint::point!("applyBeforeGroup");
        let verdict = self.machine.apply(group).map_err(Fault::Machine)?;
        if self.shared.has_failed() {
            return Ok(());
        }
        let change = match (change, verdict, next) {
            (None, _, _) => None,
            (Some(change), Verdict::Accepted, Some(next)) => {
                self.configuration = next;
                Some((change, Verdict::Accepted))
            }
            (Some(_), Verdict::Accepted, None) => {
                let what = format!("the state machine accepted a forbidden configuration change at {index}");
                return Err(Fault::Internal(what));
            }
            (Some(change), Verdict::Refused, _) => Some((change, Verdict::Refused)),
        };
        failpoint::point!("applyAfterGroup");
        self.applied = index;
        self.shared.applied.store(index, Ordering::Release);
        self.shared
            .options
            .observer
            .applied(index, count, self.shared.now() - began);
        let change = change.map(|(change, verdict)| AppliedChange {
            index,
            change,
            verdict,
            configuration: self.configuration.clone(),
        });
        self.shared.inbox.applied(index, change);
        self.shared.drive();
        self.answer_readers();
        self.look_at_durable();
        Ok(())
    }

    fn answer_readers(&mut self) {
        let later = self.readers.split_off(&(self.applied + 1));
        for (index, readers) in std::mem::replace(&mut self.readers, later) {
            self.shared.inbox.reads_gone(readers.len());
            readers.into_iter().for_each(|reader| reader.answer(Ok(index)));
        }
    }

    /// Lets the log be released behind what is durable, and asks for more to be made durable where that lags.
    fn look_at_durable(&mut self) {
        let looked = self.looks.back().map_or(0, |(index, _)| *index);
        if self.applied - looked < LOOK_EVERY.min(self.shared.options.snapshot_count) {
            return;
        }
        self.looks.push_back((self.applied, self.bytes));
        let durable = self.machine.durable();
        while self.looks.get(1).is_some_and(|(index, _)| *index <= durable) {
            self.looks.pop_front();
        }
        if durable >= self.reported + self.shared.options.snapshot_count {
            self.reported = durable;
            self.shared.inbox.durable(durable);
            self.shared.drive();
        }
        if self
            .looks
            .front()
            .is_some_and(|(_, bytes)| self.bytes - bytes > REPLAY_BYTES_MAX)
        {
            self.machine.request_flush();
        }
    }

    fn other(&mut self, job: Job) -> Result<(), Fault> {
        match job {
            Job::Entries(_) => {}
            Job::Install(install) => self.install(install)?,
            Job::Readers(index, readers) => {
                self.readers.entry(index).or_default().extend(readers);
                self.answer_readers();
            }
            Job::Checkpoint => self.checkpoint()?,
            Job::Discard(files) => directory::discard(&files),
            Job::Forget(checkpoint) => drop(checkpoint),
        }
        Ok(())
    }

    fn install(&mut self, Install { applied, .. }: Install) -> Result<(), Fault> {
        let Applied { index, term, .. } = applied;
        tracing::info!(index, term, "installing a snapshot of the leader");
        self.shared.options.observer.installing_snapshot(true);
        let files = crate::log_writer::install_place(&self.shared.options.snapshot_dir, index, term);
        failpoint::point!("applyBeforeInstall");
        install(&mut *self.machine, &files, &applied).map_err(Fault::Machine)?;
        self.shared.options.observer.installing_snapshot(false);
        tracing::info!(index, term, "applied snapshot");
        self.configuration = applied.configuration;
        self.applied = index;
        self.looks = [(index, self.bytes)].into();
        self.reported = index;
        self.shared.applied.store(index, Ordering::Release);
        self.shared.inbox.applied(index, None);
        self.shared.drive();
        self.answer_readers();
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), Fault> {
        self.tokens += 1;
        let token = self.tokens;
        let applied = self.machine.applied();
        let path = self
            .shared
            .options
            .snapshot_dir
            .join(format!("send-{token:016x}"));
        let began = self.shared.now();
        failpoint::point!("snapshotBeforeCheckpoint");
        if let Err(error) = self.machine.checkpoint(&path) {
            // A full disk, for example, must not stop a leader; the follower waits until another try succeeds.
            tracing::error!(
                error = &*error as &dyn std::error::Error,
                "no checkpoint for a follower"
            );
            directory::discard(&path);
            self.shared.inbox.checkpoint(Event::SnapshotNotMade);
            self.shared.drive();
            return Ok(());
        }
        let took = self.shared.now() - began;
        tracing::info!(index = applied.index, ?took, "made a checkpoint for a follower");
        failpoint::point!("snapshotAfterCheckpoint");
        let checkpoint = Checkpoint::new(path, applied.index, applied.term);
        *self.made.lock() = Some((token, checkpoint));
        self.shared
            .inbox
            .checkpoint(Event::SnapshotMade { token, applied });
        self.shared.drive();
        Ok(())
    }
}

/// Lets the machine take over `files` and checks that it has; then they are gone.
pub(crate) fn install(
    machine: &mut dyn StateMachine,
    files: &std::path::Path,
    applied: &Applied,
) -> Result<(), MachineError> {
    machine.install(files, applied)?;
    let found = machine.applied();
    if found != *applied {
        return Err(format!("after installing a snapshot of {applied:?} the state is at {found:?}").into());
    }
    failpoint::point!("applyAfterInstall");
    directory::remove(files)?;
    Ok(())
}
