//! The network between members and clients: who reaches whom, how late, and what gets lost on the way.

use crate::link::{Letter, Parcel, Party};
use crate::rng::Rng;
use crate::swarm::Swarm;
use crate::time::{MICRO, MILLI, Nanos, SECOND};
use std::collections::{BTreeMap, BTreeSet};

/// State of the network.
#[derive(Default)]
pub struct Net {
    /// Pairs (from, to) of members between which nothing passes.
    cut: BTreeSet<(u64, u64)>,
    /// Members that clients do not reach.
    unreachable: BTreeSet<u64>,
    /// When each pair was last able to talk.
    since: BTreeMap<(u64, u64), Nanos>,
    /// Letters that have their order kept arrive after those sent before them.
    last: BTreeMap<(Party, Party), Nanos>,
    /// Loss, duplicates and delays are on.
    pub noisy: bool,
    /// Grows with every change of who can talk with whom.
    version: u64,
}

/// What becomes of a letter.
pub enum Fate {
    /// Arrives then; a second time as well.
    Arrives(Nanos, Option<Nanos>),
    /// Gets lost; the sender may learn of that.
    Lost,
}

impl Net {
    /// Cuts the way from one member to another.
    pub fn cut(&mut self, from: u64, to: u64) {
        self.changed();
        self.cut.insert((from, to));
    }

    /// Cuts a member off from clients.
    pub fn hide(&mut self, member: u64) {
        self.unreachable.insert(member);
    }

    /// Mends everything.
    pub fn heal(&mut self, now: Nanos) {
        self.changed();
        for (from, to) in std::mem::take(&mut self.cut) {
            self.since.insert((from.min(to), from.max(to)), now);
        }
        self.unreachable.clear();
    }

    /// All ways are as fast as ever, also for what waits behind something late.
    pub fn hurry(&mut self, soon: Nanos) {
        self.noisy = false;
        for last in self.last.values_mut() {
            *last = soon.min(*last);
        }
    }

    /// Whether anything is cut.
    pub fn is_cut(&self) -> bool {
        !self.cut.is_empty() || !self.unreachable.is_empty()
    }

    /// Connections are no longer what they were.
    pub fn changed(&mut self) {
        self.version += 1;
    }

    /// The same as long as connections are.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Since when two members can talk both ways; `None` if they cannot.
    pub fn connected_since(&self, one: u64, two: u64) -> Option<Nanos> {
        if self.cut.contains(&(one, two)) || self.cut.contains(&(two, one)) {
            return None;
        }
        Some(
            self.since
                .get(&(one.min(two), one.max(two)))
                .copied()
                .unwrap_or(0),
        )
    }

    /// A member's process ended or began.
    pub fn reconnect(&mut self, member: u64, others: impl Iterator<Item = u64>, now: Nanos) {
        self.changed();
        for other in others {
            self.since.insert((member.min(other), member.max(other)), now);
        }
    }

    /// Decides about a letter.
    pub fn send(&mut self, parcel: &Parcel, now: Nanos, swarm: &Swarm, rng: &mut Rng) -> Fate {
        let cut = match (parcel.from, parcel.to) {
            (Party::Member(from), Party::Member(to)) => self.cut.contains(&(from, to)),
            (Party::Member(member), Party::Clients) | (Party::Clients, Party::Member(member)) => {
                self.unreachable.contains(&member)
            }
            (Party::Clients, Party::Clients) => false,
        };
        let raft = matches!(parcel.letter, Letter::Raft(_));
        let members_only = parcel.from != Party::Clients && parcel.to != Party::Clients;
        if cut || (self.noisy && members_only && rng.chance(swarm.loss_ppm)) {
            return Fate::Lost;
        }
        let mut time = rng.within(100 * MICRO, MILLI);
        if matches!(parcel.letter, Letter::Snapshot(..)) {
            time += rng.within(MILLI, SECOND / 2);
        }
        let late = self.noisy && rng.chance(swarm.late_ppm);
        if late {
            let worst = if rng.percent(20) { 3 * SECOND } else { SECOND / 2 };
            time += rng.within(MILLI, worst);
        }
        #[cfg(feature = "planted")]
        let raft_twice = raft && (planted::is(planted::Bug::ProposalTwice) || !parcel.letter.proposes());
        #[cfg(not(feature = "planted"))]
        let raft_twice = raft && !parcel.letter.proposes();
        let twice = raft_twice && self.noisy && rng.chance(swarm.twice_ppm);
        let mut at = now + time;
        // Raft's messages may overtake each other; streams may not.
        if !(raft && self.noisy) {
            let last = self.last.entry((parcel.from, parcel.to)).or_default();
            at = at.max(*last + 1);
            *last = at;
        }
        let again = twice.then(|| at + rng.within(MICRO, SECOND / 4));
        Fate::Arrives(at, again)
    }
}
