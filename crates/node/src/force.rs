//! `--force-new-cluster`: a member goes on alone, with the data it has, after the others are lost for good.
//!
//! What the others would have to agree to is written into the log as if they had: entries that make this member a voter
//! and remove all others, committed. From there on a start like any other carries them out. Entries that were not
//! committed are dropped, since nobody was ever told that they happened.

use crate::{Error, Result};
use membership::{Change, Cluster, Member};
use model::MemberId;
use prost::Message;
use raft_engine::ChangeKind;
use raft_engine::consensus::HardState;
use std::collections::BTreeSet;
use wal::{Record, Recovered, Wal};

/// raft's number of an entry with one configuration change.
const CONF_CHANGE: u8 = 1;
/// etcd's numbers of such changes.
const ADD_VOTER: i32 = 0;
const REMOVE: i32 = 1;

/// etcd's `ConfChange`.
#[derive(Clone, PartialEq, Message)]
struct ConfChange {
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(uint64, tag = "3")]
    member: u64,
    #[prost(bytes = "bytes", tag = "4")]
    context: bytes::Bytes,
}

/// Appends the changes that leave `own` alone. `cluster` is what the store holds; what the log adds to it counts too.
pub(crate) fn leave_alone(
    wal: &mut Wal,
    recovered: &Recovered,
    own: MemberId,
    cluster: &Cluster,
) -> Result<()> {
    let damaged = || Error::Fault("the raft log holds no readable hard state".to_owned());
    let state = HardState::decode(recovered.hard_state.clone()).ok_or_else(damaged)?;
    let mut index = state.commit.max(recovered.marker.index);
    let others: BTreeSet<u64> = known(recovered, index, cluster)
        .filter(|id| *id != own.0)
        .collect();
    let mut changes = vec![promotion(own, cluster)];
    changes.extend(others.iter().map(|id| ConfChange {
        kind: REMOVE,
        member: *id,
        context: Change::Remove(MemberId(*id)).encode(),
    }));
    tracing::warn!(
        removed = others.len(),
        dropped = recovered
            .entries
            .iter()
            .filter(|entry| entry.index > index)
            .count(),
        "forcing a new cluster of this member alone"
    );
    let entries: Vec<(u64, Vec<u8>)> = changes
        .into_iter()
        .map(|change| {
            index += 1;
            (index, change.encode_to_vec())
        })
        .collect();
    let term = state.term;
    let state = HardState {
        commit: index,
        ..state
    }
    .encode();
    let mut group: Vec<Record<'_>> = entries
        .iter()
        .map(|(index, data)| Record::Entry {
            kind: CONF_CHANGE,
            index: *index,
            term,
            data,
        })
        .collect();
    group.push(Record::State(&state));
    wal.append(&group)
        .and_then(|()| wal.sync())
        .map_err(|error| Error::Fault(error.to_string()))
}

/// A voter may be added once more; a learner, which could not elect itself, becomes one.
fn promotion(own: MemberId, cluster: &Cluster) -> ConfChange {
    let change = match cluster.member(own) {
        Some(member) if member.is_learner => Change::Promote(own),
        Some(member) => Change::Add(member.clone()),
        None => Change::Add(Member {
            id: own,
            peer_urls: Vec::new(),
            is_learner: false,
            name: String::new(),
            client_urls: Vec::new(),
        }),
    };
    ConfChange {
        kind: ADD_VOTER,
        member: own.0,
        context: change.encode(),
    }
}

/// Everybody in the store, and whom entries up to `commit` add to that.
fn known(recovered: &Recovered, commit: u64, cluster: &Cluster) -> impl Iterator<Item = u64> {
    let stored: Vec<u64> = cluster.members().map(|member| member.id.0).collect();
    let added = recovered
        .entries
        .iter()
        .filter(move |entry| entry.kind != 0 && entry.index <= commit)
        .filter_map(|entry| raft_engine::Change::decode(entry.kind, entry.data.clone()).ok())
        .flat_map(|change| change.steps)
        .filter(|step| step.kind != ChangeKind::Remove)
        .map(|step| step.member);
    stored.into_iter().chain(added.collect::<Vec<_>>())
}
