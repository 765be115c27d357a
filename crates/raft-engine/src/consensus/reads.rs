//! Linearizable reads: which requests share a round of raft's ReadIndex, and when a round is tried again.
//!
//! Raft tells rounds apart by a context of ours, and counts an answer for a context whenever it arrives. A context that
//! was used twice could therefore be confirmed by an answer to its first use, given before the second was asked: a
//! stale read (etcd #20418). So a context is made of member, boot and a counter and never used again, not for a retry
//! either; answers to a context that was given up find nobody waiting.

use std::collections::VecDeque;

use crate::ReadError;

/// Rounds under way at once. With one, a request that just misses a round waits for two; more than two only add
/// heartbeats.
const ROUNDS_MAX: usize = 2;

/// Length of a context.
const CONTEXT_BYTES: usize = 24;

/// A group of readers that wait for the same outcome.
#[derive(Clone, Copy, Debug)]
struct Reader {
    number: u64,
    since: u64,
}

struct Round {
    counter: u64,
    issued: u64,
    readers: Vec<Reader>,
}

pub(super) struct Reads {
    id: u64,
    boot: u64,
    counter: u64,
    waiting: Vec<Reader>,
    rounds: VecDeque<Round>,
    retry_ticks: u64,
    timeout_ticks: u64,
    done: Vec<(u64, Result<u64, ReadError>)>,
}

impl Reads {
    pub fn new(id: u64, boot: u64, retry_ticks: u64, timeout_ticks: u64) -> Self {
        Self {
            id,
            boot,
            counter: 0,
            waiting: Vec::new(),
            rounds: VecDeque::new(),
            retry_ticks,
            timeout_ticks,
            done: Vec::new(),
        }
    }

    pub fn add(&mut self, number: u64, now: u64) {
        self.waiting.push(Reader { number, since: now });
    }

    /// The context of a new round for everyone waiting, if there is one to start. Call only when raft would not drop it.
    pub fn next_round(&mut self, now: u64) -> Option<Vec<u8>> {
        if self.waiting.is_empty() || self.rounds.len() >= ROUNDS_MAX {
            return None;
        }
        self.counter += 1;
        #[cfg(feature = "planted")]
        if planted::is(planted::Bug::ReadContextReused) {
            self.counter = 1;
        }
        let readers = std::mem::take(&mut self.waiting);
        self.rounds.push_back(Round {
            counter: self.counter,
            issued: now,
            readers,
        });
        Some([self.id, self.boot, self.counter].map(u64::to_be_bytes).concat())
    }

    /// A round was confirmed at `index`.
    pub fn confirmed(&mut self, context: &[u8], index: u64) {
        let Some([id, boot, counter]) = parse(context) else {
            return;
        };
        if (id, boot) != (self.id, self.boot) {
            return;
        }
        if let Some(at) = self.rounds.iter().position(|round| round.counter == counter)
            && let Some(round) = self.rounds.remove(at)
        {
            self.done
                .extend(round.readers.iter().map(|reader| (reader.number, Ok(index))));
        }
    }

    /// The leader or the term changed: what was under way may never be answered, and must not be answered by the old
    /// leader. Requests that have not been sent wait for the new one.
    pub fn leader_changed(&mut self) {
        for round in self.rounds.drain(..) {
            self.done.extend(
                round
                    .readers
                    .iter()
                    .map(|reader| (reader.number, Err(ReadError::LeaderChanged))),
            );
        }
    }

    /// Gives up readers that waited too long, and lets rounds that were not answered be tried again.
    pub fn tick(&mut self, now: u64) {
        let Self {
            waiting,
            rounds,
            done,
            ..
        } = self;
        if rounds.iter().any(|round| now - round.issued >= self.retry_ticks) {
            waiting.splice(0..0, rounds.drain(..).flat_map(|round| round.readers));
        }
        waiting.retain(|reader| {
            let expired = now - reader.since >= self.timeout_ticks;
            if expired {
                done.push((reader.number, Err(ReadError::TimedOut)));
            }
            !expired
        });
    }

    pub fn take_done(&mut self) -> Vec<(u64, Result<u64, ReadError>)> {
        std::mem::take(&mut self.done)
    }
}

fn parse(context: &[u8]) -> Option<[u64; 3]> {
    let context: &[u8; CONTEXT_BYTES] = context.try_into().ok()?;
    let part = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&context[8 * at..8 * at + 8]);
        u64::from_be_bytes(bytes)
    };
    Some([part(0), part(1), part(2)])
}

/// The member a context belongs to.
pub(super) fn owner(context: &[u8]) -> Option<u64> {
    parse(context).map(|[id, ..]| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_never_uses_a_context_again_and_answers_to_the_old_one_find_nobody() {
        let mut reads = Reads::new(7, 9, 5, 70);
        reads.add(1, 0);
        let first = reads.next_round(0).unwrap();
        reads.tick(5);
        let second = reads.next_round(5).unwrap();
        assert_ne!(first, second);
        reads.confirmed(&first, 10);
        assert_eq!(reads.take_done(), []);
        reads.confirmed(&second, 12);
        assert_eq!(reads.take_done(), [(1, Ok(12))]);
    }

    #[test]
    fn requests_share_rounds_and_only_two_are_under_way() {
        let mut reads = Reads::new(7, 9, 5, 70);
        reads.add(1, 0);
        let first = reads.next_round(0).unwrap();
        reads.add(2, 0);
        let second = reads.next_round(0).unwrap();
        reads.add(3, 0);
        reads.add(4, 0);
        assert_eq!(reads.next_round(0), None);
        reads.confirmed(&second, 8);
        assert_eq!(reads.take_done(), [(2, Ok(8))]);
        let third = reads.next_round(0).unwrap();
        reads.confirmed(&first, 7);
        reads.confirmed(&third, 9);
        assert_eq!(reads.take_done(), [(1, Ok(7)), (3, Ok(9)), (4, Ok(9))]);
    }

    #[test]
    fn a_change_of_leader_fails_what_was_sent_and_keeps_what_was_not() {
        let mut reads = Reads::new(7, 9, 5, 70);
        reads.add(1, 0);
        let first = reads.next_round(0).unwrap();
        reads.add(2, 0);
        reads.leader_changed();
        assert_eq!(reads.take_done(), [(1, Err(ReadError::LeaderChanged))]);
        reads.confirmed(&first, 3);
        assert_eq!(reads.take_done(), []);
        reads.tick(70);
        assert_eq!(reads.take_done(), [(2, Err(ReadError::TimedOut))]);
    }
}
