//! Histories that people have thought about.

use crate::{is_good, lost, op};
use histories::Answer::{Before, Deleted, Done, Found, Swapped, Value};
use histories::Call::{Delete, Get, Put, Swap};
use histories::{Verdict, check};

#[test]
fn one_after_the_other() {
    assert!(is_good(&[
        op(1, 0, 1, Get, Value(None)),
        op(1, 2, 3, Put(1), Done),
        op(2, 4, 5, Get, Value(Some(1))),
        op(2, 6, 7, Swap(Some(1), 2), Swapped(true)),
        op(1, 8, 9, Swap(Some(1), 3), Found(Some(2))),
        op(1, 10, 11, Put(4), Before(Some(2))),
        op(1, 12, 13, Delete, Deleted(true)),
        op(1, 14, 15, Delete, Deleted(false)),
        op(1, 16, 17, Swap(None, 5), Swapped(true)),
    ]));
}

#[test]
fn what_overlaps_may_have_happened_in_either_order() {
    for seen in [None, Some(1)] {
        assert!(is_good(&[
            op(1, 0, 10, Put(1), Done),
            op(2, 1, 9, Get, Value(seen))
        ]));
    }
    // Two readers during a write: the second may see it and the first not, but not the other way round.
    let story = |first, second| {
        is_good(&[
            op(1, 0, 10, Put(1), Done),
            op(2, 1, 2, Get, Value(first)),
            op(3, 3, 4, Get, Value(second)),
        ])
    };
    assert!(story(None, Some(1)));
    assert!(!story(Some(1), None));
}

#[test]
fn a_stale_read() {
    assert!(!is_good(&[
        op(1, 0, 1, Put(1), Done),
        op(1, 2, 3, Put(2), Done),
        op(2, 4, 5, Get, Value(Some(1))),
    ]));
}

#[test]
fn a_value_that_nobody_wrote() {
    assert!(!is_good(&[
        op(1, 0, 1, Put(1), Done),
        op(2, 0, 9, Get, Value(Some(7)))
    ]));
}

#[test]
fn a_lost_update() {
    assert!(!is_good(&[
        op(1, 0, 1, Put(1), Done),
        op(1, 2, 9, Swap(Some(1), 2), Swapped(true)),
        op(2, 2, 9, Swap(Some(1), 3), Swapped(true)),
    ]));
}

#[test]
fn a_write_that_vanished() {
    assert!(!is_good(&[
        op(1, 0, 1, Put(1), Done),
        op(2, 2, 3, Get, Value(None))
    ]));
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_or_never() {
    let put = || lost(1, 0, Put(1));
    assert!(is_good(&[put(), op(2, 100, 101, Get, Value(None))]));
    assert!(is_good(&[put(), op(2, 100, 101, Get, Value(Some(1)))]));
    assert!(is_good(&[
        put(),
        op(2, 100, 101, Get, Value(None)),
        op(2, 102, 103, Get, Value(Some(1)))
    ]));
    // But only once, and not before it was sent.
    assert!(!is_good(&[
        put(),
        op(2, 100, 101, Get, Value(Some(1))),
        op(2, 102, 103, Put(2), Done),
        op(2, 104, 105, Get, Value(Some(1))),
    ]));
    assert!(!is_good(&[op(2, 0, 1, Get, Value(Some(1))), lost(1, 2, Put(1))]));
}

#[test]
fn keys_are_judged_apart() {
    let mut wrong = op(1, 4, 5, Get, Value(Some(9)));
    wrong.key = "other".to_owned();
    let history = [op(1, 0, 1, Put(9), Done), wrong];
    let Verdict::Violation { key, history, .. } = check(&history, crate::STEPS) else {
        panic!("the other key was never written");
    };
    assert_eq!((key.as_str(), history.len()), ("other", 1));
}

#[test]
fn a_search_that_is_too_long_is_given_up() {
    let history: Vec<_> = (0..40).map(|n| op(n, 0, 100, Put(n), Done)).collect();
    assert!(matches!(check(&history, 10), Verdict::Unknown { .. }));
}
