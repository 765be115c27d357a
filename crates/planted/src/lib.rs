//! Bugs that can be switched on, to prove that the simulator finds them: each stands for one that etcd or its kind once
//! had. Crates know of them only with the feature `planted`, which nothing but the simulator asks for.
//!
//! The switch is the thread's own: a simulation is one thread.

#[cfg(not(debug_assertions))]
compile_error!("planted bugs are for the simulator: the feature `planted` must be off in release builds");

use std::cell::Cell;

macro_rules! bugs {
    ($($name:ident $like:literal $what:literal;)*) => {
        /// A bug to be found.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Bug {
            $(#[doc = $what] $name,)*
        }

        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$name,)*];

            /// What it does.
            pub fn what(self) -> &'static str {
                match self { $(Bug::$name => $what,)* }
            }

            /// The one of etcd's bugs that it is like, or where else the idea comes from.
            pub fn like(self) -> &'static str {
                match self { $(Bug::$name => $like,)* }
            }

            /// The bug of this name.
            pub fn named(name: &str) -> Option<Bug> {
                Bug::ALL.iter().copied().find(|bug| format!("{bug:?}") == name)
            }
        }
    };
}

bugs! {
    SyncLies "etcd#14370" "writes are acknowledged before they are durable";
    VoteForgotten "Raft 5.2" "term and vote are not written to the log";
    SyncErrorIgnored "fsyncgate" "a failed sync counts as done";
    MiddleTruncated "etcd#14143" "damage in the middle of the log is taken for a torn write and cut off";
    LogReleasedEarly "rule 2 of the design" "the log is released behind what is applied, not behind what is durable";
    IndexApart "etcd#13766" "the applied index is written with the batch after the one it belongs to";
    SnapshotWithoutLeases "etcd#13933" "a snapshot lacks the leases";
    ReadWithoutBarrier "etcd#7331" "linearizable reads do not ask a quorum";
    ReadContextReused "etcd#20418" "a retried read index uses its context again";
    ProposalTwice "etcd#8335" "a forwarded proposal arrives twice";
    ClientRetries "etcd#8335" "a client repeats a write whose outcome it does not know";
    RevokeByFollower "etcd#16822" "a leader that was deposed goes on revoking";
    RevokeForwarded "etcd#15247" "revocations of a leader that was deposed meanwhile are forwarded to the next";
    RenewedByAnyone "etcd#20615" "leases are renewed by a member that may no longer lead";
    WatchSkips "etcd#17529" "a watcher that has caught up misses the revision after";
    ProgressAhead "etcd#15220" "progress is reported to watchers that are behind";
    WatchNotRestored "etcd#15271" "watchers are not told that a snapshot has replaced the store";
    CompactionEatsDelete "etcd#18089" "a deletion at the compacted revision is removed";
    AuthNotRestored "etcd#14571" "users and roles stay what they were when a snapshot replaces the store";
    AuthWithoutIndex "etcd#11651" "entries that change only users and roles do not move the applied index on the disk";
    OldTokensPass "etcd, auth revisions" "a token from before the last change of users and roles is still good";
    PromisesEarly "Raft 5.2" "votes and acknowledgements leave before they are durable";
    CompactionEatsLive "etcd#17780" "compaction removes a version that is still readable";
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in this thread, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this is the bug that is planted.
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
