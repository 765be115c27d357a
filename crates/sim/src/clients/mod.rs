//! Clients: tasks on a runtime of their own, whose clock is the true one.

mod admin;
mod alarms;
mod leases;
mod locks;
mod rights;
mod traffic;
mod watchers;

use crate::call::{Call, Done, User, is_definite};
use crate::link::{Letter, Outbox, Party};
use crate::oracle::{Judge, Ticket, Violation, Watched};
use crate::rng::Rng;
use crate::story::Story;
use crate::swarm::Swarm;
use crate::time::Nanos;
use model::Rejection;
use model::pb::etcdserverpb as pb;
use node::Error;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

/// What clients and the world share.
pub struct Desk {
    /// True time.
    pub now: Nanos,
    /// The judge.
    pub judge: Judge,
    /// The story.
    pub story: Story,
    /// Where calls go.
    pub outbox: Outbox,
    /// Members that clients know of.
    pub endpoints: Vec<u64>,
    /// What clients want of the world.
    pub orders: Vec<Order>,
    /// Clients are to come to an end.
    pub stop: bool,
    /// Faults are over.
    pub healed: bool,
    /// The first thing found wrong.
    pub violation: Option<Violation>,
    /// Watches, by number.
    pub watches: BTreeMap<u64, Watched>,
    /// Times that a lock was taken.
    pub locks: u64,
    /// Events delivered to watchers.
    pub events: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Readers of watches, and the members that serve them.
    streams: BTreeMap<u64, (u64, mpsc::UnboundedSender<pb::WatchResponse>)>,
    next: u64,
}

struct Waiting {
    ticket: Ticket,
    answer: oneshot::Sender<node::Result<Done>>,
}

/// What clients want of the world.
#[derive(Clone, Debug)]
pub enum Order {
    /// A machine for a member that was added; with all members as the cluster named them.
    Start(u64, Vec<pb::Member>),
    /// The member was removed: its machine may go.
    Gone(u64),
}

/// How a call ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// Carried out.
    Done(Done),
    /// Refused, certainly.
    Refused(Rejection),
    /// Perhaps carried out.
    Unknown,
}

impl Desk {
    /// An empty desk.
    pub fn new(outbox: Outbox) -> Desk {
        Desk {
            now: 0,
            judge: Judge::default(),
            story: Story::default(),
            outbox,
            endpoints: Vec::new(),
            orders: Vec::new(),
            stop: false,
            healed: false,
            violation: None,
            watches: BTreeMap::new(),
            locks: 0,
            events: 0,
            waiting: BTreeMap::new(),
            streams: BTreeMap::new(),
            next: 0,
        }
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: &str) {
        self.story.tell(self.now, line);
    }

    /// Notes what a check has found.
    pub fn check(&mut self, check: Result<(), Violation>) {
        if let Err(violation) = check
            && self.violation.is_none()
        {
            self.tell(&format!("VIOLATION {violation}"));
            self.violation = Some(violation);
        }
    }

    /// An answer has arrived.
    pub fn reply(&mut self, number: u64, answer: node::Result<Done>) {
        let Some(Waiting { ticket, answer: to }) = self.waiting.remove(&number) else {
            return;
        };
        let check = self.judge.end(&ticket, &answer, self.now);
        self.tell(&format!("#{number} is answered {}", brief(&answer)));
        self.check(check);
        let _ = to.send(answer);
    }

    /// A response on a watch has arrived.
    pub fn watched(&mut self, number: u64, response: Option<pb::WatchResponse>) {
        let Some(watch) = self.watches.get_mut(&number) else {
            return;
        };
        let Some(response) = response else {
            self.streams.remove(&number);
            return;
        };
        let before = watch.events;
        let check = watch.receive(&response, &self.judge.space);
        self.events += watch.events - before;
        if !response.events.is_empty() {
            let last = watch.next - 1;
            self.judge.seen(last);
        }
        if let Err(violation) = check {
            let violation =
                format!("watch {number}: {violation}\n  watcher: {watch:?}\n  response: {response:?}");
            self.check(Err(violation));
        }
        if let Some((_, stream)) = self.streams.get(&number) {
            let _ = stream.send(response);
        }
    }
}

