//! The raft loop: feeds the core and carries out what it says. A turn of it never waits; it is given by the thread that
//! brings something, and by the raft thread when it is time for a tick.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;

use crate::applier::{self, Made};
use crate::consensus::{Broken, Core, Event, Output, Write};
use crate::inbox::Mail;
use crate::log_writer;
use crate::shared::Shared;
use crate::waiter::{Reader, Transferrer};
use crate::{Checkpoint, Fault, Transport};

pub(crate) struct RaftLoop {
    shared: Arc<Shared>,
    core: Core,
    transport: Arc<dyn Transport>,
    made: Arc<Made>,
    checkpoints: HashMap<u64, Checkpoint>,
    /// Followers that are being sent a snapshot, each with what dies when the transport lets go of it.
    sending: HashMap<u64, Weak<()>>,
    /// Directories of received snapshots, by the number the core knows them under.
    files: HashMap<u64, PathBuf>,
    readers: HashMap<u64, Vec<Reader>>,
    transfers: HashMap<u64, Transferrer>,
    /// Source of the numbers above.
    numbers: u64,
    /// A commit index that is worth writing, but not worth a write of its own.
    held: Option<Write>,
    disk_stalled: bool,
    next_tick: Instant,
}

/// The raft thread: keeps the loop's time, and takes the loop out of the world at the end.
pub(crate) fn run(shared: &Arc<Shared>, raft: RaftLoop) -> Result<(), Fault> {
    let outcome = keep_time(shared, raft);
    if let Some(mut raft) = shared.raft.lock().take() {
        raft.finish();
    }
    outcome
}

fn keep_time(shared: &Arc<Shared>, mut raft: RaftLoop) -> Result<(), Fault> {
    let begun = raft.carry_out_all();
    let mut next_tick = raft.next_tick();
    *shared.raft.lock() = Some(raft);
    begun?;
    // What has come before the loop was there.
    shared.drive();
    while shared.inbox.sleep(next_tick) {
        if let Some(raft) = &mut *shared.raft.lock() {
            if shared.now() >= raft.next_tick()
                && let Some(mail) = shared.inbox.take_now()
            {
                raft.turn(mail)?;
            }
            next_tick = raft.next_tick();
        }
        shared.drive();
    }
    Ok(())
}

impl RaftLoop {
    pub fn new(shared: Arc<Shared>, core: Core, transport: Arc<dyn Transport>, made: Arc<Made>) -> Self {
        let start = shared.now();
        Self {
            next_tick: start + shared.options.heartbeat_interval,
            shared,
            core,
            transport,
            made,
            checkpoints: HashMap::new(),
            sending: HashMap::new(),
            files: HashMap::new(),
            readers: HashMap::new(),
            transfers: HashMap::new(),
            numbers: 0,
            held: None,
            disk_stalled: false,
        }
    }

    /// When the next turn is due, with or without mail.
    pub fn next_tick(&self) -> Instant {
        self.next_tick
    }

    /// Takes in what has arrived and the time, and does what follows.
    pub fn turn(&mut self, mail: Mail) -> Result<(), Fault> {
        let time = self.shared.now();
        failpoint::point!("raftBeforeTurn");
        self.feed(mail)?;
        if time >= self.next_tick {
            self.tick(time)?;
        }
        self.carry_out_all()?;
        failpoint::point!("raftAfterTurn");
        self.shared.inbox.want_applied(self.core.waits_for_applied());
        self.publish();
        Ok(())
    }

    /// What is in the writer's and the applier's hands is finished; nothing new comes.
    pub fn finish(&mut self) {
        self.write_held();
        self.shared.log.finish();
        self.shared.apply.finish();
    }

    fn tick(&mut self, time: Instant) -> Result<(), Fault> {
        let shared = self.shared.clone();
        let options = &shared.options;
        let interval = options.heartbeat_interval;
        let late = time - self.next_tick;
        if late > interval {
            options.observer.heartbeat_late(late);
        }
        // After a pause of the process there is one tick, not all that were missed: they would end in an election
        // before the messages that wait have been read.
        self.next_tick = (self.next_tick + interval).max(time);

        let stalled = shared.writing_for(time) > interval * options.election_ticks as u32;
        if stalled != self.disk_stalled {
            self.disk_stalled = stalled;
            tracing::warn!(
                stalled,
                "the log's disk has not answered for an election timeout, or does again"
            );
            options.observer.disk_stalled(stalled);
            self.event(Event::DiskStalled(stalled))?;
        }
        self.forget_lost_snapshots()?;
        self.write_held();
        self.event(Event::Tick)
    }

    /// Raft waits for the report on a snapshot for ever. A transport that let go of one without a report has failed.
    fn forget_lost_snapshots(&mut self) -> Result<(), Fault> {
        let lost = self.sending.extract_if(|_, watch| watch.strong_count() == 0);
        let mut lost: Vec<u64> = lost.map(|(to, _)| to).collect();
        lost.sort_unstable();
        lost.into_iter()
            .try_for_each(|to| self.event(Event::SnapshotSent { to, ok: false }))
    }

    fn publish(&self) {
        let status = self.core.status();
        *self.shared.status.lock() = status;
    }

