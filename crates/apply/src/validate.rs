//! Checks of a request by itself, before it is proposed: what a store would have to say does not matter here.
//! The order of the checks decides which refusal a client sees, and is etcd's.

use bytes::{BufMut, Bytes, BytesMut};
use model::Rejection;
use model::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use model::pb::etcdserverpb::request_op::Request as Op;
use model::pb::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};
use std::collections::{BTreeMap, HashSet};

/// Operations a transaction may have unless configured otherwise.
pub const TXN_OPS_MAX: usize = 128;

/// A range must name a key and a known order.
pub fn range(request: &RangeRequest) -> Result<(), Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::EmptyKey);
    }
    if SortOrder::try_from(request.sort_order).is_err() || SortTarget::try_from(request.sort_target).is_err()
    {
        return Err(Rejection::InvalidSortOption);
    }
    Ok(())
}

/// A streamed range is one that can be answered in order of keys.
pub fn range_stream(request: &RangeRequest) -> Result<(), Rejection> {
    range(request)?;
    let (order, target) = (request.sort_order(), request.sort_target());
    let by_key = order == SortOrder::None || (target == SortTarget::Key && order == SortOrder::Ascend);
    if !by_key {
        return Err(Rejection::RangeStreamSort);
    }
    let filters = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    if filters != [0; 4] {
        return Err(Rejection::RangeStreamFilter);
    }
    Ok(())
}

/// A put must name a key, and not give what it asks to keep.
pub fn put(request: &PutRequest) -> Result<(), Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::EmptyKey);
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(Rejection::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Rejection::LeaseProvided);
    }
    Ok(())
}

/// A delete must name a key.
pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), Rejection> {
    if request.key.is_empty() {
        return Err(Rejection::EmptyKey);
    }
    Ok(())
}

/// A transaction must not be too large, consist of valid operations, and not write a key twice in one run.
pub fn txn(request: &TxnRequest, ops_max: usize) -> Result<(), Rejection> {
    txn_ops(request, ops_max)?;
    // After the operations: a transaction of too many would make this expensive.
    written(&request.success)?;
    written(&request.failure)?;
    Ok(())
}

fn txn_ops(request: &TxnRequest, ops_max: usize) -> Result<(), Rejection> {
    let ops = request
        .compare
        .len()
        .max(request.success.len())
        .max(request.failure.len());
    // A nested transaction may use what this one leaves.
    let Some(ops_left) = ops_max.checked_sub(ops) else {
        return Err(Rejection::TooManyOps);
    };
    if request.compare.iter().any(|compare| compare.key.is_empty()) {
        return Err(Rejection::EmptyKey);
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(Op::RequestRange(request)) => range(request)?,
            Some(Op::RequestPut(request)) => put(request)?,
            Some(Op::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Op::RequestTxn(request)) => txn_ops(request, ops_left)?,
            None => return Err(Rejection::KeyNotFound),
        }
    }
    Ok(())
}

/// What one branch writes: its own puts and deletes and those of transactions nested in it.
#[derive(Default)]
struct Written {
    puts: HashSet<Bytes>,
    deletes: Intervals,
}

/// Collects what a branch writes, and refuses a put of a key that another operation of the branch writes as well.
///
/// The two branches of one nested transaction exclude each other and may write the same key. A nested transaction's
/// puts are held against the deletes of this level and of nested ones *before* it only: deletes of a later one are
/// not checked against them. That is etcd's rule, and clients' transactions rely on what it lets through.
fn written(ops: &[RequestOp]) -> Result<Written, Rejection> {
    let mut all = Written::default();
    for op in ops {
        if let Some(Op::RequestDeleteRange(request)) = &op.request {
            all.deletes.insert(&request.key, &request.range_end);
        }
    }
    for op in ops {
        let Some(Op::RequestTxn(request)) = &op.request else {
            continue;
        };
        let success = written(&request.success)?;
        let failure = written(&request.failure)?;
        for key in &success.puts {
            if all.puts.contains(key) || all.deletes.contains(key) {
                return Err(Rejection::DuplicateKey);
            }
        }
        for key in &failure.puts {
            if all.puts.contains(key) || all.deletes.contains(key) {
                return Err(Rejection::DuplicateKey);
            }
        }
        all.puts.extend(success.puts);
        all.puts.extend(failure.puts);
        all.deletes.extend(success.deletes);
        all.deletes.extend(failure.deletes);
    }
    for op in ops {
        let Some(Op::RequestPut(request)) = &op.request else {
            continue;
        };
        if all.deletes.contains(&request.key) || !all.puts.insert(request.key.clone()) {
            return Err(Rejection::DuplicateKey);
        }
    }
    Ok(all)
}

