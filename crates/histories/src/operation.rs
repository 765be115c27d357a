//! What clients do with a key, and what they are told.

use std::fmt;

/// What was asked. Values are numbers; each should be written once, so that it says where it came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    /// Reads.
    Get,
    /// Writes.
    Put(u64),
    /// Writes the second if the first is there; `None` stands for a key that does not exist.
    Swap(Option<u64>, u64),
    /// Removes.
    Delete,
}

/// What was answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// To a get: what was there.
    Value(Option<u64>),
    /// To a put.
    Done,
    /// To a put that asked for it: what was there before.
    Before(Option<u64>),
    /// To a swap: whether it was carried out.
    Swapped(bool),
    /// To a swap that was not carried out, and read instead: what was there.
    Found(Option<u64>),
    /// To a delete: whether there was something.
    Deleted(bool),
}

/// One operation of one client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Who.
    pub client: u64,
    /// On which key.
    pub key: String,
    /// What.
    pub call: Call,
    /// When it was sent, at the latest.
    pub began: u64,
    /// When the answer had come, at the earliest, and what it was. `None` if the outcome is not known: the operation may
    /// have taken effect at any time after its call, or not at all. What was refused for certain is no operation.
    pub ended: Option<(u64, Answer)>,
}

impl Call {
    /// The state after it, if it can give this answer in this state. Without an answer every outcome is possible.
    pub fn step(self, state: Option<u64>, answer: Option<Answer>) -> Option<Option<u64>> {
        let (next, fits) = match (self, answer) {
            (Call::Get, Some(Answer::Value(seen))) => (state, seen == state),
            (Call::Get, None) => (state, true),
            (Call::Put(value), Some(Answer::Before(before))) => (Some(value), before == state),
            (Call::Put(value), Some(Answer::Done) | None) => (Some(value), true),
            (Call::Swap(from, to), answer) => {
                let swaps = state == from;
                let next = if swaps { Some(to) } else { state };
                let fits = match answer {
                    Some(Answer::Swapped(swapped)) => swapped == swaps,
                    Some(Answer::Found(found)) => !swaps && found == state,
                    None => true,
                    Some(_) => false,
                };
                (next, fits)
            }
            (Call::Delete, Some(Answer::Deleted(deleted))) => (None, deleted == state.is_some()),
            (Call::Delete, Some(Answer::Done) | None) => (None, true),
            _ => (state, false),
        };
        fits.then_some(next)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Operation {
            client,
            key,
            call,
            began,
            ended,
        } = self;
        match ended {
            Some((ended, answer)) => {
                write!(
                    f,
                    "{began:>12} to {ended:>12} client {client} {key}: {call:?} {answer:?}"
                )
            }
            None => write!(f, "{began:>12} to            ? client {client} {key}: {call:?}"),
        }
    }
}
