//! The search for an order.

use crate::operation::Operation;
use std::collections::{BTreeMap, HashSet};

/// What came of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is an order that explains everything.
    Linearizable,
    /// There is none.
    Violation {
        /// The key concerned.
        key: String,
        /// Its operations in the order of their calls.
        history: Vec<Operation>,
        /// How many of them could be put in order before nothing fitted any more, at most.
        explained: usize,
    },
    /// The search was given up after so many steps.
    Unknown {
        /// The key concerned.
        key: String,
    },
}

/// Judges a history of any number of keys. `steps` bounds the search for each key.
pub fn check(history: &[Operation], steps: u64) -> Verdict {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    let mut unknown = None;
    for (key, operations) in keys {
        let operations: Vec<Operation> = operations.into_iter().cloned().collect();
        match check_key(operations, steps) {
            Verdict::Linearizable => {}
            Verdict::Unknown { .. } => unknown = Some(key.to_owned()),
            violation => return violation,
        }
    }
    match unknown {
        Some(key) => Verdict::Unknown { key },
        None => Verdict::Linearizable,
    }
}

/// Calls and answers in the order of time, as a list from which operations are taken and to which they are put back.
struct Events {
    /// Event `2 * n` is the call of operation `n`, the one after it its answer; the last is both ends of the list.
    next: Vec<usize>,
    previous: Vec<usize>,
    end: usize,
}

impl Events {
    fn new(operations: &[Operation]) -> Events {
        let mut order: Vec<(u64, bool, usize)> = Vec::new();
        for (number, operation) in operations.iter().enumerate() {
            order.push((operation.began, false, 2 * number));
            // Without a known outcome there is no time by which it must have happened.
            if let Some((ended, _)) = operation.ended {
                order.push((ended, true, 2 * number + 1));
            }
        }
        // Of what happened at the same time calls come first: then the two overlap, which claims less.
        order.sort_unstable();
        let end = 2 * operations.len();
        let mut events = Events {
            next: vec![end; end + 1],
            previous: vec![end; end + 1],
            end,
        };
        let mut last = end;
        for (_, _, event) in order {
            events.next[last] = event;
            events.previous[event] = last;
            last = event;
        }
        events.next[last] = end;
        events.previous[end] = last;
        events
    }

    fn unlink(&mut self, event: usize) {
        let (previous, next) = (self.previous[event], self.next[event]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn relink(&mut self, event: usize) {
        let (previous, next) = (self.previous[event], self.next[event]);
        self.next[previous] = event;
        self.previous[next] = event;
    }
}

/// Judges the history of one key, which does not exist at first.
pub fn check_key(mut operations: Vec<Operation>, steps: u64) -> Verdict {
    operations.sort_by_key(|operation| operation.began);
    let mut events = Events::new(&operations);
    let mut taken = vec![0u64; operations.len().div_ceil(64)];
    let mut seen: HashSet<(Vec<u64>, Option<u64>)> = HashSet::new();
    let mut order: Vec<(usize, Option<u64>)> = Vec::new();
    let mut open = operations
        .iter()
        .filter(|operation| operation.ended.is_some())
        .count();
    let mut state = None;
    let mut explained = 0;
    let mut event = events.next[events.end];
    for _ in 0..steps {
        if open == 0 {
            return Verdict::Linearizable;
        }
        if event != events.end && event.is_multiple_of(2) {
            let number = event / 2;
            let operation = &operations[number];
            let answer = operation.ended.map(|(_, answer)| answer);
            if let Some(next) = operation.call.step(state, answer) {
                taken[number / 64] |= 1 << (number % 64);
                // Whoever was here before, in whatever order, has found nothing.
                if seen.insert((taken.clone(), next)) {
                    order.push((number, state));
                    explained = explained.max(order.len());
                    state = next;
                    events.unlink(event);
                    if answer.is_some() {
                        events.unlink(event + 1);
                        open -= 1;
                    }
                    event = events.next[events.end];
                    continue;
                }
                taken[number / 64] &= !(1 << (number % 64));
            }
            event = events.next[event];
            continue;
        }
        // An answer of which the operation is not in the order yet, or the end: the last choice was wrong.
        let Some((number, before)) = order.pop() else {
            return Verdict::Violation {
                key: operations
                    .first()
                    .map(|operation| operation.key.clone())
                    .unwrap_or_default(),
                history: operations,
                explained,
            };
        };
        taken[number / 64] &= !(1 << (number % 64));
        state = before;
        if operations[number].ended.is_some() {
            events.relink(2 * number + 1);
            open += 1;
        }
        events.relink(2 * number);
        event = events.next[2 * number];
    }
    Verdict::Unknown {
        key: operations
            .first()
            .map(|operation| operation.key.clone())
            .unwrap_or_default(),
    }
}
