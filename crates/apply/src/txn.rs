//! Transactions: which branches are taken, what may refuse them, and their execution.
//!
//! Three passes over the request, each in the order in which operations run. All comparisons, nested ones too, are
//! decided on the state before the transaction; then the operations of the taken branches are checked, on the same
//! state; then they are carried out, and by now nothing but a fault of the store can fail: either everything of a
//! transaction happens or nothing.

use crate::error::Stop;
use crate::write::Write;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::etcdserverpb::response_op::Response;
use model::{KeyRange, Revision};
use mvcc::{Kv, Read};
use std::cmp::Ordering;
use std::ops::ControlFlow;

/// Whether a transaction only reads, so that it need not go through the log: every operation of both branches is a
/// range. A nested transaction is none, whatever it holds.
pub fn is_read_only(request: &pb::TxnRequest) -> bool {
    request
        .success
        .iter()
        .chain(&request.failure)
        .all(|op| matches!(op.request, Some(Op::RequestRange(_))))
}

/// Whether a read-only transaction may be answered without a read barrier: all its ranges ask for that. What its
/// comparisons read does not count.
pub fn is_serializable(request: &pb::TxnRequest) -> bool {
    request
        .success
        .iter()
        .chain(&request.failure)
        .all(|op| matches!(&op.request, Some(Op::RequestRange(range)) if range.serializable))
}

/// Answers a read-only transaction (see [`is_read_only`]) from a view.
pub fn read_only(view: &impl Read, request: &pb::TxnRequest) -> mvcc::Result<pb::TxnResponse> {
    let taken = plan(view, request)?;
    let ops = branch(request, taken[0]);
    for op in ops {
        if let Some(Op::RequestRange(range)) = &op.request {
            view.check_revision(range.revision)?;
        }
    }
    let mut responses = Vec::with_capacity(ops.len());
    for op in ops {
        if let Some(Op::RequestRange(range)) = &op.request {
            responses.push(response(Response::ResponseRange(view.range(range)?)));
        }
    }
    Ok(pb::TxnResponse {
        header: header(view.revision()),
        succeeded: taken[0],
        responses,
    })
}

/// Carries out a transaction. `answer` is false where nobody waits for the result: then ranges are left out.
pub(crate) fn execute(
    write: &mut Write<'_>,
    request: &pb::TxnRequest,
    answer: bool,
) -> Result<pb::TxnResponse, Stop> {
    let taken = plan(&write.tx, request)?;
    check(write, request, &mut taken.iter())?;
    let mut response = run(write, request, &mut taken.iter(), answer)?;
    response.header = header(write.revision());
    Ok(response)
}

fn branch(request: &pb::TxnRequest, success: bool) -> &[pb::RequestOp] {
    if success {
        &request.success
    } else {
        &request.failure
    }
}

/// Which branch each transaction takes: this one first, then those nested in the branch taken, in order.
fn plan(read: &impl Read, request: &pb::TxnRequest) -> mvcc::Result<Vec<bool>> {
    let mut taken = Vec::with_capacity(1);
    plan_into(read, request, &mut taken)?;
    Ok(taken)
}

fn plan_into(read: &impl Read, request: &pb::TxnRequest, taken: &mut Vec<bool>) -> mvcc::Result<()> {
    let mut success = true;
    for compare in &request.compare {
        if !holds(read, compare)? {
            success = false;
            break;
        }
    }
    taken.push(success);
    for op in branch(request, success) {
        if let Some(Op::RequestTxn(nested)) = &op.request {
            plan_into(read, nested, taken)?;
        }
    }
    Ok(())
}

