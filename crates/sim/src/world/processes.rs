//! Processes: started, given turns, and ended.

use super::{Event, PUMP_EVERY, World};
use crate::link::{Letter, Parcel, Party};
use crate::machine::{Machine, disk_time};
use crate::oracle::Violation;
use crate::time::{MICRO, MILLI, MemberClock, Nanos, SECOND};
use node::Bootstrap;
use std::collections::BTreeMap;
use std::sync::Arc;

impl World {
    pub(crate) fn add_machine(&mut self, id: u64, bootstrap: Bootstrap) {
        let clock = Arc::new(MemberClock::new(self.now, self.rng.fork(id)));
        let dir = self.dir.path().join(format!("m{id:x}"));
        let _ = std::fs::create_dir_all(&dir);
        let machine = Machine {
            id,
            bootstrap,
            dir,
            clock,
            ..Machine::blank()
        };
        if let Some(camera) = &self.camera {
            camera.watch(&machine);
        }
        self.machines.insert(id, machine);
    }

    pub(super) fn start(&mut self, id: u64) {
        let Some(machine) = self.machines.get_mut(&id) else {
            return;
        };
        if machine.process.is_some() || machine.gone {
            return;
        }
        machine.paused_until = 0;
        let started = machine.start(self.now, &self.swarm, &self.outbox);
        let (damaged, may_fail) = (machine.damaged, machine.may_fail);
        match started {
            Ok(()) => {
                if let (Some(_), Some(process)) = (&self.camera, &mut machine.process) {
                    // Restarts stop after any entry: the state after each must be known.
                    process.parts.engine.set_group_entries_max(1);
                }
                let others: Vec<u64> = self
                    .machines
                    .keys()
                    .copied()
                    .filter(|other| *other != id)
                    .collect();
                self.net.reconnect(id, others.into_iter(), self.now);
                self.tell(&format!("m{id:x} starts"));
                self.wake(id, self.now);
            }
            Err(error) if damaged => self.tell(&format!("m{id:x} does not start, rightly: {error}")),
            Err(error) if may_fail => {
                self.tell(&format!("m{id:x} does not start yet: {error}"));
                let later = self.now + SECOND;
                self.at(later, Event::Start(id));
            }
            Err(error) => self.violate(format!("m{id:x} does not start: {error}")),
        }
    }

    pub(crate) fn violate(&mut self, violation: Violation) {
        self.desk.lock().check(Err(violation));
    }

    /// The process ends at once; the page cache goes with it if the power does.
    pub(crate) fn crash(&mut self, id: u64, power: bool) {
        let Some(machine) = self.machines.get_mut(&id) else {
            return;
        };
        let watches = machine
            .process
            .take()
            .map_or(Vec::new(), |process| process.watches());
        machine.life += 1;
        self.promises.ended(id);
        self.net.changed();
        machine.paused_until = 0;
        machine.freeze = None;
        machine.stalled_until = 0;
        machine.disk = match power {
            true => machine.disk.power_failed(&mut self.rng),
            false => machine.disk.killed(),
        };
        let kept = match self.rng.below(3) {
            0 => 0,
            _ => self.rng.below(70) as usize,
        };
        machine.stores.crash(kept);
        let notes = machine.stores.take_notes();
        for note in notes {
            let check = self.desk.lock().judge.note(id, note);
            self.desk.lock().check(check);
        }
        match power {
            true => self.totals.power += 1,
            false => self.totals.kills += 1,
        }
        self.hang_up(id, watches);
    }

    /// Clients notice sooner or later that nobody is at the other end.
    pub(super) fn hang_up(&mut self, id: u64, watches: Vec<u64>) {
        for number in watches {
            let at = self.now + self.rng.within(MILLI, SECOND);
            let parcel = Parcel {
                from: Party::Member(id),
                to: Party::Clients,
                letter: Letter::Watched(number, None),
            };
            self.at(at, Event::Arrives(Box::new(parcel)));
        }
    }

    /// Gives a process a turn at a time, or before.
    pub(super) fn wake(&mut self, id: u64, at: Nanos) {
        let queued = self.pumps.get(&id).is_some_and(|queued| *queued <= at);
        if !queued {
            self.pumps.insert(id, at);
            self.at(at, Event::Pump(id));
        }
    }

