//! Watchers that ask for the same and catch up together.

use crate::world::{self, Op, World};
use bytes::Bytes;
use model::pb::etcdserverpb::WatchCreateRequest;
use std::task::{Context, Poll, Waker};
use watch::{Options, Response, Responses, StreamOptions};

fn from_the_beginning(range_end: &'static str) -> WatchCreateRequest {
    WatchCreateRequest {
        key: "a".into(),
        range_end: Bytes::from_static(range_end.as_bytes()),
        start_revision: 2,
        ..Default::default()
    }
}

fn poll(responses: &mut Responses) -> Option<Response> {
    match responses.poll_encoded(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => Some(response.expect("the stream is open")),
        Poll::Pending => None,
    }
}

fn drain(responses: &mut Responses) -> Vec<Response> {
    std::iter::from_fn(|| poll(responses)).collect()
}

fn written(count: usize, options: Options) -> World {
    let mut world = World::new(options);
    for number in 0..count {
        world.write(&[Op::Put("a".into(), number.to_string())]);
    }
    world
}

/// A thousand encodings of the same events, or one that goes to somebody who asked for others.
#[test]
fn only_those_who_get_the_same_share_its_encoding() {
    let mut world = written(10, Options::default());
    let (control, mut responses) = world.hub.open(StreamOptions::default());
    let same = from_the_beginning("");
    for request in [
        same.clone(),
        WatchCreateRequest {
            prev_kv: true,
            ..same.clone()
        },
        WatchCreateRequest {
            start_revision: 5,
            ..same.clone()
        },
        WatchCreateRequest {
            filters: vec![0],
            ..same.clone()
        },
        from_the_beginning("b"),
        same.clone(),
    ] {
        control.create(&request);
    }
    world::drain(&mut responses);
    world.settle();
    let got = drain(&mut responses);
    let of = |watch_id: i64| {
        got.iter()
            .filter(move |response| response.message.watch_id == watch_id)
    };
    let encoded = |watch_id| {
        let shared = of(watch_id).next().and_then(|response| response.encoded.as_ref());
        shared.expect("it is shared").bytes().as_ptr()
    };
    assert_eq!(encoded(0), encoded(5), "one memory");
    for watch_id in [0, 5] {
        assert_eq!(of(watch_id).map(Response::events).collect::<Vec<_>>(), [10]);
        assert!(of(watch_id).all(|response| response.message.events.is_empty()));
    }
    for (watch_id, events) in [(1, 10), (2, 7), (4, 10)] {
        let found: Vec<_> = of(watch_id).collect();
        assert_eq!(found.len(), 1, "watcher {watch_id}");
        assert_eq!(found[0].message.events.len(), events, "watcher {watch_id}");
        assert_eq!(found[0].encoded, None);
    }
    assert_eq!(of(3).count(), 0, "it wants no puts");
    let [shared, own] = [0, 1].map(|watch_id| of(watch_id).next().expect("it was served").clone());
    let values = |response: Response| {
        let events = world::events(&response.into_message());
        events.into_iter().map(|event| event.kv).collect::<Vec<_>>()
    };
    assert_eq!(values(shared), values(own));
}

/// A stream on which some of those who stood together are put behind: each would then need a reading of its own.
#[test]
fn a_stretch_is_for_all_on_a_stream_or_for_none() {
    // Three stretches of a thousand revisions, and room for one response of events.
    let options = Options {
        queue_responses_max: 0,
        queue_bytes_max: 1,
        ..Options::default()
    };
    let mut world = written(2500, options);
    let (control, mut responses) = world.hub.open(StreamOptions::default());
    for _ in 0..3 {
        control.create(&from_the_beginning(""));
    }
    world::drain(&mut responses);
    for events in [1000, 1000, 500] {
        world.settle();
        let got = drain(&mut responses);
        let seen: Vec<_> = got.iter().map(Response::events).collect();
        assert_eq!(seen, [events; 3]);
    }
    world.settle();
    assert!(drain(&mut responses).is_empty());
    assert_eq!(world.hub.stats().pending_events, 0);
    assert_eq!(world.hub.stats().slow_watchers, 0);
}

/// Pieces that do not fit together, of events that lie in shared memory.
#[test]
fn what_is_shared_is_cut_for_those_who_ask_for_it() {
    let mut world = written(100, Options::default());
    let (control, mut responses) = world.hub.open(StreamOptions { fragment_bytes: 500 });
    for fragment in [true, false, true] {
        control.create(&WatchCreateRequest {
            fragment,
            ..from_the_beginning("")
        });
    }
    world::drain(&mut responses);
    world.settle();
    let got = world::drain(&mut responses);
    for watch_id in 0..3 {
        let of: Vec<_> = got
            .iter()
            .filter(|response| response.watch_id == watch_id)
            .collect();
        let events: Vec<_> = of.iter().flat_map(|response| world::events(response)).collect();
        let revisions: Vec<i64> = events.iter().map(|event| event.kv.mod_revision).collect();
        assert_eq!(revisions, (2..102).collect::<Vec<_>>());
        assert_eq!(of.len() > 1, watch_id != 1);
    }
}
