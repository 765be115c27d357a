//! The operations that are counted. Each prepares a state that does not depend on the count.

use crate::log::PlainDir;
use crate::member::{GROUP, Member, fill};
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use model::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use prost::Message;
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wal::{Record, Wal};

/// Whatever went wrong; nothing should.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One kind of request.
pub struct Operation {
    /// As the command line and ceilings.txt have it.
    pub name: &'static str,
    /// For the help.
    pub about: &'static str,
    /// Prepares, then does the operation that many times.
    pub run: fn(usize) -> Result<(), Failure>,
}

/// All of them.
pub const ALL: &[Operation] = &[
    Operation {
        name: "put",
        about: "a put of 256 bytes over one of 5,000 keys, in groups of 100, watched by nobody",
        run: put,
    },
    Operation {
        name: "txn",
        about: "a compare-and-swap of such a key, in groups of 100",
        run: txn,
    },
    Operation {
        name: "get",
        about: "a get of such a key",
        run: get,
    },
    Operation {
        name: "range",
        about: "a range of 1,000 such keys",
        run: range,
    },
    Operation {
        name: "event",
        about: "an event of such a put to one watcher, in groups of 100",
        run: event,
    },
    Operation {
        name: "append",
        about: "an entry of 300 bytes to the log, written and synced in groups of 100",
        run: append,
    },
];

/// Keys in the store.
const KEYS: usize = 5_000;
/// Most events that can be counted, since their changes are made before.
const EVENTS_MAX: usize = 4_000;
/// Most entries that can be counted: what fits into half of the log's first segment.
const ENTRIES_MAX: usize = 4_000;

fn key(number: usize) -> Bytes {
    format!("/registry/pods/{number:08}").into()
}

/// Keys in an order that is no order, the same each time.
fn scattered(number: usize) -> usize {
    number.wrapping_mul(0x9e37_79b9) % KEYS
}

fn put_request(number: usize) -> Bytes {
    let request = pb::PutRequest {
        key: key(scattered(number)),
        value: vec![b'v'; 256].into(),
        ..Default::default()
    };
    request.encode_to_vec().into()
}

fn filled() -> Result<Member, Failure> {
    let mut member = Member::new()?;
    for number in 0..KEYS {
        let request = pb::PutRequest {
            key: key(number),
            value: vec![b'o'; 256].into(),
            ..Default::default()
        };
        member.put(request.encode_to_vec().into())?;
        if (number + 1) % GROUP == 0 {
            let changes = member.commit()?;
            member.hub().publish(changes);
            member.answer();
        }
    }
    Ok(member)
}

fn write(
    count: usize,
    request: fn(usize) -> Bytes,
    propose: fn(&mut Member, Bytes) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut member = filled()?;
    for number in 0..count {
        propose(&mut member, request(number))?;
        if (number + 1) % GROUP == 0 {
            let changes = member.commit()?;
            member.hub().publish(changes);
            member.answer();
        }
    }
    Ok(())
}

fn put(count: usize) -> Result<(), Failure> {
    write(count, put_request, Member::put)
}

fn txn(count: usize) -> Result<(), Failure> {
    fn request(number: usize) -> Bytes {
        let key = key(scattered(number));
        let compare = pb::Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Lease.into(),
            key: key.clone(),
            range_end: Bytes::new(),
            target_union: Some(TargetUnion::Lease(0)),
        };
        let put = pb::PutRequest {
            key,
            value: vec![b'v'; 256].into(),
            ..Default::default()
        };
        let request = pb::TxnRequest {
            compare: vec![compare],
            success: vec![pb::RequestOp {
                request: Some(pb::request_op::Request::RequestPut(put)),
            }],
            failure: Vec::new(),
        };
        request.encode_to_vec().into()
    }
    write(count, request, Member::txn)
}

fn get(count: usize) -> Result<(), Failure> {
    let member = filled()?;
    for number in 0..count {
        let request = pb::RangeRequest {
            key: key(scattered(number)),
            ..Default::default()
        };
        member.get(request.encode_to_vec().into())?;
    }
    Ok(())
}

fn range(count: usize) -> Result<(), Failure> {
    let member = filled()?;
    for number in 0..count {
        let from = number * 1_000 % KEYS;
        let request = pb::RangeRequest {
            key: key(from),
            range_end: key(from + 1_000),
            ..Default::default()
        };
        member.range(request.encode_to_vec().into())?;
    }
    Ok(())
}

fn event(count: usize) -> Result<(), Failure> {
    let mut member = filled()?;
    let (control, mut responses) = member.hub().open(watch::StreamOptions::default());
    let request = pb::WatchCreateRequest {
        key: key(0),
        range_end: key(KEYS),
        ..Default::default()
    };
    control.create(&request).ok_or("the watcher did not come to be")?;
    let mut groups = Vec::new();
    for number in 0..EVENTS_MAX {
        member.put(put_request(number))?;
        if (number + 1) % GROUP == 0 {
            groups.push(member.commit()?);
            member.answer();
        }
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut events = 0;
    for changes in groups.into_iter().take(count / GROUP) {
        member.hub().publish(changes);
        while let Poll::Ready(Some(mut response)) = responses.poll_encoded(&mut context) {
            fill(&mut response.message.header);
            events += response.events();
            black_box(response.message.encode_to_vec());
        }
    }
    if events != count {
        return Err(format!("{events} of {count} events came").into());
    }
    Ok(())
}

fn append(count: usize) -> Result<(), Failure> {
    if count > ENTRIES_MAX {
        return Err(format!("no more than {ENTRIES_MAX}, or a new segment would be counted too").into());
    }
    let options = wal::Options {
        background: false,
        ..Default::default()
    };
    let mut log = Wal::create_in(Arc::new(PlainDir::default()), b"costs", options)?;
    let data = vec![b'd'; 300];
    let mut last = 0;
    while last < count as u64 {
        let group: Vec<Record<'_>> = (last + 1..=last + GROUP as u64)
            .map(|index| Record::Entry {
                kind: 0,
                index,
                term: 1,
                data: &data,
            })
            .collect();
        log.append(&group)?;
        log.sync()?;
        last += GROUP as u64;
    }
    Ok(())
}