    pub(super) fn pump(&mut self, id: u64) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(&id) else {
            return;
        };
        if !machine.is_awake(now) {
            return;
        }
        let version = self.net.version();
        if machine
            .process
            .as_ref()
            .is_some_and(|process| process.connections_of() != Some(version))
        {
            let connected = self.net_peers(id);
            let machine = self.machines.get_mut(&id);
            if let Some(process) = machine.and_then(|machine| machine.process.as_mut()) {
                process.set_connected(version, connected);
            }
        }
        let machine = self
            .machines
            .get_mut(&id)
            .filter(|machine| machine.process.is_some());
        let Some(machine) = machine else { return };
        let Some(process) = machine.process.as_mut() else {
            return;
        };
        let leader_before = process.node.is_leader();
        let wants = process.pump(now, &machine.clock, machine.freeze.is_some());
        let leads = process.node.is_leader();
        let (life, term) = (machine.life, process.node.term());
        let slow = machine.disk_percent;
        let stalled = machine.stalled_until.saturating_sub(now);
        if wants.frozen {
            let time = machine.freeze.take().unwrap_or_default();
            machine.paused_until = now + time;
            self.tell(&format!(
                "m{id:x} is paused in the middle of its work for {} ms",
                time / MILLI
            ));
            self.at(now + time, Event::Resume(id));
            return;
        }
        if leads && !leader_before {
            self.totals.leaders += 1;
            self.tell(&format!("m{id:x} leads in term {term}"));
            let first = *self.leaders.entry(term.0).or_insert(id);
            if first != id {
                self.violate(format!("m{first:x} and m{id:x} lead in term {term}"));
            }
        }
        if wants.ended {
            self.ended(id);
            return;
        }
        if wants.write {
            let time = disk_time(&mut self.rng, slow) + stalled;
            self.at(now + time, Event::Written(id, life));
        }
        if wants.apply {
            let time = match self.rng.below(200) {
                0 => self.rng.within(MILLI, 60 * MILLI),
                _ => self.rng.within(10 * MICRO, 400 * MICRO),
            };
            self.at(now + time, Event::Applied(id, life));
        }
        self.wake(id, now + PUMP_EVERY);
    }

    pub(super) fn net_peers(&self, id: u64) -> BTreeMap<u64, Nanos> {
        let up = self
            .machines
            .values()
            .filter(|other| other.id != id && other.process.is_some());
        up.filter_map(|other| Some((other.id, self.net.connected_since(id, other.id)?)))
            .collect()
    }

    /// A process has stopped by itself.
    pub(super) fn ended(&mut self, id: u64) {
        let Some(machine) = self.machines.get_mut(&id) else {
            return;
        };
        let Some(process) = machine.process.as_mut() else {
            return;
        };
        let removed = process.node.is_removed();
        let outcome = process.outcome();
        let dark = machine.disk.is_dark();
        let excused = machine.may_fail;
        if removed {
            machine.gone = true;
            self.net.changed();
            let watches = machine
                .process
                .take()
                .map_or(Vec::new(), |process| process.watches());
            self.hang_up(id, watches);
            self.tell(&format!("m{id:x} was removed and has stopped"));
            self.desk.lock().endpoints.retain(|endpoint| *endpoint != id);
            return;
        }
        let reason = match outcome {
            Some(Err(error)) => error.to_string(),
            _ => "no reason".to_owned(),
        };
        if dark {
            self.tell(&format!("m{id:x} has lost power in the middle of a write"));
            self.crash(id, true);
        } else if excused {
            self.tell(&format!("m{id:x} has stopped, rightly: {reason}"));
            self.crash(id, false);
        } else {
            self.violate(format!("m{id:x} has stopped by itself: {reason}"));
            return;
        }
        let at = self.now + self.rng.within(100 * MILLI, 3 * SECOND);
        self.at(at, Event::Start(id));
    }

    pub(super) fn written(&mut self, id: u64, life: u64) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(&id).filter(|machine| machine.life == life) else {
            return;
        };
        let wait = machine.paused_until.max(machine.stalled_until);
        if wait > now {
            self.at(wait, Event::Written(id, life));
            return;
        }
        if let Some(process) = machine.process.as_mut() {
            process.finish_write(now, &machine.clock);
            self.wake(id, now);
        }
    }

    pub(super) fn applied(&mut self, id: u64, life: u64) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(&id).filter(|machine| machine.life == life) else {
            return;
        };
        if machine.paused_until > now {
            let until = machine.paused_until;
            self.at(until, Event::Applied(id, life));
            return;
        }
        let Some(process) = machine.process.as_mut() else {
            return;
        };
        let mut desk = self.desk.lock();
        for entry in process.parts.engine.applying() {
            let check = desk.judge.entry(id, entry, now);
            desk.check(check);
        }
        drop(desk);
        process.finish_apply(now, &machine.clock);
        let notes = machine.stores.take_notes();
        let mut desk = self.desk.lock();
        for note in notes {
            desk.story.count(note.1.log ^ note.1.rest ^ note.0);
            let check = desk.judge.note(id, note);
            desk.check(check);
        }
        drop(desk);
        self.wake(id, now);
    }
}
