//! Restarts members from what power failures left, and looks at what came back.

use super::camera::{Promised, copy_tree};
use crate::disk::Disk;
use crate::link::Outbox;
use crate::machine::Machine;
use crate::oracle::{Judge, Violation};
use crate::rng::Rng;
use crate::store::{Note, Stores};
use crate::swarm::Swarm;
use crate::time::{MemberClock, Nanos};
use node::Bootstrap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tempfile::TempDir;
use wal::MemoryDir;

/// Images that wait to be looked at.
const WAITING_MAX: usize = 64;

/// Turns within which a member without peers must be done with its start.
const TURNS_MAX: u64 = 100;

/// A member as a power failure has left it.
pub struct Image {
    /// Which.
    pub member: u64,
    /// How it began.
    pub bootstrap: Bootstrap,
    /// When.
    pub now: Nanos,
    /// Its log.
    pub disk: MemoryDir,
    /// Its stores.
    pub stores: Arc<Stores>,
    /// Its directory.
    pub dir: Arc<TempDir>,
    /// What others count on.
    pub promised: Promised,
    /// Up to where it had applied the log, and told clients so.
    pub applied: u64,
    /// For messages.
    pub what: String,
    /// Dice.
    pub rng: Rng,
    /// Whether the directory could be copied.
    pub copied: Result<(), String>,
}

/// What the restarts showed.
#[derive(Default, Debug)]
pub struct Findings {
    /// Restarts.
    pub restarts: u64,
    /// Entries applied again.
    pub replayed: u64,
    /// States that members came to, to be compared with those of the run; and where one was first seen.
    states: BTreeMap<u64, (Note, String)>,
    violation: Option<Violation>,
}

