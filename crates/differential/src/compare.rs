//! Where two servers part.

use crate::session::Outcome;
use crate::step::Step;
use crate::watching::Flow;
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
    ours.iter().zip(theirs).position(|(ours, theirs)| ours != theirs)
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
