//! etcd's Range: every option, and the quirks that clients may have come to rely on
//! (etcd server/etcdserver/txn/range.go).

use crate::Result;
use crate::count::{self, Tally};
use crate::kv::{Fields, before_value, without_value};
use crate::page_counts::PageCount;
use crate::reader::{Arena, Found, Order, Reader};
use crate::wire::{Kvs, WireRange};
use bytes::Bytes;
use model::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use model::pb::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use model::{KeyRange, Revision};
use std::cmp::Ordering;
use std::ops::ControlFlow;

impl Reader<'_> {
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse> {
        let revision = self.readable(request.revision)?;
        let keys = KeyRange::new(request.key.clone(), request.range_end.clone());
        let mut response = RangeResponse {
            header: Some(ResponseHeader {
                revision: self.revision.0,
                ..Default::default()
            }),
            ..Default::default()
        };
        if request.count_only {
            response.count = count::count(self, &keys, revision)? as i64;
            return Ok(response);
        }
        let plan = Plan::new(request);
        if let KeyRange::Single(key) = &keys {
            if let Some(found) = self.get_at(key, revision)? {
                response.count = 1;
                if plan.wants(found.head())? {
                    let kv = plan.strip(found, &mut Arena::default())?;
                    response.kvs.push(plan.strip_at_end(kv)?);
                }
            }
            return Ok(response);
        }
        let mut selection = Selection::new(&plan);
        response.count = self.walk(request, &keys, revision, &plan, &mut selection)? as i64;
        (response.kvs, response.more) = selection.finish()?;
        Ok(response)
    }

    pub fn range_wire(&self, request: &RangeRequest) -> Result<WireRange> {
        let revision = self.readable(request.revision)?;
        let keys = KeyRange::new(request.key.clone(), request.range_end.clone());
        let plan = Plan::new(request);
        let mut answer = WireRange {
            revision: self.revision,
            ..Default::default()
        };
        // What is sorted, or is one key, has to be held by itself first.
        if request.count_only || plan.sort.is_some() || matches!(keys, KeyRange::Single(_)) {
            let response = self.range(request)?;
            let mut kvs = Kvs::default();
            response.kvs.into_iter().for_each(|kv| kvs.push_shared(kv));
            (answer.more, answer.count) = (response.more, response.count);
            answer.kvs = kvs.finish();
            return Ok(answer);
        }
        let mut page = Page::new(&plan);
        answer.count = self.walk(request, &keys, revision, &plan, &mut page)? as i64;
        answer.more = page.is_over;
        answer.kvs = page.kvs.finish();
        Ok(answer)
    }

    /// Offers keys until there are enough, and returns how many there are.
    fn walk(
        &self,
        request: &RangeRequest,
        keys: &KeyRange,
        revision: Revision,
        plan: &Plan<'_>,
        answer: &mut impl Answer,
    ) -> Result<u64> {
        let mut tally = Tally::new(self, keys, revision, plan.walk);
        let complete = self.visit(keys.bounds(), plan.walk, revision, |key, found| {
            tally.pass(key);
            if !answer.is_full() {
                answer.offer(key, found)?;
            }
            Ok(if answer.is_full() && tally.is_enough(key) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        if complete {
            return Ok(tally.passed());
        }
        let total = self.total(request, keys, revision, &tally)?;
        if let (Some(counts), true, Some((len, last))) = (self.page_counts, plan.is_page(), answer.page()?) {
            counts.put(PageCount {
                revision,
                start: [last, &[0]].concat().into(),
                end: request.range_end.clone(),
                count: total.saturating_sub(len as u64),
            });
        }
        Ok(total)
    }

    fn total(
        &self,
        request: &RangeRequest,
        keys: &KeyRange,
        revision: Revision,
        tally: &Tally,
    ) -> Result<u64> {
        if let Some(total) = tally.total(self, keys)? {
            return Ok(total);
        }
        let known = self.page_counts;
        match known.and_then(|counts| counts.get(revision, &request.key, &request.range_end)) {
            Some(total) => Ok(total),
            None => count::count(self, keys, revision),
        }
    }
}

/// What keys are offered to.
trait Answer {
    /// Whether no further key can change the answer.
    fn is_full(&self) -> bool;

    fn offer(&mut self, key: &[u8], found: Found<'_>) -> Result<()>;

    /// Of an answer that is a page: the number of its keys, and the last one.
    fn page(&self) -> Result<Option<(usize, &[u8])>>;
}

/// What a request comes down to.
struct Plan<'a> {
    request: &'a RangeRequest,
    walk: Order,
    /// `None`: as the walk goes.
    sort: Option<(SortTarget, SortOrder)>,
    /// Stop walking when more than this many keys have passed the filters.
    walk_max: Option<usize>,
    /// Return no more than this many.
    limit: Option<usize>,
}

impl<'a> Plan<'a> {
    fn new(request: &'a RangeRequest) -> Plan<'a> {
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        // Values that the enums do not know never get here: the gateway refuses them.
        let target = SortTarget::try_from(request.sort_target).unwrap_or(SortTarget::Key);
        let order = SortOrder::try_from(request.sort_order).unwrap_or(SortOrder::None);
        let mut plan = Plan {
            request,
            walk: Order::Ascending,
            sort: None,
            walk_max: limit,
            limit,
        };
        match (target, order) {
            (SortTarget::Key, SortOrder::None | SortOrder::Ascend) => {}
            (SortTarget::Key, SortOrder::Descend) => plan.walk = Order::Descending,
            // A target without an order sorts ascending, but only what the limit has let through; unless a filter
            // is set, for then etcd fetches everything first.
            (target, SortOrder::None) => {
                plan.sort = Some((target, SortOrder::Ascend));
                if plan.filters() {
                    plan.walk_max = None;
                }
            }
            (target, order) => {
                plan.sort = Some((target, order));
                plan.walk_max = None;
            }
        }
        plan
    }

    /// Whether the answer is the first keys of the range, so that a next page follows it.
    fn is_page(&self) -> bool {
        self.walk == Order::Ascending && self.sort.is_none() && !self.filters()
    }

    fn filters(&self) -> bool {
        let request = self.request;
        [
            request.max_mod_revision,
            request.min_mod_revision,
            request.max_create_revision,
            request.min_create_revision,
        ] != [0; 4]
    }

    fn wants(&self, kv: &[u8]) -> Result<bool> {
        if !self.filters() {
            return Ok(true);
        }
        let Fields { create, modified, .. } = Fields::parse(kv)?;
        let request = self.request;
        let within = |value, min, max| (min == 0 || value >= min) && (max == 0 || value <= max);
        Ok(
            within(modified, request.min_mod_revision, request.max_mod_revision)
                && within(create, request.min_create_revision, request.max_create_revision),
        )
    }

    /// The bytes to keep. etcd 3.7 answers keys-only from its index, which knows no lease, except where the value is
    /// needed for sorting.
    fn strip(&self, found: Found<'_>, arena: &mut Arena) -> Result<Bytes> {
        if self.request.keys_only && !self.sorts_by_value() {
            return Ok(arena.copy(before_value(found.head())?));
        }
        found.keep(arena)
    }

    fn strip_at_end(&self, kv: Bytes) -> Result<Bytes> {
        if self.request.keys_only && self.sorts_by_value() {
            without_value(&kv)
        } else {
            Ok(kv)
        }
    }

    fn sorts_by_value(&self) -> bool {
        self.request.sort_target == SortTarget::Value as i32
    }
}

/// The keys that are in the answer, as far as is known.
struct Selection<'a> {
    plan: &'a Plan<'a>,
    arena: Arena,
    picked: Vec<Picked>,
}

struct Picked {
    kv: Bytes,
    rank: Rank,
}

/// What is sorted by; of equal ones the smaller key comes first, though etcd leaves that open.
enum Rank {
    Unsorted,
    Number(i64),
    Value(Bytes),
}

impl Selection<'_> {
    /// Room for this many before the worst are thrown out, so that a sorted and limited answer from a large range
    /// takes the memory of the answer, not of the range.
    const PRUNE_LEN_MIN: usize = 1024;

    fn new<'a>(plan: &'a Plan<'a>) -> Selection<'a> {
        Selection {
            plan,
            arena: Arena::default(),
            picked: Vec::new(),
        }
    }

    fn prune(&mut self) {
        let (Some((_, order)), Some(limit)) = (self.plan.sort, self.plan.limit) else {
            return;
        };
        // One more than the limit stays, to know that there are more.
        if self.picked.len() >= limit.saturating_add(1).saturating_mul(2).max(Self::PRUNE_LEN_MIN) {
            self.picked
                .select_nth_unstable_by(limit, |a, b| a.compare(b, order));
            self.picked.truncate(limit + 1);
        }
    }

    fn finish(mut self) -> Result<(Vec<Bytes>, bool)> {
        if let Some((_, order)) = self.plan.sort {
            self.picked.sort_unstable_by(|a, b| a.compare(b, order));
        }
        let more = self.plan.limit.is_some_and(|limit| self.picked.len() > limit);
        if let Some(limit) = self.plan.limit {
            self.picked.truncate(limit);
        }
        let kvs = self
            .picked
            .into_iter()
            .map(|picked| self.plan.strip_at_end(picked.kv));
        Ok((kvs.collect::<Result<_>>()?, more))
    }
}

impl Answer for Selection<'_> {
    fn is_full(&self) -> bool {
        self.plan.walk_max.is_some_and(|max| self.picked.len() > max)
    }

    fn offer(&mut self, _key: &[u8], found: Found<'_>) -> Result<()> {
        if !self.plan.wants(found.head())? {
            return Ok(());
        }
        let kv = self.plan.strip(found, &mut self.arena)?;
        let rank = match self.plan.sort {
            None => Rank::Unsorted,
            Some((target, _)) => Rank::of(target, &kv)?,
        };
        self.picked.push(Picked { kv, rank });
        self.prune();
        Ok(())
    }

    fn page(&self) -> Result<Option<(usize, &[u8])>> {
        let len = self.plan.limit.unwrap_or(usize::MAX).min(self.picked.len());
        let last = self.picked[..len].last();
        last.map(|last| Ok((len, Fields::parse(&last.kv)?.key)))
            .transpose()
    }
}