impl Findings {
    /// Whether all restarts were right, and came to no state that the run itself did not come to.
    pub fn check(&self, judge: &Judge) -> Result<(), Violation> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        for (index, ((_, digest), what)) in &self.states {
            match judge.digest(*index) {
                Some(expected) if expected == *digest => {}
                other => {
                    return Err(format!(
                        "{what}: the state after entry {index} is {digest:x?}, in the run it was {other:x?}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, what: &str, seen: Seen) {
        self.replayed += seen.replayed;
        for note in seen.states {
            let known = self
                .states
                .entry(note.0)
                .or_insert_with(|| (note, what.to_owned()));
            if known.0 != note && self.violation.is_none() {
                self.violation = Some(format!(
                    "{what} and {} differ after entry {}: {:x?} and {:x?}",
                    known.1, note.0, note.1, known.0.1
                ));
            }
        }
    }
}

/// Threads that restart members.
pub struct Probes {
    images: SyncSender<Image>,
    workers: Vec<JoinHandle<()>>,
    findings: Arc<Mutex<Findings>>,
}

impl Probes {
    /// One thread for each processor.
    pub fn start(swarm: &Swarm) -> Probes {
        let (images, waiting) = sync_channel(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        let findings = Arc::new(Mutex::new(Findings::default()));
        let failed = Arc::new(AtomicBool::new(false));
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..count).map(|_| {
            let (swarm, waiting, findings) = (swarm.clone(), waiting.clone(), findings.clone());
            let failed = failed.clone();
            std::thread::spawn(move || work(&swarm, &waiting, &findings, &failed))
        });
        Probes {
            images,
            workers: workers.collect(),
            findings,
        }
    }

    /// Where images go.
    pub fn sender(&self) -> SyncSender<Image> {
        self.images.clone()
    }

    /// Waits for all that were handed over; all senders must be gone.
    pub fn finish(self) -> Findings {
        drop(self.images);
        for worker in self.workers {
            let _ = worker.join();
        }
        std::mem::take(&mut *self.findings.lock())
    }
}

fn work(swarm: &Swarm, waiting: &Mutex<Receiver<Image>>, findings: &Mutex<Findings>, failed: &AtomicBool) {
    loop {
        let Ok(image) = waiting.lock().recv() else {
            return;
        };
        if failed.load(Ordering::Relaxed) {
            continue;
        }
        let what = image.what.clone();
        let seen = catch_unwind(AssertUnwindSafe(|| image.restart(swarm)));
        let seen = seen.unwrap_or_else(|_| Err("a panic".to_owned()));
        let mut findings = findings.lock();
        findings.restarts += 1;
        match seen {
            Ok(seen) => findings.add(&what, seen),
            Err(violation) if findings.violation.is_none() => {
                findings.violation = Some(format!("{what}: {violation}"));
            }
            Err(_) => {}
        }
        failed.store(findings.violation.is_some(), Ordering::Relaxed);
    }
}

/// What one restart showed.
struct Seen {
    states: Vec<Note>,
    replayed: u64,
}

impl Image {
    fn restart(self, swarm: &Swarm) -> Result<Seen, Violation> {
        self.copied.clone()?;
        let dir = self
            .dir
            .path()
            .parent()
            .map(|root| tempfile::Builder::new().prefix("quorate-again-").tempdir_in(root));
        let Some(Ok(dir)) = dir else {
            return Err("no directory".to_owned());
        };
        copy_tree(self.dir.path(), dir.path()).map_err(|error| error.to_string())?;
        let mut machine = Machine {
            id: self.member,
            bootstrap: self.bootstrap.clone(),
            dir: dir.path().to_owned(),
            disk: Disk::holding(self.disk.clone()),
            stores: self.stores.clone(),
            clock: Arc::new(MemberClock::new(self.now, self.rng.clone())),
            ..Machine::blank()
        };
        machine
            .start(self.now, swarm, &Outbox::default())
            .map_err(|error| format!("it does not start: {error}"))?;
        self.look(&mut machine)
    }

    fn look(&self, machine: &mut Machine) -> Result<Seen, Violation> {
        let mut states: Vec<Note> = self.stores.state().into_iter().collect();
        let clock = machine.clock.clone();
        let process = machine.process.as_mut().ok_or("no process")?;
        let status = process.node.raft().map_err(|error| error.to_string())?.status();
        let (last, term) = (status.last_index, process.node.term().0);
        let began = process.applied().0;
        if last < self.applied {
            return Err(format!(
                "the log ends at {last}, but everything up to {} was applied and answered",
                self.applied
            ));
        }
        if term < self.promised.term {
            return Err(format!(
                "it is in term {term}, but has taken part in {}",
                self.promised.term
            ));
        }
        if term == self.promised.term && last < self.promised.index {
            return Err(format!(
                "the log ends at {last}, but it has promised to have {}",
                self.promised.index
            ));
        }
        let mut now = self.now;
        for turn in 0.. {
            let wants = process.pump(now, &clock, false);
            if wants.write {
                process.finish_write(now, &clock);
            }
            if wants.apply {
                process.finish_apply(now, &clock);
            }
            if let Some(outcome) = process.outcome() {
                if process.node.is_removed() {
                    break;
                }
                let reason = outcome.err().map_or_else(String::new, |error| error.to_string());
                return Err(format!("it stops again: {reason}"));
            }
            let status = process.node.raft().map_err(|error| error.to_string())?.status();
            let mut voters = status.peers.iter().filter(|peer| !peer.learner);
            let alone = voters.next().is_some_and(|peer| peer.id == self.member) && voters.next().is_none();
            // What is committed is known only when a quorum says so, which a member alone is, until it comes to the
            // entry that promotes another.
            let goal = if alone { last + 1 } else { status.committed };
            if process.applied().0 >= goal && !wants.write && !wants.apply {
                break;
            }
            if turn > TURNS_MAX {
                return Err(format!(
                    "it does not come to entry {goal}: {:?}",
                    process.node.raft().map(|raft| raft.status())
                ));
            }
            now += crate::time::MILLI * 10;
        }
        states.extend(self.stores.take_notes());
        // What it appends by itself after the restart is not in the run.
        states.retain(|(index, _)| *index <= last && *index > 0);
        Ok(Seen {
            replayed: process.applied().0.min(last).saturating_sub(began),
            states,
        })
    }
}
