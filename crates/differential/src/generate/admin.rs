//! Members, alarms, and what else an administrator asks for. Nothing here takes the only member away.

use super::dice::Dice;
use crate::step::Step;
use model::pb::etcdserverpb::*;

/// Nobody's.
const STRANGER: u64 = 4711;

pub(super) fn any(dice: &mut Dice) -> Vec<Step> {
    let step = match dice.below(16) {
        0..=2 => {
            let linearizable = dice.one_in(2);
            Step::new("Cluster/MemberList", &MemberListRequest { linearizable })
        }
        3 => Step::new("Maintenance/Status", &StatusRequest {}),
        4 => Step::new("Maintenance/Defragment", &DefragmentRequest {}),
        5 => Step::new("Cluster/MemberRemove", &MemberRemoveRequest { id: STRANGER }),
        6 => Step::new("Cluster/MemberPromote", &MemberPromoteRequest { id: STRANGER }),
        7 => {
            let peer_urls = urls(dice);
            let id = STRANGER;
            Step::new("Cluster/MemberUpdate", &MemberUpdateRequest { id, peer_urls })
        }
        8 => bad_member(dice),
        9 => {
            let target_id = if dice.one_in(2) { 0 } else { STRANGER };
            Step::new("Maintenance/MoveLeader", &MoveLeaderRequest { target_id })
        }
        10..=11 => downgrade(dice),
        12 => alarm(0, dice),
        13 => alarm(2, dice),
        _ => return alarmed(dice),
    };
    vec![step]
}

fn urls(dice: &mut Dice) -> Vec<String> {
    let urls = &[
        "",
        "localhost",
        "http://127.0.0.1",
        "http://",
        "http://a/b",
        "http://%zz:1",
    ];
    (0..dice.below(3)).map(|_| (dice.pick(urls)).to_owned()).collect()
}

/// One that cannot be added, or another would be waited for.
fn bad_member(dice: &mut Dice) -> Step {
    let mut peer_urls = urls(dice);
    if dice.one_in(2) {
        peer_urls = vec!["http://127.0.0.1:2380".to_owned()];
    }
    let request = MemberAddRequest {
        peer_urls,
        is_learner: dice.one_in(2),
    };
    Step::new("Cluster/MemberAdd", &request)
}

fn downgrade(dice: &mut Dice) -> Step {
    let versions = &[
        "", "3", "3.5", "3.6", "3.6.0", "3.7.0", "3.8.0", "x.y", "4.0.0", "v3.6.0",
    ];
    let request = DowngradeRequest {
        action: dice.pick(&[0, 0, 0, 2, 3, -1]),
        version: (dice.pick(versions)).to_owned(),
    };
    Step::new("Maintenance/Downgrade", &request)
}

fn alarm(action: i32, dice: &mut Dice) -> Step {
    let request = AlarmRequest {
        action,
        member_id: dice.pick(&[0, 1, STRANGER]),
        alarm: dice.variant(3),
    };
    Step::new("Maintenance/Alarm", &request)
}

/// An alarm, some requests under it, and its end.
fn alarmed(dice: &mut Dice) -> Vec<Step> {
    let kind = 1 + dice.below(2) as i32;
    let ring = |action| {
        let request = AlarmRequest {
            action,
            member_id: 1,
            alarm: kind,
        };
        Step::new("Maintenance/Alarm", &request)
    };
    let mut steps = vec![ring(1)];
    for _ in 0..8 {
        steps.extend(match dice.below(6) {
            0 => super::kv::range(dice),
            1 => super::kv::put(dice),
            2 => super::kv::delete(dice),
            3 => super::kv::txn(dice),
            4 => super::kv::compact(dice),
            _ => super::lease::any(dice),
        });
    }
    steps.push(ring(2));
    steps
}
