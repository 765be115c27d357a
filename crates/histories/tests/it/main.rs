//! The checker itself, on histories of which the truth is known.

mod known;
mod random;

use histories::{Answer, Call, Operation, Verdict, check};

pub const STEPS: u64 = 1_000_000;

/// An operation with an answer.
pub fn op(client: u64, began: u64, ended: u64, call: Call, answer: Answer) -> Operation {
    Operation {
        client,
        key: "k".to_owned(),
        call,
        began,
        ended: Some((ended, answer)),
    }
}

/// An operation without one.
pub fn lost(client: u64, began: u64, call: Call) -> Operation {
    Operation {
        client,
        key: "k".to_owned(),
        call,
        began,
        ended: None,
    }
}

pub fn is_good(history: &[Operation]) -> bool {
    match check(history, STEPS) {
        Verdict::Linearizable => true,
        Verdict::Violation { .. } => false,
        Verdict::Unknown { .. } => panic!("given up"),
    }
}
