//! Which fault comes next, to whom, and for how long.

use crate::rng::Rng;
use crate::time::{MILLI, Nanos, SECOND};
use crate::world::{Event, World};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Kill,
    Power,
    PowerDuringWrite,
    Blackout,
    Pause,
    Partition,
    OneWay,
    Isolate,
    Heal,
    Stall,
    Slow,
    Eio,
    Full,
    Flip,
    Clock,
}

impl World {
    pub(crate) fn next_fault(&mut self) {
        if self.calm {
            return;
        }
        let mean = self.swarm.fault_every;
        let next = self.now + self.rng.within(mean / 4, mean * 2);
        self.at(next, Event::Fault);
        let mut kinds = Vec::new();
        let on = self.swarm.faults;
        let all = [
            (on.kill, Fault::Kill),
            (on.power, Fault::Power),
            (on.power, Fault::PowerDuringWrite),
            (on.blackout, Fault::Blackout),
            (on.pause, Fault::Pause),
            (on.partition, Fault::Partition),
            (on.one_way, Fault::OneWay),
            (on.partition || on.one_way, Fault::Isolate),
            (on.stall, Fault::Stall),
            (on.stall, Fault::Slow),
            (on.eio, Fault::Eio),
            (on.full, Fault::Full),
            (on.flip, Fault::Flip),
            (on.clocks, Fault::Clock),
        ];
        kinds.extend(all.iter().filter(|(on, _)| *on).map(|(_, fault)| *fault));
        if self.net.is_cut() {
            kinds.extend([Fault::Heal, Fault::Heal, Fault::Heal]);
        }
        if kinds.is_empty() {
            return;
        }
        let fault = *self.rng.pick(&kinds);
        self.strike(fault);
    }

    /// A machine whose process runs; often the leader's.
    fn victim(&mut self) -> Option<u64> {
        let up = self
            .machines
            .values()
            .filter_map(|machine| Some((machine.id, machine.process.as_ref()?)));
        let up: Vec<(u64, bool)> = up.map(|(id, process)| (id, process.node.is_leader())).collect();
        if up.is_empty() {
            return None;
        }
        let leader = up.iter().find(|(_, leads)| *leads);
        match leader {
            Some((id, _)) if self.rng.percent(50) => Some(*id),
            _ => Some(self.rng.pick(&up).0),
        }
    }

    fn strike(&mut self, fault: Fault) {
        if fault == Fault::Heal {
            self.tell("the network is mended");
            self.net.heal(self.now);
            return;
        }
        if fault == Fault::Blackout {
            self.tell("the power fails everywhere");
            let ids: Vec<u64> = self.machines.keys().copied().collect();
            for id in ids {
                if self
                    .machines
                    .get(&id)
                    .is_some_and(|machine| machine.process.is_some())
                {
                    self.crash(id, true);
                    self.restart(id);
                }
            }
            return;
        }
        let Some(id) = self.victim() else {
            return;
        };
        match fault {
            Fault::Kill | Fault::Power => {
                let power = fault == Fault::Power;
                self.tell(&format!(
                    "m{id:x} {}",
                    if power { "loses power" } else { "is killed" }
                ));
                self.crash(id, power);
                self.restart(id);
            }
            Fault::PowerDuringWrite => {
                let operations = self.rng.below(30);
                self.tell(&format!(
                    "m{id:x} will lose power {operations} disk operations from now"
                ));
                if let Some(machine) = self.machines.get_mut(&id) {
                    machine
                        .disk
                        .set_faults(|faults| faults.power_fails_after = Some(operations));
                }
            }
            Fault::Pause => {
                self.totals.pauses += 1;
                let time = duration(&mut self.rng);
                if self.rng.percent(50) {
                    if let Some(machine) = self.machines.get_mut(&id) {
                        machine.freeze = Some(time);
                    }
                    return;
                }
                self.tell(&format!("m{id:x} is paused for {} ms", time / MILLI));
                if let Some(machine) = self.machines.get_mut(&id) {
                    machine.paused_until = self.now + time;
                }
                self.at(self.now + time, Event::Resume(id));
            }
            Fault::Stall => {
                self.totals.pauses += 1;
                let time = duration(&mut self.rng);
                self.tell(&format!(
                    "the disk of m{id:x} does not answer for {} ms",
                    time / MILLI
                ));
                if let Some(machine) = self.machines.get_mut(&id) {
                    machine.stalled_until = self.now + time;
                }
            }
            Fault::Slow => {
                let percent = *self.rng.pick(&[50, 100, 1000, 5000]);
                self.tell(&format!("the disk of m{id:x} now takes {percent} % of the time"));
                if let Some(machine) = self.machines.get_mut(&id) {
                    machine.disk_percent = percent;
                }
            }
            Fault::Partition | Fault::OneWay | Fault::Isolate => self.partition(fault, id),
            Fault::Eio | Fault::Full => {
                self.totals.disk_faults += 1;
                let full = fault == Fault::Full;
                self.tell(&format!(
                    "the disk of m{id:x} {}",
                    if full { "is full" } else { "fails once" }
                ));
                if let Some(machine) = self.machines.get_mut(&id) {
                    machine.may_fail = true;
                    machine.disk.set_faults(|faults| match full {
                        true => faults.full = true,
                        false => faults.fail_next = true,
                    });
                }
            }
            Fault::Flip => self.flip(id),
            Fault::Clock => {
                if self.rng.percent(50) {
                    let millis = self.rng.within(0, 2 * 86_400_000) as i64 - 86_400_000;
                    self.tell(&format!("the time of day of m{id:x} jumps by {millis} ms"));
                    if let Some(machine) = self.machines.get_mut(&id) {
                        machine.clock.jump(millis);
                    }
                } else {
                    let ppm = *self
                        .rng
                        .pick(&[500_000, 900_000, 1_000_000, 1_100_000, 2_000_000]);
                    self.tell(&format!("the clock of m{id:x} makes {ppm} of a million"));
                    self.desk.lock().judge.expiry.clock(ppm);
                    if let Some(machine) = self.machines.get_mut(&id) {
                        machine.clock.set_rate(self.now, ppm);
                    }
                }
            }
            Fault::Heal | Fault::Blackout => {}
        }
    }