    fn event(&mut self, event: Event) -> Result<(), Fault> {
        self.core
            .handle(event)
            .map_err(|Broken(what)| Fault::Internal(what))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn feed(&mut self, mail: Mail) -> Result<(), Fault> {
        // What is durable and applied first: what follows may depend on it.
        if mail.persisted > 0 {
            self.event(Event::Persisted(mail.persisted))?;
        }
        if mail.applied > 0 {
            self.event(Event::Applied {
                index: mail.applied,
                changes: mail.changes,
            })?;
        }
        if mail.durable > 0 {
            self.event(Event::Durable(mail.durable))?;
        }
        for event in mail.events {
            if let Event::SnapshotSent { to, .. } = event {
                self.sending.remove(&to);
            }
            if let Event::SnapshotMade { .. } = event
                && let Some((token, checkpoint)) = self.made.lock().take()
            {
                self.checkpoints.insert(token, checkpoint);
            }
            self.event(event)?;
        }
        for (message, files) in mail.messages {
            let files = files.map(|path| {
                let number = self.number();
                self.files.insert(number, path);
                number
            });
            self.event(Event::Message(message, files))?;
        }
        if !mail.proposals.is_empty() {
            self.event(Event::Propose(mail.proposals))?;
        }
        if !mail.reads.is_empty() {
            let number = self.number();
            self.readers.insert(number, mail.reads);
            self.event(Event::Read(number))?;
        }
        for (to, transferrer) in mail.transfers {
            let number = self.number();
            self.transfers.insert(number, transferrer);
            self.event(Event::Transfer { to, number })?;
        }
        Ok(())
    }

    /// A write of nothing but the commit index waits for the next write that is synced, or for the next tick. Nothing
    /// depends on it but the time a restart takes.
    fn hold_back(&mut self, mut write: Write) -> Option<Write> {
        if !write.must_sync {
            self.held = Some(write);
            return None;
        }
        let held = self.held.take();
        write.hard_state = write.hard_state.or(held.and_then(|held| held.hard_state));
        Some(write)
    }

    fn write_held(&mut self) {
        if let Some(write) = self.held.take() {
            self.shared.log.push(log_writer::Job::Write(write, None));
        }
    }

    pub fn carry_out_all(&mut self) -> Result<(), Fault> {
        while let Some(output) = self.core.poll() {
            if self.shared.has_failed() {
                return Ok(());
            }
            self.carry_out(output)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, output: Output) -> Result<(), Fault> {
        let shared = self.shared.clone();
        let observer = &*shared.options.observer;
        if let Some(change) = output.role {
            shared.announce(change);
            self.publish();
        }

        failpoint::point!(if self.core.status().role == crate::Role::Leader => "raftBeforeLeaderSend", "raftBeforeFollowerSend");
        let mut letters: BTreeMap<u64, Vec<Bytes>> = BTreeMap::new();
        for message in output.messages {
            letters.entry(message.to()).or_default().push(message.encode());
        }
        letters
            .into_iter()
            .for_each(|(to, messages)| self.transport.send(to, messages));
        for (message, token) in output.snapshots {
            match self.checkpoints.get(&token) {
                Some(checkpoint) => {
                    let (checkpoint, watch) = checkpoint.sending();
                    self.sending.insert(message.to(), watch);
                    self.transport
                        .send_snapshot(message.to(), message.encode(), checkpoint);
                }
                None => self.event(Event::SnapshotSent {
                    to: message.to(),
                    ok: false,
                })?,
            }
        }

        failpoint::point!("raftAfterSend");
        if let Some(write) = output.write.and_then(|write| self.hold_back(write)) {
            let files = write
                .snapshot
                .as_ref()
                .and_then(|install| self.files.remove(&install.files));
            shared.log.push(log_writer::Job::Write(write, files));
        }
        if let Some(install) = output.install {
            shared.apply.push(applier::Job::Install(install));
        }
        let committed = self.core.committed();
        if shared.committed.swap(committed, Ordering::AcqRel) != committed {
            observer.committed(committed);
        }
        failpoint::point!("raftBeforeCommitted");
        if !output.committed.is_empty() {
            shared.apply.push(applier::Job::Entries(output.committed));
        }

        for (number, outcome) in output.reads {
            let readers = self.readers.remove(&number).unwrap_or_default();
            observer.reads_confirmed(readers.len(), outcome.is_ok());
            match outcome {
                Ok(index) if index > shared.applied.load(Ordering::Acquire) => {
                    shared.apply.push(applier::Job::Readers(index, readers));
                }
                outcome => {
                    shared.inbox.reads_gone(readers.len());
                    readers.into_iter().for_each(|reader| reader.answer(outcome));
                }
            }
        }
        for (number, outcome) in output.transfers {
            if let Some(transferrer) = self.transfers.remove(&number) {
                transferrer.answer(outcome);
            }
        }

        if output.make_snapshot {
            shared.apply.push(applier::Job::Checkpoint);
        }
        for token in output.drop_snapshots {
            if let Some(checkpoint) = self.checkpoints.remove(&token) {
                shared.apply.push(applier::Job::Forget(checkpoint));
            }
        }
        for files in output.refused_files {
            if let Some(files) = self.files.remove(&files) {
                shared.apply.push(applier::Job::Discard(files));
            }
        }
        if let Some(mark) = output.mark {
            shared.log.push(log_writer::Job::Mark(mark));
        }

        let (proposed, failed) = (output.proposed, output.failed);
        if proposed.proposals + failed.proposals > 0 {
            shared.inbox.proposals_gone(proposed);
            let waiting = shared.inbox.proposals_gone(failed);
            observer.proposals_waiting(waiting);
            if proposed.proposals > 0 {
                observer.proposed(proposed.proposals);
            }
            if failed.proposals > 0 {
                observer.proposals_failed(failed.proposals);
            }
        }
        Ok(())
    }
}
