//! Reads and writes.

use super::{Client, Outcome, alarms};
use crate::call::{Call, Done};
use crate::swarm::Swarm;
use crate::time::{MILLI, Nanos};
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::request_op::Request as Op;
use tokio::sync::oneshot;

/// A client that mixes all kinds of requests.
pub async fn run(mut client: Client, swarm: Swarm) {
    let think = swarm.think / MILLI;
    // Newest revision it has seen, for reads of the past.
    let mut seen = 1;
    while !client.is_over() {
        let call = choose(&mut client, &swarm, seen);
        if let Outcome::Done(done) = client.call(call).await {
            seen = seen.max(revision(&done));
        }
        client.sleep(think / 4, think * 2).await;
    }
}

/// A client that compacts.
pub async fn compact(mut client: Client) {
    let mut last = 0;
    while !client.is_over() {
        client.sleep(100, 2000).await;
        let probe = Call::Range(pb::RangeRequest {
            key: "k0".into(),
            serializable: true,
            ..Default::default()
        });
        let Outcome::Done(done) = client.call(probe).await else {
            continue;
        };
        let now = revision(&done);
        let target = match client.rng.below(10) {
            0 => last,
            1 => now + 5,
            // Exactly where something was deleted: the deletion must stay readable (etcd#18089).
            2..5 => newest_delete(&client).unwrap_or(now),
            5 | 6 => now,
            _ => client.rng.within(last.min(now) as u64, now as u64) as i64,
        };
        let request = pb::CompactionRequest {
            revision: target,
            physical: client.rng.percent(30),
        };
        if let Outcome::Done(_) = client.call(Call::Compact(request)).await {
            last = target;
        }
    }
}

fn newest_delete(client: &Client) -> Option<i64> {
    let desk = client.desk.lock();
    let mut newest = desk.judge.space.events.iter().rev().take(50);
    newest.find_map(|(revision, events)| events.iter().any(|event| event.delete).then_some(*revision))
}

/// Writes until it has succeeded; says how long that took.
pub async fn prove_life(mut client: Client, done: oneshot::Sender<Nanos>) {
    let began = client.now();
    loop {
        let members = client.desk.lock().endpoints.clone();
        // All are asked at once, as a client with several endpoints does that wants an answer soon.
        let mut tasks = Vec::new();
        for member in members {
            let mut other = Client {
                name: client.name.clone(),
                rng: client.rng.fork(member),
                desk: client.desk.clone(),
                pinned: None,
                identity: client.identity,
            };
            let put = Call::Put(pb::PutRequest {
                key: "life".into(),
                value: other.fresh_value(),
                ..Default::default()
            });
            tasks.push(tokio::spawn(async move {
                // What raised an alarm may still be under way, and has to be cleared as often.
                for lacking in other.alarms() {
                    other
                        .call_member(member, Call::Manage(alarms::clear(lacking)))
                        .await;
                }
                other.call_member(member, put).await
            }));
        }
        for _ in 0..20 {
            client.sleep(10, 10).await;
            for task in &mut tasks {
                let ready = task.is_finished();
                if ready && matches!(task.await, Ok(Outcome::Done(_))) {
                    let _ = done.send(client.now() - began);
                    return;
                }
            }
            tasks.retain(|task| !task.is_finished());
        }
    }
}

fn revision(done: &Done) -> i64 {
    let header = match done {
        Done::Range(response) => &response.header,
        Done::Put(response) => &response.header,
        Done::Delete(response) => &response.header,
        Done::Txn(response) => &response.header,
        _ => return 0,
    };
    header.as_ref().map_or(0, |header| header.revision)
}

fn key(client: &mut Client, swarm: &Swarm) -> Bytes {
    format!("k{}", client.rng.below(swarm.keys)).into()
}

/// An interval of keys: one, some, or all.
fn interval(client: &mut Client, swarm: &Swarm) -> (Bytes, Bytes) {
    match client.rng.below(4) {
        0 | 1 => (key(client, swarm), Bytes::new()),
        2 => {
            let (one, two) = (key(client, swarm), key(client, swarm));
            if one < two { (one, two) } else { (two, one) }
        }
        _ => ("k".into(), "l".into()),
    }
}

