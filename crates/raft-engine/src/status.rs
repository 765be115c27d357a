//! What can be asked of a running engine.

/// What this member is in the current term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader or waits for one.
    #[default]
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

/// A snapshot of an engine's state; each field by itself is current, together they may be a few microseconds apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: u64,
    /// Current term.
    pub term: u64,
    /// The leader this member knows, 0 if none.
    pub leader: u64,
    /// This member's role.
    pub role: Role,
    /// Highest index known to be committed.
    pub committed: u64,
    /// Highest applied index.
    pub applied: u64,
    /// Last index of the log, durable or not.
    pub last_index: u64,
    /// First index still held for followers.
    pub first_index: u64,
    /// True while the log's disk has not answered for longer than the election timeout.
    pub disk_stalled: bool,
    /// Member that leadership is being handed to, 0 if none.
    pub transferee: u64,
    /// Voters and learners as this member knows them, with their progress where this member leads.
    pub peers: Vec<PeerStatus>,
}

/// A member as seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The member.
    pub id: u64,
    /// It receives the log without voting.
    pub learner: bool,
    /// Highest index known to be in its log; 0 unless this member leads.
    pub matched: u64,
    /// It answered within the last election timeout; meaningful only where this member leads.
    pub recently_active: bool,
    /// How it is being served; `None` unless this member leads.
    pub replication: Option<Replication>,
}

/// How a leader serves a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Looking for the point where the logs agree.
    Probe,
    /// Streaming entries.
    Replicate,
    /// Waiting for a snapshot to arrive.
    Snapshot,
}
