//! Members compare their data: at the start, from time to time, and after compactions. Who differs from the majority
//! is told on by an alarm that stops all writes, before the damage spreads into backups.

use crate::core::Core;
use crate::{Error, Handle, Result};
use model::pb::etcdserverpb::alarm_request::AlarmAction;
use model::pb::etcdserverpb::{AlarmRequest, AlarmType, HashKvResponse};
use model::{MemberId, Request, Revision};
use mvcc::HashKv;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a member may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Which comparisons the leader makes by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CorruptionChecks {
    /// Between two comparisons of all data; `None` for none.
    pub periodic: Option<Duration>,
    /// Between two comparisons of what compactions found; `None` for none. Needs `compaction_hash` in the options.
    pub compactions: Option<Duration>,
}

impl Handle {
    /// Compares this member's data with that of all members that answer; an error if any has the same history and
    /// other data. To be called before clients are served.
    pub async fn check_initial_corruption(&self) -> Result<()> {
        let own = own_hash(&self.core).await?;
        let answers = ask_all(&self.core, own.hash_revision).await;
        let differing: Vec<String> = answers
            .iter()
            .filter_map(|(member, answer)| Some((member, answer.as_ref()?)))
            .filter(|(_, other)| other.compact_revision == own.compact_revision.0 && other.hash != own.hash)
            .map(|(member, _)| member.to_string())
            .collect();
        if differing.is_empty() {
            tracing::info!(peers = answers.len(), "initial corruption check passed");
            return Ok(());
        }
        Err(Error::Fault(format!(
            "{} found data inconsistency with peers {}",
            self.core.member,
            differing.join(", ")
        )))
    }

    /// Has the comparisons made whenever this member leads. Must be called within a tokio runtime.
    pub fn start_corruption_checks(&self, checks: CorruptionChecks) {
        if let Some(interval) = checks.periodic {
            tokio::spawn(repeat(self.core.clone(), interval, async |core, _: &mut ()| {
                if let Err(error) = compare_now(core).await {
                    tracing::warn!(%error, "corruption check could not be made");
                }
            }));
        }
        if let Some(interval) = checks.compactions {
            tokio::spawn(repeat(self.core.clone(), interval, compare_compactions));
        }
    }
}

/// Calls `check` at each interval in which this member leads; `memory` lives from one to the next.
async fn repeat<M: Default>(core: Arc<Core>, interval: Duration, check: impl AsyncFn(&Core, &mut M)) {
    let mut memory = M::default();
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(interval) => {}
            () = core.stopping() => return,
        }
        if core.roles.leading_term().is_some() {
            check(&core, &mut memory).await;
        }
    }
}

async fn own_hash(core: &Core) -> Result<HashKv> {
    let store = core.shared.store.clone();
    Ok(core.blocking(move || store.hash_kv(Revision(0))).await??)
}

/// The hashes of all others at a revision; `None` of those that cannot tell.
async fn ask_all(core: &Core, revision: Revision) -> Vec<(MemberId, Option<HashKvResponse>)> {
    let cluster = core.shared.cluster();
    let mut answers = Vec::new();
    for member in cluster.members().filter(|member| member.id != core.member) {
        let asked = core.options.peers.hash_kv(member.id, revision);
        let answer = match tokio::time::timeout(ANSWER_MAX, asked).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                tracing::warn!(peer = %member.id, %error, "a member did not tell its hash");
                None
            }
            Err(_) => None,
        };
        answers.push((member.id, answer));
    }
    answers
}

async fn raise(core: &Core, member: MemberId) {
    tracing::error!(%member, "data of this member differs, raising the CORRUPT alarm");
    let request = Request::Alarm(AlarmRequest {
        action: AlarmAction::Activate as i32,
        member_id: member.0,
        alarm: AlarmType::Corrupt as i32,
    });
    if let Err(error) = core.propose_own(request).await {
        tracing::error!(%member, %error, "the CORRUPT alarm could not be raised");
    }
}

/// Compares everything up to the current revision.
async fn compare_now(core: &Core) -> Result<()> {
    let first = own_hash(core).await?;
    let answers = ask_all(core, first.hash_revision).await;
    core.read_barrier().await?;
    let second = own_hash(core).await?;
    let answers: Vec<_> = answers
        .into_iter()
        .filter_map(|(member, answer)| Some((member, answer?)))
        .collect();
    if let Some(culprit) = find_culprit(core.member, first, second, &answers) {
        raise(core, culprit).await;
    }
    tracing::info!(
        "number-of-peers-checked" = answers.len(),
        "finished peer corruption check"
    );
    Ok(())
}

/// Who is wrong, if anybody. `first` was taken before the others were asked, `second` after a read barrier that
/// followed: no other can have been further by then.
fn find_culprit(
    own: MemberId,
    first: HashKv,
    second: HashKv,
    answers: &[(MemberId, HashKvResponse)],
) -> Option<MemberId> {
    let same_place = |one: HashKv, two: HashKv| {
        (one.hash_revision, one.compact_revision) == (two.hash_revision, two.compact_revision)
    };
    if same_place(first, second) && first.hash != second.hash {
        return Some(own);
    }
    let wrong = |answer: &HashKvResponse| {
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        revision > second.hash_revision.0
            || answer.compact_revision > second.compact_revision.0
            || (answer.compact_revision == first.compact_revision.0 && answer.hash != first.hash)
    };
    answers
        .iter()
        .find(|(_, answer)| wrong(answer))
        .map(|(member, _)| *member)
}

