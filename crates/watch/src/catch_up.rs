//! Bringing watchers that are behind up to date, many with one reading.
//!
//! A pass reads one stretch of revisions, from memory or from the store, and serves every waiting watcher that stands
//! within it. Passes over the store go upwards like a lift, taking along whom they meet, so that a sweep costs the
//! history once and not once for each watcher, and nobody below keeps those above waiting. Watchers that ask for the same
//! and stand at the same place are served as one: matched once, and given one encoding of their events to share. Reading
//! and matching happen outside the hub's lock: meanwhile the watchers served are in nobody else's hands
//! ([`Place::CatchingUp`]).

use crate::Error;
use crate::hub::Shared;
use crate::index::{Id, Index};
use crate::queue::{Events, Offer};
use crate::response::EncodedEvents;
use crate::ring::Record;
use crate::watcher::{Place, Watcher};
use bytes::Bytes;
use model::Revision;
use mvcc::{ChangesLimit, Read};
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

/// Revisions in one stretch, and so in one response.
const REVISIONS_MAX: usize = 1000;
/// Bytes in one stretch, about; at least one revision.
const BYTES_MAX: usize = 1 << 20;
/// Watchers served by one stretch.
const WATCHERS_MAX: usize = 1024;
/// Matches held in memory at a time, about.
const MATCHES_MAX: usize = 1 << 18;

/// Where the lift stands.
#[derive(Default)]
pub(crate) struct Sweep {
    next: Revision,
}

/// Consecutive revisions, `from..=upto`, and what changed in them.
struct Stretch {
    records: Vec<Arc<Record>>,
    /// What an event up to it replaced is compacted, and not told any more, though memory may still have it: what a
    /// watcher is told must not depend on how long ago it happened.
    compacted: Revision,
    from: Revision,
    upto: Revision,
}

struct Rider {
    id: Id,
    watcher: Arc<Watcher>,
    next: Revision,
    outcome: Outcome,
}

/// How a watcher left the stretch.
#[derive(Clone, Copy)]
enum Outcome {
    /// Nothing in it was for the watcher.
    Passed,
    /// Was given all that was for it.
    Served,
    /// Its stream has no room for the matches, which begin at this revision.
    Full(Revision),
}

impl Shared {
    /// One pass over memory and one over the store; whether more is to be done.
    pub(crate) fn catch_up(&self) -> Result<bool, Error> {
        let Some(mut sweep) = self.sweep.try_lock() else {
            return Ok(false);
        };
        if let Some(stretch) = self.read_ring() {
            self.serve(&stretch);
        }
        if let Some(stretch) = self.read_history(&mut sweep)? {
            self.serve(&stretch);
        }
        Ok(self.change_quietly(|state, _| !state.behind.is_empty()))
    }

    fn read_ring(&self) -> Option<Stretch> {
        self.change_quietly(|state, _| {
            let oldest = (state.ring.floor().next(), 0);
            let from = state.behind.range(oldest..).next()?.0;
            let records = state.ring.read(from, REVISIONS_MAX, BYTES_MAX);
            let upto = records.last()?.revision();
            Some(Stretch {
                records,
                compacted: state.store.view().compacted(),
                from,
                upto,
            })
        })
    }

    fn read_history(&self, sweep: &mut Sweep) -> Result<Option<Stretch>, Error> {
        let found = self.change_quietly(|state, wakers| {
            let view = state.store.view();
            state.end_compacted(view.compacted(), wakers);
            let floor = (state.ring.floor(), Id::MAX);
            let onward = (sweep.next, 0);
            let mut waiting = (onward <= floor)
                .then(|| state.behind.range(onward..=floor))
                .into_iter()
                .flatten();
            let from = match waiting.next() {
                Some((next, _)) => *next,
                None => state.behind.first().filter(|first| **first <= floor)?.0,
            };
            Some((view, from))
        });
        let Some((view, from)) = found else {
            return Ok(None);
        };
        let changes = view.changes(
            from,
            ChangesLimit {
                revisions: REVISIONS_MAX,
                bytes: BYTES_MAX,
            },
        )?;
        let upto = changes.last().map_or(view.revision(), |last| last.revision);
        sweep.next = upto.next();
        Ok(Some(Stretch {
            records: changes
                .into_iter()
                .map(|changes| Arc::new(Record::new(changes)))
                .collect(),
            compacted: view.compacted(),
            from,
            upto,
        }))
    }

    fn serve(&self, stretch: &Stretch) {
        let (mut riders, revision) = self.board(stretch);
        let changes = stretch
            .records
            .iter()
            .map(|record| record.changes.changes.len())
            .sum::<usize>();
        let parties = parties(stretch, &riders);
        for parties in parties.chunks((MATCHES_MAX / changes.max(1)).max(1)) {
            let mut wakers = Vec::new();
            offer(stretch, &mut riders, parties, revision, &mut wakers);
            wakers.into_iter().for_each(Waker::wake);
        }
        self.alight(stretch, riders);
    }