/// An answer in few words.
fn brief(answer: &node::Result<Done>) -> String {
    match answer {
        Ok(Done::Range(response)) => {
            let revision = response.header.as_ref().map_or(0, |header| header.revision);
            format!("{} of {} keys at {revision}", response.kvs.len(), response.count)
        }
        Ok(Done::Put(response)) => {
            format!(
                "written at {}",
                response.header.as_ref().map_or(0, |header| header.revision)
            )
        }
        Ok(Done::Delete(response)) => format!(
            "{} deleted at {}",
            response.deleted,
            response.header.as_ref().map_or(0, |header| header.revision)
        ),
        Ok(Done::Txn(response)) => format!(
            "{} at {}",
            response.succeeded,
            response.header.as_ref().map_or(0, |header| header.revision)
        ),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error}"),
    }
}

/// One client's way to the cluster.
pub struct Client {
    /// Who it is.
    pub name: String,
    /// Its dice.
    pub rng: Rng,
    desk: Arc<Mutex<Desk>>,
    /// The member it always asks, if it does.
    pinned: Option<usize>,
    identity: Identity,
}

/// On whose behalf a client asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Identity {
    /// Nobody's: there are no users.
    Nobody,
    /// Always root's.
    Root,
    /// Anybody's, and nobody's.
    Many,
}

impl Client {
    /// Asks a member, chosen by chance or always the same, and waits some time for the answer.
    pub async fn call(&mut self, call: Call) -> Outcome {
        let to = {
            let desk = self.desk.lock();
            match self.pinned {
                Some(at) if self.rng.percent(90) => desk.endpoints[at % desk.endpoints.len()],
                _ => *self.rng.pick(&desk.endpoints),
            }
        };
        let outcome = self.call_member(to, call.clone()).await;
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::ClientRetries) && outcome == Outcome::Unknown {
            let to = *self.rng.pick(&self.desk.lock().endpoints.clone());
            return self.call_member(to, call).await;
        }
        outcome
    }

    /// Asks one member.
    pub async fn call_member(&mut self, to: u64, call: Call) -> Outcome {
        let patience = Duration::from_millis(self.rng.within(300, 8000));
        let user = self.user();
        let answer = {
            let mut desk = self.desk.lock();
            desk.next += 1;
            let number = desk.next;
            let now = desk.now;
            let whom = match self.identity {
                Identity::Many => format!(" for {:?}", user.name),
                _ => String::new(),
            };
            desk.tell(&format!(
                "#{number} {} asks m{to:x}{whom}: {}",
                self.name,
                show_call(&call)
            ));
            let (sender, answer) = oneshot::channel();
            let ticket = desk.judge.begin(call.clone(), user.clone(), now);
            desk.waiting.insert(
                number,
                Waiting {
                    ticket,
                    answer: sender,
                },
            );
            let letter = Letter::Call(number, call, user);
            desk.outbox.put(Party::Clients, Party::Member(to), letter);
            answer
        };
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Ok(done))) => Outcome::Done(done),
            Ok(Ok(Err(error))) => match error {
                Error::Rejected(rejection) if is_definite(&error) => Outcome::Refused(rejection),
                _ => Outcome::Unknown,
            },
            _ => {
                self.desk.lock().judge.gave_up();
                Outcome::Unknown
            }
        }
    }

    /// Whom it asks for this time: root, one of the others, somebody unknown, nobody; mostly with a token of the
    /// moment, sometimes with an older one.
    fn user(&mut self) -> User {
        match self.identity {
            Identity::Nobody => User::default(),
            Identity::Root => User::root(),
            Identity::Many => {
                let mut user = match self.rng.below(20) {
                    0..6 => User::root(),
                    6..18 => User::named(&format!("u{}", self.rng.below(rights::USERS))),
                    18 => User::named("stranger"),
                    _ => return User::default(),
                };
                if self.rng.percent(15) {
                    let newest = self.desk.lock().judge.permits.current().revision;
                    user.revision = newest.saturating_sub(self.rng.below(3)).max(1);
                }
                user
            }
        }
    }

    /// Waits.
    pub async fn sleep(&mut self, low_ms: u64, high_ms: u64) {
        let time = self.rng.within(low_ms, high_ms.max(low_ms));
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    /// Whether it is time to end.
    pub fn is_over(&self) -> bool {
        self.desk.lock().stop
    }

    /// Members that lack space.
    pub fn alarms(&self) -> Vec<u64> {
        self.desk.lock().judge.permits.lacking().collect()
    }

    /// Whether faults are over.
    pub fn is_healed(&self) -> bool {
        self.desk.lock().healed
    }

    /// True time.
    pub fn now(&self) -> Nanos {
        self.desk.lock().now
    }

    /// A value that nobody has written before.
    pub fn fresh_value(&mut self) -> bytes::Bytes {
        let mut desk = self.desk.lock();
        desk.next += 1;
        format!("{}.{}", self.name, desk.next).into()
    }
}

