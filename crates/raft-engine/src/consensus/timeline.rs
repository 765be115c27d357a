//! Which term and which configuration held at each index of the committed log, back to the last marker.
//!
//! The log in memory may be shorter than the log on disk, so it cannot tell. Terms and configurations change rarely.

use std::collections::VecDeque;

use crate::{Applied, Configuration};

pub(super) struct Timeline {
    /// First index of each term.
    terms: VecDeque<(u64, u64)>,
    /// Index from which each configuration holds.
    configurations: VecDeque<(u64, Configuration)>,
    /// Indices whose configuration is not known: between the first and the last change that were applied before this
    /// member started, the log has the changes but not what the state machine decided about them.
    blurred: std::ops::Range<u64>,
}

impl Timeline {
    /// Starts at a marker or snapshot.
    pub fn new(start: Applied) -> Self {
        Self {
            terms: [(start.index, start.term)].into(),
            configurations: [(start.index, start.configuration)].into(),
            blurred: 0..0,
        }
    }

    /// Configuration changes at `first..=last` were applied before the start, and `configuration` is their result.
    pub fn restarted(&mut self, first: u64, last: u64, configuration: Configuration) {
        self.blurred = first..last;
        self.configurations.push_back((last, configuration));
    }

    /// An entry was committed.
    pub fn committed(&mut self, index: u64, term: u64) {
        if self.terms.back().is_none_or(|(_, last)| *last != term) {
            self.terms.push_back((index, term));
        }
    }

    /// A change was applied.
    pub fn changed(&mut self, index: u64, configuration: Configuration) {
        self.configurations.push_back((index, configuration));
    }

    /// What held at `index`, or at the nearest place before it where that is known.
    pub fn at(&self, index: u64) -> Option<Applied> {
        let index = if self.blurred.contains(&index) {
            self.blurred.start - 1
        } else {
            index
        };
        let (_, term) = self.terms.iter().rfind(|(from, _)| *from <= index)?;
        let (_, configuration) = self.configurations.iter().rfind(|(from, _)| *from <= index)?;
        Some(Applied {
            index,
            term: *term,
            configuration: configuration.clone(),
        })
    }

    /// Forgets what held before `index`.
    pub fn forget_before(&mut self, index: u64) {
        while self.terms.get(1).is_some_and(|(from, _)| *from <= index) {
            self.terms.pop_front();
        }
        while self.configurations.get(1).is_some_and(|(from, _)| *from <= index) {
            self.configurations.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(voters: &[u64]) -> Configuration {
        Configuration {
            voters: voters.to_vec(),
            ..Configuration::default()
        }
    }

    #[test]
    fn places_know_their_term_and_configuration() {
        let mut timeline = Timeline::new(Applied {
            index: 10,
            term: 2,
            configuration: of(&[1]),
        });
        (11..=20).for_each(|index| timeline.committed(index, if index < 15 { 2 } else { 4 }));
        timeline.changed(17, of(&[1, 2]));
        let at = |timeline: &Timeline, index| {
            timeline
                .at(index)
                .map(|at| (at.index, at.term, at.configuration.voters))
        };
        assert_eq!(at(&timeline, 9), None);
        assert_eq!(at(&timeline, 14), Some((14, 2, vec![1])));
        assert_eq!(at(&timeline, 16), Some((16, 4, vec![1])));
        assert_eq!(at(&timeline, 17), Some((17, 4, vec![1, 2])));
        timeline.forget_before(16);
        assert_eq!(at(&timeline, 14), None);
        assert_eq!(at(&timeline, 16), Some((16, 4, vec![1])));
    }

    #[test]
    fn between_changes_of_an_earlier_life_the_place_before_them_is_used() {
        let mut timeline = Timeline::new(Applied {
            index: 10,
            term: 2,
            configuration: of(&[1]),
        });
        timeline.restarted(12, 15, of(&[1, 2, 3]));
        let at = |index| timeline.at(index).map(|at| (at.index, at.configuration.voters));
        assert_eq!(at(13), Some((11, vec![1])));
        assert_eq!(at(15), Some((15, vec![1, 2, 3])));
    }
}
