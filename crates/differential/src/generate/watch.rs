//! Watchers.

use super::dice::Dice;
use crate::step::Step;
use model::pb::etcdserverpb::watch_request::RequestUnion;
use model::pb::etcdserverpb::{WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest};

pub(super) fn any(dice: &mut Dice) -> Vec<Step> {
    let union = match dice.below(16) {
        0 => None,
        1..=2 => Some(RequestUnion::ProgressRequest(WatchProgressRequest {})),
        3..=6 => Some(RequestUnion::CancelRequest(WatchCancelRequest {
            watch_id: id(dice),
        })),
        _ => Some(RequestUnion::CreateRequest(create(dice))),
    };
    vec![Step::new("Watch/Watch", &WatchRequest { request_union: union })]
}

fn create(dice: &mut Dice) -> WatchCreateRequest {
    let (key, range_end) = dice.range();
    let filters = match dice.below(6) {
        0 => vec![0],
        1 => vec![1],
        2 => vec![dice.variant(2), dice.variant(2)],
        _ => Vec::new(),
    };
    WatchCreateRequest {
        key,
        range_end,
        start_revision: if dice.one_in(2) { 0 } else { dice.revision() },
        progress_notify: dice.one_in(4),
        filters,
        prev_kv: dice.one_in(3),
        watch_id: if dice.one_in(2) { 0 } else { id(dice) },
        fragment: dice.one_in(4),
    }
}

fn id(dice: &mut Dice) -> i64 {
    match dice.below(20) {
        0 => dice.pick(&[-1, i64::MAX, i64::MIN]),
        _ => dice.below(12),
    }
}
