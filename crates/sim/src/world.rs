//! One run: machines, network, clients and faults, driven by one queue of events in the order of true time.

mod ending;
mod letters;
mod processes;
mod queue;

use crate::clients::{Clients, Desk};
use crate::crashes::Camera;
use crate::link::{Outbox, Parcel};
use crate::machine::{Machine, bootstrap};
use crate::net::Net;
use crate::oracle::{Promises, Violation};
use crate::rng::Rng;
use crate::swarm::Swarm;
use crate::time::{MILLI, Nanos, SECOND};
use crate::totals::Totals;
use parking_lot::Mutex;
use queue::Queue;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Between two turns of a process to which nothing happens; timers of its tasks are late by as much.
const PUMP_EVERY: Nanos = 10 * MILLI;

/// What happens at a time. Small: queues move their events about.
pub(crate) enum Event {
    /// A process gets a turn.
    Pump(u64),
    /// A process gets done with writing its log.
    Written(u64, u64),
    /// A process gets done with applying.
    Applied(u64, u64),
    /// A letter arrives.
    Arrives(Box<Parcel>),
    /// Clients get a turn.
    Clients,
    /// The next fault.
    Fault,
    /// A machine is started.
    Start(u64),
    /// A pause, or a stall of a disk, is over.
    Resume(u64),
}

/// A run.
pub struct World {
    /// True time.
    pub now: Nanos,
    pub(crate) swarm: Swarm,
    pub(crate) rng: Rng,
    queue: Queue,
    /// Time of the next turn that is queued for each process, so that there is one only.
    pumps: BTreeMap<u64, Nanos>,
    pub(crate) machines: BTreeMap<u64, Machine>,
    pub(crate) net: Net,
    outbox: Outbox,
    /// Shared with the clients.
    pub desk: Arc<Mutex<Desk>>,
    clients: Option<Clients>,
    clients_at: Option<Nanos>,
    dir: tempfile::TempDir,
    pub(crate) calm: bool,
    /// Who led in each term.
    leaders: BTreeMap<u64, u64>,
    promises: Promises,
    /// Takes every moment of the disks, if there is one.
    camera: Option<Arc<Camera>>,
    /// Numbers of what happened.
    pub totals: Totals,
}

impl World {
    /// A new cluster, with its clients, as the seed has it.
    pub fn new(seed: u64, swarm: Option<Swarm>) -> std::io::Result<World> {
        let mut rng = Rng::new(seed);
        let chosen = Swarm::choose(&mut rng);
        let swarm = swarm.unwrap_or(chosen);
        let outbox = Outbox::default();
        let desk = Arc::new(Mutex::new(Desk::new(outbox.clone())));
        let mut world = World {
            now: 0,
            rng: rng.fork(1),
            queue: Queue::default(),
            pumps: BTreeMap::new(),
            machines: BTreeMap::new(),
            net: Net::default(),
            outbox,
            clients: None,
            clients_at: None,
            dir: scratch()?,
            calm: false,
            leaders: BTreeMap::new(),
            promises: Promises::default(),
            camera: None,
            totals: Totals {
                seeds: 1,
                ..Totals::default()
            },
            desk,
            swarm,
        };
        world.net.noisy = true;
        for id in 1..=world.swarm.members {
            let boot = bootstrap(id, world.swarm.members);
            world.add_machine(id, boot);
            let at = world.rng.below(500 * MILLI);
            world.at(at, Event::Start(id));
        }
        world.desk.lock().endpoints = world.machines.keys().copied().collect();
        let mut rng = rng.fork(2);
        let clients = Clients::start(world.desk.clone(), &world.swarm, &mut rng)?;
        world.clients = Some(clients);
        world.at(0, Event::Clients);
        let first = world.rng.within(SECOND, 4 * SECOND);
        world.at(first, Event::Fault);
        Ok(world)
    }

    /// Has `camera` watch all machines, before anything has happened.
    pub fn attach(&mut self, camera: Arc<Camera>) {
        for machine in self.machines.values() {
            camera.watch(machine);
        }
        self.camera = Some(camera);
    }

    /// The camera goes; the number of moments that it took.
    pub fn detach(&mut self) -> u64 {
        self.camera.take().map_or(0, |camera| camera.points())
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: &str) {
        self.desk.lock().tell(line);
    }

    pub(crate) fn at(&mut self, at: Nanos, event: Event) {
        self.queue.put(at, event);
    }

    /// Goes on until a time, or until something is found wrong.
    pub fn run_until(&mut self, until: Nanos) -> Result<(), Violation> {
        while let Some((at, event)) = self.queue.take_until(until) {
            self.now = at;
            self.desk.lock().now = at;
            self.totals.events += 1;
            if let Some(camera) = &self.camera {
                camera.set_time(at);
            }
            self.happen(event);
            if let Some(camera) = &self.camera {
                camera.turn();
            }
            self.ship();
            if let Some(violation) = self.desk.lock().violation.clone() {
                return Err(violation);
            }
        }
        self.now = self.now.max(until);
        self.desk.lock().now = self.now;
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Pump(id) => {
                if self.pumps.get(&id) == Some(&self.now) {
                    self.pumps.remove(&id);
                    self.pump(id);
                }
            }
            Event::Written(id, life) => self.written(id, life),
            Event::Applied(id, life) => self.applied(id, life),
            Event::Arrives(parcel) => self.arrives(parcel),
            Event::Clients => {
                if self.clients_at.is_none_or(|at| at <= self.now) {
                    self.clients_at = None;
                    self.pump_clients();
                }
            }
            Event::Fault => self.next_fault(),
            Event::Start(id) => self.start(id),
            Event::Resume(id) => {
                self.tell(&format!("m{id:x} goes on"));
                self.wake(id, self.now);
            }
        }
    }
}

/// A directory for files that must be real: in memory where there is such a place.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("quorate-sim-").tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir())
}
