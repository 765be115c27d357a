//! A run from its beginning to its end: faults, healing, proof of life, and the comparison with the model.

use super::{Event, World};
use crate::machine::Machine;
use crate::oracle::Violation;
use crate::time::{MILLI, SECOND};
use crate::totals::Totals;
use model::MemberId;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl World {
    /// Ends all faults, and has everything that is down started.
    pub fn heal(&mut self) {
        self.tell("all faults end");
        self.calm = true;
        self.net.heal(self.now);
        self.desk.lock().healed = true;
        self.outbox.calm.store(true, Ordering::Relaxed);
        self.hurry();
        let ids: Vec<u64> = self.machines.keys().copied().collect();
        for id in ids {
            let now = self.now;
            if let Some(machine) = self.machines.get_mut(&id) {
                machine.paused_until = 0;
                machine.freeze = None;
                machine.stalled_until = 0;
                machine.disk_percent = 100;
                machine.disk.set_faults(|faults| {
                    faults.full = false;
                    faults.fail_next = false;
                    faults.power_fails_after = None;
                });
                machine.clock.set_rate(now, 1_000_000);
            }
            self.start(id);
            self.wake(id, now);
        }
    }

    /// What is late because of faults happens soon: letters on slow ways, writes on disks that did not answer.
    fn hurry(&mut self) {
        let soon = self.now + 10 * MILLI;
        self.net.hurry(soon);
        self.queue.hurry(soon, |event| {
            matches!(event, Event::Written(..) | Event::Applied(..) | Event::Arrives(_))
        });
    }

    /// Runs the whole story: faults, healing, proof of life, and the comparison of everybody with the model.
    pub fn run(&mut self) -> Result<(), Violation> {
        let swarm = self.swarm.clone();
        self.tell(&format!("{swarm:?}"));
        self.run_until(swarm.faults_for)?;
        self.heal();
        let mut alive = match &self.clients {
            Some(clients) => clients.prove_life(self.rng.fork(3)),
            None => return Ok(()),
        };
        let limit = self.now + 10 * swarm.election;
        loop {
            self.run_until(self.now + 20 * MILLI)?;
            if alive.try_recv().is_ok() {
                break;
            }
            if self.now > limit {
                let states = self.states();
                return Err(format!(
                    "no write got through within ten election timeouts after all faults had ended\n{states}"
                ));
            }
        }
        // Long enough for followers to catch up, and for leases to run out.
        self.run_until(self.now + 3 * SECOND)?;
        self.desk.lock().stop = true;
        self.run_until(self.now + 12 * SECOND)?;
        self.compare()
    }

    /// Every member by itself, for people.
    pub fn states(&self) -> String {
        let state = |machine: &Machine| match &machine.process {
            None => format!(
                "m{:x}: down, damaged {}, gone {}",
                machine.id, machine.damaged, machine.gone
            ),
            Some(process) => {
                let status = process.node.raft().map(|raft| format!("{:?}", raft.status()));
                format!("m{:x}: {}", machine.id, status.unwrap_or_default())
            }
        };
        let lines: Vec<String> = self.machines.values().map(state).collect();
        lines.join("\n")
    }

    /// All members that run must have the same state, the model's.
    pub(super) fn compare(&mut self) -> Result<(), Violation> {
        use model::pb::etcdserverpb as pb;
        use mvcc::Read;
        let desk = self.desk.lock();
        let judge = &desk.judge;
        let all = pb::RangeRequest {
            key: b"\0".as_slice().into(),
            range_end: b"\0".as_slice().into(),
            ..Default::default()
        };
        let expected = judge.space.range(&all, judge.space.revision);
        let mut hashes = BTreeSet::new();
        let members = self
            .machines
            .values()
            .filter_map(|machine| Some((machine, machine.process.as_ref()?)));
        let mut voters = 0;
        let newest = self
            .machines
            .values()
            .filter_map(|machine| machine.process.as_ref());
        let newest = newest.max_by_key(|process| process.applied());
        let Some(truth) = newest.map(|process| process.node.cluster()) else {
            return Err("nobody is left".to_owned());
        };
        for (machine, process) in members {
            let id = machine.id;
            // Who was removed while nobody could tell it may not know, and stays where it was.
            if truth.member(MemberId(id)).is_none() {
                continue;
            }
            voters += 1;
            if process.applied().0 != judge.applied() {
                return Err(format!(
                    "m{id:x} has applied up to {} and not to {}\n{}",
                    process.applied(),
                    judge.applied(),
                    self.states()
                ));
            }
            let view = process.node.view();
            let mut found = view.range(&all).map_err(|error| format!("m{id:x}: {error}"))?;
            let revision = found.header.take().map_or(0, |header| header.revision);
            if revision != judge.space.revision || found != expected {
                return Err(format!(
                    "m{id:x} holds at {revision} {found:?}, but at {} it ought to be {expected:?}",
                    judge.space.revision
                ));
            }
            let leases: BTreeSet<i64> = {
                let lessor = process.node.lessor().lock();
                lessor
                    .leases(std::time::Duration::ZERO)
                    .into_iter()
                    .map(|id| id.0)
                    .collect()
            };
            let right: BTreeSet<i64> = judge.space.leases.keys().copied().collect();
            if leases != right {
                return Err(format!(
                    "m{id:x} has the leases {leases:x?}, but there are {right:x?}"
                ));
            }
            hashes.insert(id);
        }
        if voters == 0 {
            return Err("nobody is left".to_owned());
        }
        let existing: BTreeSet<i64> = judge.space.leases.keys().copied().collect();
        let patience = 2 * self.swarm.election + 8 * SECOND;
        let overdue = judge.expiry.overdue(self.now, patience, &existing);
        if !overdue.is_empty() {
            return Err(format!("leases that ought to be over exist: {overdue:x?}"));
        }
        for (number, watch) in &desk.watches {
            let server = desk.serving(*number);
            let served = server.is_some_and(|member| truth.member(MemberId(member)).is_some());
            let waits = watch.next > 0 && watch.compacted.is_none() && served;
            if waits
                && let Some((revision, event)) = watch.expected(judge.space.revision, &judge.space).first()
            {
                return Err(format!(
                    "watch {number} was not told of {:?} at {revision}: {watch:?}",
                    event.key
                ));
            }
        }
        Ok(())
    }

    /// What happened, in numbers.
    pub fn totals(&self) -> Totals {
        let desk = self.desk.lock();
        Totals {
            time: self.now,
            entries: desk.judge.applied(),
            answered: desk.judge.answered,
            denied: desk.judge.denied,
            unknown: desk.judge.unknown,
            watch_events: desk.events,
            expired: desk.judge.expiry.expired,
            renewed: desk.judge.expiry.renewed,
            locks: desk.locks,
            forbidden: desk.judge.permits.forbidden,
            ..self.totals
        }
    }
}