/// Whether a comparison holds for every key it names. Where there is none, numbers are compared with 0, while no
/// statement about a value holds: on the wire a missing value could not be told from an empty one.
fn holds(read: &impl Read, compare: &pb::Compare) -> mvcc::Result<bool> {
    let (mut found, mut all) = (false, true);
    let mut visit = |kv: Kv| {
        found = true;
        all = compare_kv(compare, &Facts::of(&kv));
        if all {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    match KeyRange::new(compare.key.clone(), compare.range_end.clone()) {
        KeyRange::Single(key) => {
            if let Some(kv) = read.get(&key)? {
                let _ = visit(kv);
            }
        }
        range => read.scan(&range, &mut visit)?,
    }
    if found {
        return Ok(all);
    }
    Ok(compare.target != CompareTarget::Value as i32 && compare_kv(compare, &Facts::default()))
}

/// What comparisons look at; all zero for a key that does not exist.
#[derive(Default)]
struct Facts<'a> {
    value: &'a [u8],
    create: i64,
    modified: i64,
    version: i64,
    lease: i64,
}

impl<'a> Facts<'a> {
    fn of(kv: &'a Kv) -> Facts<'a> {
        Facts {
            value: &kv.value,
            create: kv.create,
            modified: kv.modified,
            version: kv.version,
            lease: kv.lease,
        }
    }
}

/// One comparison with one key. An operand of another kind than the target counts as 0 or empty; unknown targets
/// compare as equal, and unknown relations hold: all as etcd does.
fn compare_kv(compare: &pb::Compare, facts: &Facts<'_>) -> bool {
    let operand = compare.target_union.as_ref();
    let ordering = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Value) => {
            let value = match operand {
                Some(TargetUnion::Value(value)) => &value[..],
                _ => &[],
            };
            facts.value.cmp(value)
        }
        Ok(CompareTarget::Create) => facts.create.cmp(&match operand {
            Some(TargetUnion::CreateRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Mod) => facts.modified.cmp(&match operand {
            Some(TargetUnion::ModRevision(revision)) => *revision,
            _ => 0,
        }),
        Ok(CompareTarget::Version) => facts.version.cmp(&match operand {
            Some(TargetUnion::Version(version)) => *version,
            _ => 0,
        }),
        Ok(CompareTarget::Lease) => facts.lease.cmp(&match operand {
            Some(TargetUnion::Lease(lease)) => *lease,
            _ => 0,
        }),
        Err(_) => Ordering::Equal,
    };
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}

/// Refuses the taken branches if any of their operations cannot be carried out.
fn check(
    write: &Write<'_>,
    request: &pb::TxnRequest,
    taken: &mut std::slice::Iter<'_, bool>,
) -> Result<(), Stop> {
    let success = *taken.next().unwrap_or(&false);
    for op in branch(request, success) {
        match &op.request {
            Some(Op::RequestRange(range)) => write.tx.check_revision(range.revision)?,
            Some(Op::RequestPut(put)) => write.check_put(put)?,
            Some(Op::RequestDeleteRange(_)) | None => {}
            Some(Op::RequestTxn(nested)) => check(write, nested, taken)?,
        }
    }
    Ok(())
}

fn run(
    write: &mut Write<'_>,
    request: &pb::TxnRequest,
    taken: &mut std::slice::Iter<'_, bool>,
    answer: bool,
) -> Result<pb::TxnResponse, Stop> {
    let succeeded = *taken.next().unwrap_or(&false);
    let ops = branch(request, succeeded);
    let mut responses = Vec::with_capacity(ops.len());
    for op in ops {
        responses.push(match &op.request {
            Some(Op::RequestRange(range)) => {
                let found = if answer {
                    write.range(range)?
                } else {
                    pb::RangeResponse::default()
                };
                response(Response::ResponseRange(found))
            }
            Some(Op::RequestPut(put)) => response(Response::ResponsePut(write.put(put)?)),
            Some(Op::RequestDeleteRange(delete)) => {
                response(Response::ResponseDeleteRange(write.delete_range(delete)?))
            }
            // The header of a nested response stays empty, as in etcd.
            Some(Op::RequestTxn(nested)) => {
                let mut nested = run(write, nested, taken, answer)?;
                nested.header = Some(pb::ResponseHeader::default());
                response(Response::ResponseTxn(nested))
            }
            None => pb::ResponseOp::default(),
        });
    }
    Ok(pb::TxnResponse {
        header: None,
        succeeded,
        responses,
    })
}

fn response(response: Response) -> pb::ResponseOp {
    pb::ResponseOp {
        response: Some(response),
    }
}

/// A header of which only the revision is known here.
pub(crate) fn header(revision: Revision) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader {
        revision: revision.0,
        ..Default::default()
    })
}