fn choose(client: &mut Client, swarm: &Swarm, seen: i64) -> Call {
    match client.rng.below(100) {
        0..35 => {
            let (value, prev_kv) = (client.fresh_value(), client.rng.percent(30));
            Call::Put(pb::PutRequest {
                key: key(client, swarm),
                value,
                prev_kv,
                ..Default::default()
            })
        }
        35..43 => {
            let (key, range_end) = match client.rng.percent(80) {
                true => (key(client, swarm), Bytes::new()),
                false => interval(client, swarm),
            };
            let prev_kv = client.rng.percent(50);
            Call::Delete(pb::DeleteRangeRequest {
                key,
                range_end,
                prev_kv,
            })
        }
        43..60 => Call::Txn(transaction(client, swarm, 0)),
        60..66 => {
            let mut range = range(client, swarm);
            range.revision = (seen - client.rng.below(60) as i64).max(1);
            Call::Range(range)
        }
        66..76 => {
            let mut range = range(client, swarm);
            range.serializable = true;
            Call::Range(range)
        }
        _ => Call::Range(range(client, swarm)),
    }
}

fn range(client: &mut Client, swarm: &Swarm) -> pb::RangeRequest {
    let (key, range_end) = interval(client, swarm);
    pb::RangeRequest {
        key,
        range_end,
        limit: if client.rng.percent(20) {
            client.rng.within(1, 5) as i64
        } else {
            0
        },
        keys_only: client.rng.percent(10),
        count_only: client.rng.percent(10),
        ..Default::default()
    }
}

fn transaction(client: &mut Client, swarm: &Swarm, depth: u32) -> pb::TxnRequest {
    let target = key(client, swarm);
    let (kind, union) = match client.rng.below(4) {
        0 => (CompareTarget::Create, TargetUnion::CreateRevision(0)),
        1 => (
            CompareTarget::Version,
            TargetUnion::Version(client.rng.below(3) as i64),
        ),
        2 => (
            CompareTarget::Mod,
            TargetUnion::ModRevision(client.rng.below(100) as i64),
        ),
        _ => (CompareTarget::Value, TargetUnion::Value("c".into())),
    };
    let results = [
        CompareResult::Equal,
        CompareResult::NotEqual,
        CompareResult::Greater,
        CompareResult::Less,
    ];
    let compare = pb::Compare {
        result: *client.rng.pick(&results) as i32,
        target: kind as i32,
        key: target.clone(),
        range_end: Bytes::new(),
        target_union: Some(union),
    };
    pb::TxnRequest {
        compare: vec![compare],
        success: operations(client, swarm, depth),
        failure: operations(client, swarm, depth),
    }
}

/// Operations that may stand together: no key is written twice.
fn operations(client: &mut Client, swarm: &Swarm, depth: u32) -> Vec<pb::RequestOp> {
    let mut ops = Vec::new();
    let mut written = Vec::new();
    for _ in 0..client.rng.below(4) {
        let target = key(client, swarm);
        let op = match client.rng.below(10) {
            0..5 if !written.contains(&target) => {
                written.push(target.clone());
                let (value, prev_kv) = (client.fresh_value(), client.rng.percent(30));
                Op::RequestPut(pb::PutRequest {
                    key: target,
                    value,
                    prev_kv,
                    ..Default::default()
                })
            }
            5..7 if !written.contains(&target) => {
                written.push(target.clone());
                Op::RequestDeleteRange(pb::DeleteRangeRequest {
                    key: target,
                    ..Default::default()
                })
            }
            7 if depth < 1 && written.is_empty() && ops.is_empty() => {
                // Alone, so that its writes meet nobody else's.
                let nested = transaction(client, swarm, depth + 1);
                return vec![pb::RequestOp {
                    request: Some(Op::RequestTxn(nested)),
                }];
            }
            _ => Op::RequestRange(range(client, swarm)),
        };
        ops.push(pb::RequestOp { request: Some(op) });
    }
    ops
}