/// Disjoint half-open intervals by start: a point query and an insertion cost O(log n), so that a transaction made
/// to be expensive is not.
#[derive(Default)]
struct Intervals(BTreeMap<Bytes, Bytes>);

impl Intervals {
    /// Adds a delete's keys. A `range_end` of one zero byte, which means "from here on" elsewhere, gives an interval
    /// that ends before it begins and so holds nothing: etcd compares it as a string here.
    fn insert(&mut self, key: &Bytes, range_end: &Bytes) {
        let end = if range_end.is_empty() {
            successor(key)
        } else {
            range_end.clone()
        };
        if *key < end {
            self.add(key.clone(), end);
        }
    }

    fn add(&mut self, mut start: Bytes, mut end: Bytes) {
        if let Some((before, before_end)) = self.0.range::<Bytes, _>(..=&start).next_back()
            && *before_end >= start
        {
            start = before.clone();
            end = end.max(before_end.clone());
        }
        while let Some((after, after_end)) = self.0.range::<Bytes, _>(&start..).next()
            && *after <= end
        {
            end = end.max(after_end.clone());
            let after = after.clone();
            self.0.remove(&after);
        }
        self.0.insert(start, end);
    }

    fn contains(&self, key: &Bytes) -> bool {
        self.0
            .range::<Bytes, _>(..=key)
            .next_back()
            .is_some_and(|(_, end)| key < end)
    }

    fn extend(&mut self, other: Intervals) {
        for (start, end) in other.0 {
            self.add(start, end);
        }
    }
}

