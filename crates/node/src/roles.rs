//! Who leads, since when, and since when nobody does: followed from the raft thread, read by everybody.

use crate::clock::Clock;
use model::MemberId;
use parking_lot::Mutex;
use raft_engine::{LeaderChange, Role};
use std::time::Duration;
use tokio::sync::watch;

pub(crate) struct Roles {
    clock: Clock,
    state: Mutex<State>,
    leader: watch::Sender<Option<MemberId>>,
    /// Woken at every change of role, for the thread that owns the lessor's clock.
    changed: (crossbeam_channel::Sender<()>, crossbeam_channel::Receiver<()>),
}

#[derive(Clone, Copy)]
struct State {
    role: Role,
    term: u64,
    leader: Option<MemberId>,
    /// When the current leader became known; `None` before the first.
    elected_at: Option<Duration>,
    /// Since when no leader is known.
    leaderless_since: Option<Duration>,
}

impl Roles {
    pub fn new(clock: Clock) -> Roles {
        let state = State {
            role: Role::Follower,
            term: 0,
            leader: None,
            elected_at: None,
            leaderless_since: Some(Duration::ZERO),
        };
        Roles {
            clock,
            state: Mutex::new(state),
            leader: watch::Sender::new(None),
            changed: crossbeam_channel::bounded(1),
        }
    }

    /// Says whether another leader than before is known now.
    pub fn note(&self, change: &LeaderChange) -> bool {
        let now = self.clock.now();
        let leader = (change.leader != 0).then_some(MemberId(change.leader));
        let new_leader = {
            let mut state = self.state.lock();
            let new_leader = leader.is_some() && (leader != state.leader || change.term != state.term);
            if new_leader {
                state.elected_at = Some(now);
            }
            if leader.is_some() {
                state.leaderless_since = None;
            } else {
                state.leaderless_since.get_or_insert(now);
            }
            state.leader = leader;
            state.role = change.role;
            state.term = change.term;
            new_leader
        };
        self.leader
            .send_if_modified(|known| std::mem::replace(known, leader) != leader);
        self.wake();
        new_leader
    }

    /// Has the thread look that waits for changes.
    pub fn wake(&self) {
        // Full means that it has yet to look, and will see everything.
        let _ = self.changed.0.try_send(());
    }

    /// The term that this member leads in, if it does.
    pub fn leading_term(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.role == Role::Leader).then_some(state.term)
    }

    /// When the leader that is known became so.
    pub fn elected_at(&self) -> Option<Duration> {
        self.state.lock().elected_at
    }

    /// Whether no leader has been known since `start`, or before.
    pub fn leaderless_since(&self, start: Duration) -> bool {
        self.state
            .lock()
            .leaderless_since
            .is_some_and(|since| since <= start)
    }

    /// Follows the leader.
    pub fn watch(&self) -> watch::Receiver<Option<MemberId>> {
        self.leader.subscribe()
    }

    /// Becomes readable after a change of role.
    pub fn changes(&self) -> &crossbeam_channel::Receiver<()> {
        &self.changed.1
    }
}