    pub(crate) fn restart(&mut self, id: u64) {
        let time = match self.rng.below(3) {
            0 => self.rng.within(MILLI, 100 * MILLI),
            1 => self.rng.within(100 * MILLI, 2 * SECOND),
            _ => self.rng.within(SECOND, 8 * SECOND),
        };
        self.at(self.now + time, Event::Start(id));
    }

    fn partition(&mut self, fault: Fault, id: u64) {
        self.totals.partitions += 1;
        let ids: Vec<u64> = self.machines.keys().copied().collect();
        let island: Vec<u64> = match fault {
            Fault::Isolate => vec![id],
            _ => ids.iter().copied().filter(|_| self.rng.percent(50)).collect(),
        };
        let one_way = fault == Fault::OneWay || (fault == Fault::Isolate && self.rng.percent(30));
        let outward = self.rng.percent(50);
        let names: Vec<String> = island.iter().map(|id| format!("m{id:x}")).collect();
        self.tell(&format!(
            "{} cannot {} the others",
            names.join(" "),
            match (one_way, outward) {
                (false, _) => "talk with",
                (true, true) => "send to",
                (true, false) => "hear",
            }
        ));
        for one in &island {
            for other in ids.iter().filter(|id| !island.contains(id)) {
                if !one_way || outward {
                    self.net.cut(*one, *other);
                }
                if !one_way || !outward {
                    self.net.cut(*other, *one);
                }
            }
        }
        if self.rng.percent(20) {
            self.net.hide(id);
        }
    }

    /// A bit flips in what one member has on its disk, while it is down. Once in a run, and only where the others are
    /// a majority for sure.
    fn flip(&mut self, id: u64) {
        let some = self.machines.values().any(|machine| machine.damaged);
        if some || self.swarm.members < 3 || self.swarm.faults.members {
            return;
        }
        self.crash(id, false);
        let Some(machine) = self.machines.get_mut(&id) else {
            return;
        };
        if let Some(place) = machine.disk.flip_bit(&mut self.rng) {
            machine.damaged = true;
            self.totals.flips += 1;
            self.tell(&format!("m{id:x} is killed, and a bit flips in its log: {place}"));
        }
        self.restart(id);
    }
}

/// Shorter or longer than an election.
fn duration(rng: &mut Rng) -> Nanos {
    match rng.below(3) {
        0 => rng.within(10 * MILLI, 300 * MILLI),
        1 => rng.within(300 * MILLI, 3 * SECOND),
        _ => rng.within(3 * SECOND, 10 * SECOND),
    }
}
