//! Letters on their way, and the clients at the end of it.

use super::{Event, World};
use crate::clients::Order;
use crate::link::{Letter, Parcel, Party};
use crate::net::Fate;
use crate::swarm::CLUSTER;
use crate::time::MILLI;
use model::MemberId;
use node::Bootstrap;

impl World {
    /// Puts everything that was sent on its way.
    pub(super) fn ship(&mut self) {
        let mut voters = Vec::new();
        for parcel in self.outbox.take() {
            if let Some(camera) = &self.camera {
                camera.sent(&parcel);
            }
            if let (Party::Member(from), Party::Member(to), Letter::Raft(messages)) =
                (parcel.from, parcel.to, &parcel.letter)
            {
                match self.promises.sent(from, to, messages) {
                    Ok(true) => voters.push(from),
                    Ok(false) => {}
                    Err(violation) => self.violate(violation),
                }
            }
            match self.net.send(&parcel, self.now, &self.swarm, &mut self.rng) {
                Fate::Arrives(at, again) => {
                    if let (Some(again), Letter::Raft(messages)) = (again, &parcel.letter) {
                        let twin = Parcel {
                            from: parcel.from,
                            to: parcel.to,
                            letter: Letter::Raft(messages.clone()),
                        };
                        self.at(again, Event::Arrives(Box::new(twin)));
                    }
                    self.at(at, Event::Arrives(Box::new(parcel)));
                }
                Fate::Lost => self.lost(parcel),
            }
        }
        for voter in voters {
            self.voted(voter);
        }
    }

    /// A vote is on its way: the moment to have its giver forget it.
    fn voted(&mut self, id: u64) {
        if !self.swarm.faults.voters || self.calm || !self.rng.percent(30) {
            return;
        }
        let power = self.rng.percent(50);
        self.tell(&format!(
            "m{id:x} {} right after its vote",
            if power { "loses power" } else { "is killed" }
        ));
        self.crash(id, power);
        let soon = self.now + self.rng.within(MILLI, 50 * MILLI);
        self.at(soon, Event::Start(id));
    }

    /// Nobody will get this; whoever sent it may notice.
    pub(super) fn lost(&mut self, parcel: Parcel) {
        let broken = || node::Error::Fault("the connection broke".to_owned());
        let notices = self.rng.percent(60);
        let soon = self.now + self.rng.within(MILLI, 300 * MILLI);
        match (parcel.from, parcel.to, parcel.letter) {
            (Party::Member(from), Party::Member(to), Letter::Raft(_)) if notices => {
                if let Some(process) = self.machines.get_mut(&from).and_then(|m| m.process.as_mut()) {
                    process.unreachable(to);
                }
            }
            (from, Party::Member(to), Letter::Snapshot(..)) => {
                let letter = Letter::SnapshotReport(to, false);
                let (from, to) = (Party::Member(to), from);
                self.at(soon, Event::Arrives(Box::new(Parcel { from, to, letter })));
            }
            (from, to, Letter::Ask(number, _)) if notices => {
                let letter = Letter::Told(number, Err(broken()));
                let (from, to) = (to, from);
                self.at(soon, Event::Arrives(Box::new(Parcel { from, to, letter })));
            }
            (from, to, Letter::Call(number, ..)) if notices => {
                let letter = Letter::Reply(number, Err(broken()));
                let (from, to) = (to, from);
                self.at(soon, Event::Arrives(Box::new(Parcel { from, to, letter })));
            }
            (from, Party::Member(to), Letter::Watch(number, ..)) => {
                let letter = Letter::Watched(number, None);
                let (from, to) = (Party::Member(to), from);
                self.at(soon, Event::Arrives(Box::new(Parcel { from, to, letter })));
            }
            // A stream that has lost something is over.
            (_, Party::Clients, Letter::Watched(number, _)) => self.desk.lock().watched(number, None),
            _ => {}
        }
    }

    pub(super) fn arrives(&mut self, parcel: Box<Parcel>) {
        match parcel.to {
            Party::Clients => {
                let mut desk = self.desk.lock();
                match parcel.letter {
                    Letter::Reply(number, answer) => desk.reply(number, answer),
                    Letter::Watched(number, response) => {
                        let events = response.as_ref().map_or(0, |response| response.events.len());
                        desk.story.count(number << 8 | events as u64);
                        desk.watched(number, response);
                    }
                    _ => {}
                }
                drop(desk);
                self.pump_clients();
            }
            Party::Member(id) => self.arrives_at(id, parcel),
        }
    }

    pub(super) fn arrives_at(&mut self, id: u64, parcel: Box<Parcel>) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(&id) else {
            return;
        };
        if machine.process.is_some() && machine.paused_until > now {
            // Waits in the socket.
            let until = machine.paused_until;
            self.at(until, Event::Arrives(parcel));
            return;
        }
        let Some(process) = machine.process.as_mut() else {
            self.lost(*parcel);
            return;
        };
        if let Letter::Raft(messages) = &parcel.letter {
            let bytes: usize = messages.iter().map(|message| message.len()).sum();
            self.desk.lock().story.count(now ^ (id << 32) ^ bytes as u64);
        }
        if matches!(parcel.letter, Letter::Snapshot(..)) {
            self.totals.snapshots += 1;
            let mut desk = self.desk.lock();
            desk.tell(&format!("m{id:x} receives a snapshot"));
        }
        process.receive(id, parcel.from, parcel.letter, &machine.dir, &self.outbox);
        self.wake(id, now);
    }

    pub(super) fn pump_clients(&mut self) {
        if let Some(clients) = &mut self.clients {
            clients.pump(self.now);
        }
        let orders = std::mem::take(&mut self.desk.lock().orders);
        for order in orders {
            self.carry_out(order);
        }
        if self.clients_at.is_none() {
            let next = self.now + 5 * MILLI;
            self.clients_at = Some(next);
            self.at(next, Event::Clients);
        }
    }

    pub(super) fn carry_out(&mut self, order: Order) {
        self.totals.members += 1;
        match order {
            Order::Start(id, members) => {
                self.tell(&format!("a machine for m{id:x} is set up"));
                let boot = Bootstrap::Join {
                    member: MemberId(id),
                    cluster: CLUSTER,
                    members,
                };
                self.add_machine(id, boot);
                self.desk.lock().endpoints.push(id);
                self.at(self.now + 100 * MILLI, Event::Start(id));
            }
            Order::Gone(id) => self.tell(&format!("m{id:x} has been removed")),
        }
    }
}