/// An answer in the order of the walk, encoded on the way.
struct Page<'a> {
    plan: &'a Plan<'a>,
    kvs: Kvs,
    len: usize,
    /// The key that the limit ends with.
    last: Vec<u8>,
    /// There is a key beyond the limit.
    is_over: bool,
}

impl Page<'_> {
    fn new<'a>(plan: &'a Plan<'a>) -> Page<'a> {
        Page {
            plan,
            kvs: Kvs::default(),
            len: 0,
            last: Vec::new(),
            is_over: false,
        }
    }
}

impl Answer for Page<'_> {
    fn is_full(&self) -> bool {
        self.is_over
    }

    fn offer(&mut self, key: &[u8], found: Found<'_>) -> Result<()> {
        if !self.plan.wants(found.head())? {
            return Ok(());
        }
        if self.plan.limit == Some(self.len) {
            self.is_over = true;
            return Ok(());
        }
        if self.plan.request.keys_only {
            self.kvs.push_without_value_and_lease(found.head())?;
        } else {
            self.kvs.push(found)?;
        }
        self.len += 1;
        if self.plan.limit == Some(self.len) {
            self.last = key.to_vec();
        }
        Ok(())
    }

    fn page(&self) -> Result<Option<(usize, &[u8])>> {
        Ok((self.len > 0).then_some((self.len, &self.last[..])))
    }
}

impl Picked {
    fn compare(&self, other: &Picked, order: SortOrder) -> Ordering {
        let by_rank = match (&self.rank, &other.rank) {
            (Rank::Number(a), Rank::Number(b)) => a.cmp(b),
            (Rank::Value(a), Rank::Value(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        let by_rank = if order == SortOrder::Descend {
            by_rank.reverse()
        } else {
            by_rank
        };
        by_rank.then_with(|| self.key().cmp(other.key()))
    }

    fn key(&self) -> &[u8] {
        // It was parsed when it was ranked.
        Fields::parse(&self.kv).map_or(&[], |fields| fields.key)
    }
}

impl Rank {
    fn of(target: SortTarget, kv: &Bytes) -> Result<Rank> {
        let fields = Fields::parse(kv)?;
        Ok(match target {
            SortTarget::Key => Rank::Unsorted,
            SortTarget::Version => Rank::Number(fields.version),
            SortTarget::Create => Rank::Number(fields.create),
            SortTarget::Mod => Rank::Number(fields.modified),
            SortTarget::Value => Rank::Value(kv.slice_ref(fields.value)),
        })
    }
}