/// The first key after `key`.
fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op_put(key: &str) -> RequestOp {
        let request = PutRequest {
            key: key.to_owned().into(),
            ..Default::default()
        };
        RequestOp {
            request: Some(Op::RequestPut(request)),
        }
    }

    fn op_delete(key: &str, range_end: &str) -> RequestOp {
        let request = DeleteRangeRequest {
            key: key.to_owned().into(),
            range_end: range_end.to_owned().into(),
            ..Default::default()
        };
        RequestOp {
            request: Some(Op::RequestDeleteRange(request)),
        }
    }

    fn op_txn(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        let request = TxnRequest {
            success,
            failure,
            ..Default::default()
        };
        RequestOp {
            request: Some(Op::RequestTxn(request)),
        }
    }

    fn check(success: Vec<RequestOp>) -> Result<(), Rejection> {
        let request = TxnRequest {
            success,
            ..Default::default()
        };
        txn(&request, TXN_OPS_MAX)
    }

    #[test]
    fn a_key_is_written_once_in_a_branch() {
        let duplicate = Err(Rejection::DuplicateKey);
        assert_eq!(check(vec![op_put("a"), op_put("b")]), Ok(()));
        assert_eq!(check(vec![op_put("a"), op_put("a")]), duplicate);
        assert_eq!(check(vec![op_put("a"), op_delete("a", "")]), duplicate);
        assert_eq!(check(vec![op_delete("a", "c"), op_put("b")]), duplicate);
        assert_eq!(check(vec![op_delete("a", "c"), op_put("c")]), Ok(()));
        assert_eq!(check(vec![op_delete("a", ""), op_put("a0")]), Ok(()));
        assert_eq!(check(vec![op_delete("a", "c"), op_delete("b", "d")]), Ok(()));
    }

    #[test]
    fn a_delete_of_all_that_follows_conflicts_with_nothing() {
        assert_eq!(check(vec![op_delete("a", "\0"), op_put("b")]), Ok(()));
    }

    #[test]
    fn nested_transactions_count_as_part_of_the_branch() {
        let duplicate = Err(Rejection::DuplicateKey);
        let exclusive = op_txn(vec![op_put("a")], vec![op_put("a")]);
        assert_eq!(check(vec![exclusive.clone()]), Ok(()));
        assert_eq!(check(vec![exclusive.clone(), op_put("a")]), duplicate);
        assert_eq!(check(vec![exclusive.clone(), exclusive.clone()]), duplicate);
        assert_eq!(check(vec![exclusive.clone(), op_delete("a", "b")]), duplicate);
        let deletes = op_txn(vec![op_delete("a", "b")], vec![]);
        assert_eq!(check(vec![deletes.clone(), exclusive.clone()]), duplicate);
        assert_eq!(
            check(vec![exclusive, deletes]),
            Ok(()),
            "a later delete is not seen"
        );
    }

    #[test]
    fn nested_transactions_share_the_budget() {
        let wide = |ops: usize| (0..ops).map(|op| op_put(&format!("k{op}"))).collect::<Vec<_>>();
        assert_eq!(check(wide(128)), Ok(()));
        assert_eq!(check(wide(129)), Err(Rejection::TooManyOps));
        assert_eq!(check(vec![op_txn(wide(127), vec![])]), Ok(()));
        assert_eq!(check(vec![op_txn(wide(128), vec![])]), Err(Rejection::TooManyOps));
    }

    #[test]
    fn an_operation_without_request_is_a_missing_key() {
        assert_eq!(
            check(vec![RequestOp { request: None }]),
            Err(Rejection::KeyNotFound)
        );
    }

    #[test]
    fn what_is_kept_must_not_be_given() {
        let request = |ignore_value, value: &'static str, ignore_lease, lease| PutRequest {
            key: "k".into(),
            value: value.into(),
            lease,
            ignore_value,
            ignore_lease,
            ..Default::default()
        };
        assert_eq!(put(&request(true, "v", false, 0)), Err(Rejection::ValueProvided));
        assert_eq!(put(&request(false, "v", true, 7)), Err(Rejection::LeaseProvided));
        assert_eq!(put(&request(true, "", true, 0)), Ok(()));
        assert_eq!(put(&PutRequest::default()), Err(Rejection::EmptyKey));
    }

    #[test]
    fn unknown_orders_are_refused() {
        let request = |sort_order, sort_target| RangeRequest {
            key: "k".into(),
            sort_order,
            sort_target,
            ..Default::default()
        };
        assert_eq!(range(&request(2, 4)), Ok(()));
        assert_eq!(range(&request(3, 0)), Err(Rejection::InvalidSortOption));
        assert_eq!(range(&request(0, 5)), Err(Rejection::InvalidSortOption));
        assert_eq!(range(&request(-1, 0)), Err(Rejection::InvalidSortOption));
        assert_eq!(range_stream(&request(1, 0)), Ok(()));
        assert_eq!(range_stream(&request(0, 3)), Ok(()));
        assert_eq!(range_stream(&request(2, 0)), Err(Rejection::RangeStreamSort));
    }

    #[test]
    fn overlapping_intervals_are_merged() {
        let mut intervals = Intervals::default();
        for (start, end) in [
            ("d", "f"),
            ("a", "b"),
            ("e", "g"),
            ("b", "c"),
            ("c", "d"),
            ("x", "z"),
        ] {
            intervals.insert(&start.into(), &end.into());
        }
        assert_eq!(intervals.0.len(), 2);
        assert!(intervals.contains(&"f".into()) && !intervals.contains(&"g".into()));
    }
}
