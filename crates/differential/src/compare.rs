//! Where two servers part.

use crate::session::Outcome;
use crate::step::Step;
use crate::watching::Flow;
use prost_reflect::{DynamicMessage, ReflectMessage as _};
use std::collections::BTreeMap;
use std::fmt;

/// The first thing that two servers did not do alike. `ours` is the first server.
#[derive(Clone, Debug)]
pub enum Difference {
    /// Answers to one request.
    Answer {
        /// Number of the step.
        index: usize,
        /// What ours answered.
        ours: String,
        /// What the other answered.
        theirs: String,
    },
    /// What a watcher was told.
    Watch {
        /// Stream and watcher.
        watcher: String,
        /// Number of what was told.
        index: usize,
        /// What ours told; `None`: nothing more.
        ours: Option<String>,
        /// What the other told.
        theirs: Option<String>,
    },
}

impl Difference {
    /// Name of what differs, without its details: shrinking must not wander from one difference to another.
    pub(crate) fn kind(&self, history: &[Step]) -> String {
        match self {
            Difference::Answer { index, .. } => history[*index].name(),
            Difference::Watch { .. } => "watch".to_owned(),
        }
    }

    /// Steps behind this number have nothing to do with it.
    pub(crate) fn last_step(&self, history: &[Step]) -> usize {
        match self {
            Difference::Answer { index, .. } => *index,
            Difference::Watch { .. } => history.len() - 1,
        }
    }
}

/// First step whose outcomes differ.
pub(crate) fn outcomes(ours: &[Outcome], theirs: &[Outcome]) -> Option<usize> {
    ours.iter()
        .zip(theirs)
        .position(|(ours, theirs)| ours != theirs && !is_hash_not_kept(ours, theirs))
}

/// Whether one of them answers with the hash that a compaction left, and the other left none: etcd keeps that of a
/// compaction to revision 0 under that number and takes it for the newest ever after, and that of one to where the last
/// keys were deleted, where ours keeps none; each keeps ten. See docs/conformance.md.
fn is_hash_not_kept(ours: &Outcome, theirs: &Outcome) -> bool {
    match (ours, theirs) {
        (Outcome::Reply(ours), Outcome::Reply(theirs)) => {
            let ([Some(our), Some(their)], same_header) = (
                [ours, theirs].map(Hash::of),
                ours.get_field_by_name("header") == theirs.get_field_by_name("header"),
            ) else {
                return false;
            };
            let to_a_deletion = our.revision == their.revision && !our.is_kept() && their.is_kept();
            same_header && (their.revision == 0 || to_a_deletion)
        }
        (Outcome::Reply(kept), Outcome::Refusal { message, .. })
        | (Outcome::Refusal { message, .. }, Outcome::Reply(kept)) => {
            message == COMPACTED && Hash::of(kept).is_some_and(|hash| hash.is_kept())
        }
        _ => false,
    }
}

const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// Of which history an answer of HashKV is.
struct Hash {
    revision: i64,
    compacted: i64,
}

impl Hash {
    /// `None` for other answers.
    fn of(reply: &DynamicMessage) -> Option<Hash> {
        let number = |field| reply.get_field_by_name(field).and_then(|value| value.as_i64());
        (reply.descriptor().name() == "HashKVResponse").then(|| Hash {
            revision: number("hash_revision").unwrap_or(0),
            compacted: number("compact_revision").unwrap_or(0),
        })
    }

    /// Whether it may be one that a compaction left: of a history that was not compacted up to its end.
    fn is_kept(&self) -> bool {
        self.compacted < self.revision
    }
}

/// First watcher that was told different things.
pub(crate) fn flows(ours: &BTreeMap<String, Flow>, theirs: &BTreeMap<String, Flow>) -> Option<Difference> {
    let nothing = Flow::default();
    for name in ours.keys().chain(theirs.keys()) {
        let [ours, theirs] = [ours, theirs].map(|flows| flows.get(name).unwrap_or(&nothing));
        for id in ours.watchers.keys().chain(theirs.watchers.keys()) {
            let told = [ours, theirs].map(|flow| flow.watchers.get(id).map_or(&[][..], Vec::as_slice));
            let length = told[0].len().max(told[1].len());
            if let Some(index) = (0..length).find(|index| told[0].get(*index) != told[1].get(*index)) {
                return Some(Difference::Watch {
                    watcher: format!("{name}, watcher {id}"),
                    index,
                    ours: told[0].get(index).cloned(),
                    theirs: told[1].get(index).cloned(),
                });
            }
        }
        if ours.end != theirs.end {
            return Some(Difference::Watch {
                watcher: format!("{name}, end"),
                index: 0,
                ours: ours.end.clone(),
                theirs: theirs.end.clone(),
            });
        }
    }
    None
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Answer { index, ours, theirs } => {
                write!(f, "step {index}\n  ours:   {ours}\n  theirs: {theirs}")
            }
            Difference::Watch {
                watcher,
                index,
                ours,
                theirs,
            } => {
                let text = |told: &Option<String>| told.clone().unwrap_or_else(|| "nothing".to_owned());
                let (ours, theirs) = (text(ours), text(theirs));
                write!(
                    f,
                    "watch stream of {watcher}, message {index}\n  ours:   {ours}\n  theirs: {theirs}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::POOL;

    fn hash(text: &str) -> Outcome {
        let kind = POOL.get_message_by_name("etcdserverpb.HashKVResponse").unwrap();
        Outcome::Reply(DynamicMessage::parse_text_format(kind, text).unwrap())
    }

    #[test]
    fn only_hashes_that_a_compaction_left_may_differ() {
        let cases = [
            // Where the last keys were deleted, etcd remembers the hash of the history before.
            (
                "hash: 1 compact_revision: 9 hash_revision: 9",
                "hash: 2 compact_revision: 4 hash_revision: 9",
                true,
            ),
            (
                "hash: 1 compact_revision: 9 hash_revision: 9",
                "hash: 2 compact_revision: 9 hash_revision: 9",
                false,
            ),
            (
                "hash: 1 compact_revision: 4 hash_revision: 9",
                "hash: 2 compact_revision: 4 hash_revision: 9",
                false,
            ),
            (
                "hash: 1 compact_revision: 9 hash_revision: 9",
                "hash: 2 compact_revision: 4 hash_revision: 8",
                false,
            ),
            // The hash of a compaction to nothing, asked for as the newest.
            ("hash: 1 hash_revision: 9", "hash: 2 compact_revision: -1", true),
            (
                "header { revision: 9 } hash: 1 hash_revision: 9",
                "header { revision: 8 } hash: 2",
                false,
            ),
        ];
        for (ours, theirs, may) in cases {
            assert_eq!(
                outcomes(&[hash(ours)], &[hash(theirs)]).is_none(),
                may,
                "{ours} and {theirs}"
            );
        }
    }
}