/// Compares what the newest compactions found that all members have made. `checked` is the newest compaction that was
/// compared with everybody.
async fn compare_compactions(core: &Core, checked: &mut Revision) {
    let mut hashes = core.shared.store.compaction_hashes();
    hashes.retain(|hash| hash.hash_revision > *checked);
    hashes.sort_by_key(|hash| std::cmp::Reverse(hash.hash_revision));
    let mut compared = 0;
    for own in hashes {
        compared += 1;
        let answers = ask_all(core, own.hash_revision).await;
        match judge(core.member, own, &answers) {
            Verdict::Equal => {
                *checked = own.hash_revision;
                break;
            }
            Verdict::Unclear => {}
            Verdict::Differ(culprits) => {
                for culprit in culprits {
                    raise(core, culprit).await;
                }
                break;
            }
        }
    }
    tracing::info!(
        "number-of-hashes-checked" = compared,
        "finished compaction hash check"
    );
}

#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    /// All members have the same.
    Equal,
    /// Those that could be compared have the same.
    Unclear,
    /// These differ from the majority; member 0, the whole cluster, where there is none.
    Differ(Vec<MemberId>),
}

fn judge(own: MemberId, hash: HashKv, answers: &[(MemberId, Option<HashKvResponse>)]) -> Verdict {
    let mut by_hash = BTreeMap::from([(hash.hash, BTreeSet::from([own]))]);
    let mut compared = 0;
    for (member, answer) in answers {
        match answer {
            Some(answer) if answer.compact_revision == hash.compact_revision.0 => {
                by_hash.entry(answer.hash).or_default().insert(*member);
                compared += 1;
            }
            _ => {}
        }
    }
    if by_hash.len() == 1 {
        return if compared == answers.len() {
            Verdict::Equal
        } else {
            Verdict::Unclear
        };
    }
    let members = answers.len() + 1;
    let quorum = members / 2 + 1;
    match by_hash.values().position(|members| members.len() >= quorum) {
        None => Verdict::Differ(vec![MemberId(0)]),
        Some(majority) => {
            let others = by_hash
                .into_values()
                .enumerate()
                .filter(|(place, _)| *place != majority);
            Verdict::Differ(others.flat_map(|(_, members)| members).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(hash: u32, compact: i64, revision: i64) -> HashKv {
        HashKv {
            hash,
            compact_revision: Revision(compact),
            hash_revision: Revision(revision),
        }
    }

    fn answer(hash: u32, compact: i64, revision: i64) -> HashKvResponse {
        HashKvResponse {
            header: Some(model::pb::etcdserverpb::ResponseHeader {
                revision,
                ..Default::default()
            }),
            hash,
            compact_revision: compact,
            hash_revision: revision,
        }
    }

    #[test]
    fn who_differs_from_the_majority_is_told_on() {
        let members = |hashes: &[Option<u32>]| -> Vec<_> {
            let answers = hashes.iter().map(|hash| hash.map(|hash| answer(hash, 5, 9)));
            (2..).map(MemberId).zip(answers).collect()
        };
        let judge = |hashes: &[Option<u32>]| judge(MemberId(1), own(7, 5, 9), &members(hashes));
        assert_eq!(judge(&[Some(7), Some(7)]), Verdict::Equal);
        assert_eq!(judge(&[Some(7), None]), Verdict::Unclear);
        assert_eq!(judge(&[Some(7), Some(8)]), Verdict::Differ(vec![MemberId(3)]));
        assert_eq!(judge(&[Some(8), Some(8)]), Verdict::Differ(vec![MemberId(1)]));
        assert_eq!(judge(&[Some(8), Some(9)]), Verdict::Differ(vec![MemberId(0)]));
        assert_eq!(judge(&[Some(8), None]), Verdict::Differ(vec![MemberId(0)]));
        assert_eq!(judge(&[Some(8)]), Verdict::Differ(vec![MemberId(0)]));
    }

    #[test]
    fn other_compactions_are_not_compared() {
        let answers = [(MemberId(2), Some(answer(8, 4, 9)))];
        assert_eq!(judge(MemberId(1), own(7, 5, 9), &answers), Verdict::Unclear);
    }

    #[test]
    fn nobody_may_be_ahead_of_the_leader() {
        let find = |answer| find_culprit(MemberId(1), own(7, 5, 9), own(8, 5, 10), &[(MemberId(2), answer)]);
        assert_eq!(find(answer(7, 5, 10)), None);
        assert_eq!(find(answer(7, 5, 11)), Some(MemberId(2)));
        assert_eq!(
            find(answer(8, 4, 9)),
            None,
            "hashes of another compaction say nothing"
        );
        assert_eq!(find(answer(7, 6, 9)), Some(MemberId(2)));
        assert_eq!(find(answer(8, 5, 9)), Some(MemberId(2)));
        let own_changed = find_culprit(MemberId(1), own(7, 5, 9), own(8, 5, 9), &[]);
        assert_eq!(own_changed, Some(MemberId(1)));
    }
}