fn show_call(call: &Call) -> String {
    match call {
        Call::Put(put) if put.lease != 0 => {
            format!("put {:?} = {:?} on lease {:x}", put.key, put.value, put.lease)
        }
        Call::Put(put) => format!("put {:?} = {:?}", put.key, put.value),
        Call::Range(range) => format!(
            "range {:?}..{:?} at {}{}",
            range.key,
            range.range_end,
            range.revision,
            if range.serializable { " serializable" } else { "" }
        ),
        Call::Delete(delete) => format!("delete {:?}..{:?}", delete.key, delete.range_end),
        other => {
            let text = format!("{other:?}");
            text.chars().take(160).collect()
        }
    }
}

/// All clients of a run.
pub struct Clients {
    runtime: Runtime,
    at: Nanos,
    desk: Arc<Mutex<Desk>>,
    identity: Identity,
}

/// On whose behalf clients ask that must not be refused.
fn identity(swarm: &Swarm) -> Identity {
    match swarm.users {
        true => Identity::Root,
        false => Identity::Nobody,
    }
}

impl Clients {
    /// Starts them.
    pub fn start(desk: Arc<Mutex<Desk>>, swarm: &Swarm, rng: &mut Rng) -> std::io::Result<Clients> {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()?;
        let mut number = 0;
        let identity = identity(swarm);
        let mut client = |name: &str| {
            number += 1;
            Client {
                name: format!("{name}{number}"),
                rng: rng.fork(number),
                desk: desk.clone(),
                pinned: (number % 3 != 0).then_some(number as usize),
                identity,
            }
        };
        let many = |client: Client| match swarm.users {
            true => Client {
                identity: Identity::Many,
                ..client
            },
            false => client,
        };
        for _ in 0..swarm.clients {
            runtime.spawn(traffic::run(many(client("c")), swarm.clone()));
        }
        if swarm.users {
            runtime.spawn(rights::run(client("r"), swarm.clone()));
        }
        if swarm.alarms {
            runtime.spawn(alarms::run(client("n")));
        }
        for _ in 0..swarm.watchers {
            runtime.spawn(watchers::run(client("w"), swarm.clone()));
        }
        for _ in 0..swarm.leasers {
            runtime.spawn(leases::run(many(client("l"))));
        }
        for _ in 0..swarm.lockers {
            runtime.spawn(locks::run(client("k")));
        }
        if swarm.compactor {
            runtime.spawn(traffic::compact(client("z")));
        }
        if swarm.faults.members || swarm.faults.transfer {
            runtime.spawn(admin::run(client("a"), swarm.clone()));
        }
        Ok(Clients {
            runtime,
            at: 0,
            desk,
            identity,
        })
    }

    /// Starts the client that must get a write through once faults are over; answers how long that took.
    pub fn prove_life(&self, rng: Rng) -> oneshot::Receiver<Nanos> {
        let (sender, receiver) = oneshot::channel();
        let client = Client {
            name: "life".to_owned(),
            rng,
            desk: self.desk.clone(),
            pinned: None,
            identity: self.identity,
        };
        self.runtime.spawn(traffic::prove_life(client, sender));
        receiver
    }

    /// Lets everything happen that is due.
    pub fn pump(&mut self, now: Nanos) {
        let ahead = Duration::from_nanos(now.saturating_sub(self.at));
        self.at = now;
        self.runtime.block_on(async {
            if !ahead.is_zero() {
                tokio::time::advance(ahead).await;
            }
            tokio::task::yield_now().await;
        });
    }
}

impl Desk {
    /// The member that serves a watch; `None` for a watch without a reader.
    pub fn serving(&self, number: u64) -> Option<u64> {
        self.streams.get(&number).map(|(member, _)| *member)
    }
}
