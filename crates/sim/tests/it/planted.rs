//! Bugs that are planted on purpose must be found: a simulator that finds nothing proves nothing.

use planted::Bug;
use sim::plant;

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        let outcome = plant(*bug, 0..1000, false);
        println!(
            "{:?}: found by seed {:?}",
            outcome.bug,
            outcome.first.as_ref().map(|first| first.seed)
        );
        if let Some(failure) = outcome.innocent {
            panic!("without a bug: {failure}");
        }
        if outcome.first.is_none() {
            missed.push(outcome.bug);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