    /// Takes the watchers that wait within the stretch out of the hub's hands.
    fn board(&self, stretch: &Stretch) -> (Vec<Rider>, Revision) {
        self.change_quietly(|state, _| {
            let waiting: Vec<(Revision, Id)> = state
                .behind
                .range((stretch.from, 0)..=(stretch.upto, Id::MAX))
                .take(WATCHERS_MAX)
                .copied()
                .collect();
            let mut riders = Vec::with_capacity(waiting.len());
            for (next, id) in waiting {
                state.behind.remove(&(next, id));
                if let Some(entry) = state.table.get_mut(id) {
                    entry.place = Place::CatchingUp;
                    riders.push(Rider {
                        id,
                        watcher: entry.watcher.clone(),
                        next,
                        outcome: Outcome::Passed,
                    });
                }
            }
            (riders, state.revision)
        })
    }

    /// Gives the watchers back to the hub, at the place they have come to.
    fn alight(&self, stretch: &Stretch, riders: Vec<Rider>) {
        self.change_quietly(|state, _| {
            for rider in riders {
                // Cancelled on the way, and the number perhaps given to another?
                let same = |entry: &&mut crate::watcher::Entry| Arc::ptr_eq(&entry.watcher, &rider.watcher);
                let Some(entry) = state.table.get_mut(rider.id).filter(same) else {
                    continue;
                };
                if let Outcome::Full(revision) = rider.outcome {
                    entry.next = revision;
                    entry.place = Place::Stalled;
                    continue;
                }
                if let Outcome::Served = rider.outcome {
                    entry.quiet = false;
                }
                entry.next = stretch.upto.next();
                #[cfg(feature = "planted")]
                if planted::is(planted::Bug::WatchSkips) {
                    entry.next = entry.next.next();
                }
                state.put_in(rider.id);
            }
        });
    }
}

/// Places of the riders that are to get the same of a stretch: those who ask for the same, from the same revision on.
fn parties(stretch: &Stretch, riders: &[Rider]) -> Vec<Vec<usize>> {
    let mut numbers = HashMap::new();
    let mut parties: Vec<Vec<usize>> = Vec::new();
    for (place, rider) in riders.iter().enumerate() {
        let from = rider.next.max(stretch.from);
        let number = *numbers
            .entry((rider.watcher.interest(), from))
            .or_insert(parties.len());
        match parties.get_mut(number) {
            Some(party) => party.push(place),
            None => parties.push(vec![place]),
        }
    }
    parties
}

/// Offers the riders of each party their matches in one response.
fn offer(
    stretch: &Stretch,
    riders: &mut [Rider],
    parties: &[Vec<usize>],
    revision: Revision,
    wakers: &mut Vec<Waker>,
) {
    // One speaks for all of its party.
    let speakers: Vec<&Rider> = parties.iter().map(|party| &riders[party[0]]).collect();
    let mut index = Index::default();
    for (number, speaker) in speakers.iter().enumerate() {
        index.insert(&speaker.watcher.range, number as Id);
    }
    // By party, and so in the order of the revisions without being sorted.
    let mut matches: Vec<Vec<(u32, u32)>> = vec![Vec::new(); parties.len()];
    for (at, record) in stretch.records.iter().enumerate() {
        for (number, change) in record.changes.changes.iter().enumerate() {
            index.matching(&change.key, |found| {
                for id in found {
                    let speaker = speakers[*id as usize];
                    if speaker.next <= record.revision() && speaker.watcher.wants(change.kind) {
                        matches[*id as usize].push((at as u32, number as u32));
                    }
                }
            });
        }
    }
    for (party, matches) in parties.iter().zip(matches) {
        let (Some(first), Some(last)) = (matches.first(), matches.last()) else {
            continue;
        };
        let record = |found: &(u32, u32)| &stretch.records[found.0 as usize];
        let prev_kv = riders[party[0]].watcher.prev_kv;
        let event = |found: &(u32, u32)| {
            let record = record(found);
            record.event(found.1 as usize, prev_kv && record.revision() > stretch.compacted)
        };
        let mut events: Vec<Bytes> = matches.iter().map(event).collect();
        let shared = (party.len() > 1).then(|| EncodedEvents::new(&events));
        // The store may be a moment ahead of the hub: no event may be newer than the header says.
        let revision = revision.max(record(last).revision());
        for place in party {
            let rider = &mut riders[*place];
            let events = match &shared {
                Some(shared) => Events::Shared(shared.clone()),
                None => Events::Own(std::mem::take(&mut events)),
            };
            let queue = &rider.watcher.queue;
            rider.outcome = match queue.offer_events(&rider.watcher, revision, events, wakers) {
                Offer::Queued | Offer::Ended => Outcome::Served,
                Offer::Full => Outcome::Full(record(first).revision()),
            };
        }
    }
}
