//! The six guarantees of etcd's watch (ordered, unique, atomic, reliable, resumable, bookmarkable) under random
//! traffic: requests in groups, compaction, slow readers, cancels, snapshots, tiny queues and rings.
//!
//! Each watcher's responses are compared with what the history of all changes says it must have got.

use crate::traffic::{Step, Watch, options, step};
use crate::world::{self, Event, Op, World};
use bytes::Bytes;
use model::EventKind;
use model::pb::etcdserverpb::{WatchCreateRequest, WatchResponse};
use mvcc::Changes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use watch::{Control, Options, Responses, StreamOptions};

/// What one watcher asked for, and all it got.
struct Watcher {
    watch: Watch,
    /// The revision of the created answer.
    created: i64,
    start: i64,
    responses: Vec<WatchResponse>,
    /// Canceled by the client.
    canceled: bool,
    /// Told that its history is gone.
    compacted: Option<i64>,
    /// The newest revision reported by progress.
    bookmark: i64,
}

struct Stream {
    ends: Option<(Control, Responses)>,
    watchers: BTreeMap<i64, Watcher>,
    /// Creates that are not answered yet, in order.
    asked: Vec<Watch>,
}

struct Run {
    world: World,
    streams: Vec<Stream>,
    history: Vec<Arc<Changes>>,
    finished: Vec<Watcher>,
    compacted: i64,
}

impl Run {
    fn new(options: Options) -> Run {
        Run {
            world: World::new(options),
            streams: Vec::new(),
            history: Vec::new(),
            finished: Vec::new(),
            compacted: 0,
        }
    }

    fn current(&self) -> i64 {
        1 + self.history.len() as i64
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write { groups, heard } => {
                for ops in &groups {
                    self.world.stage(ops);
                }
                let changes = self.world.writer.commit().unwrap();
                self.history.extend(changes.iter().cloned());
                if heard {
                    self.world.hub.publish(changes);
                } else {
                    self.world.hub.restored();
                }
            }
            Step::Compact { back } => {
                let revision = self.current() - back;
                if revision > self.compacted && revision > 0 && self.world.compact(revision).is_ok() {
                    self.compacted = revision;
                }
            }
            Step::Open => {
                if self.streams.iter().filter(|stream| stream.ends.is_some()).count() < 4 {
                    self.streams.push(Stream {
                        ends: Some(self.world.hub.open(StreamOptions { fragment_bytes: 150 })),
                        watchers: BTreeMap::new(),
                        asked: Vec::new(),
                    });
                }
            }
            Step::Create { stream, watch, count } => {
                let start = watch.start.map_or(0, |back| (self.current() + back).max(1));
                let Some(stream) = pick(&mut self.streams, stream) else {
                    return;
                };
                let request = WatchCreateRequest {
                    key: watch.range.start().clone(),
                    range_end: watch.range.range_end(),
                    start_revision: start,
                    prev_kv: watch.prev_kv,
                    fragment: watch.fragment,
                    progress_notify: watch.report,
                    filters: watch.filters.clone(),
                    ..Default::default()
                };
                let (control, _) = stream.ends.as_ref().unwrap();
                for _ in 0..count {
                    control.create(&request);
                    stream.asked.push(Watch {
                        start: (start > 0).then_some(start),
                        ..watch.clone()
                    });
                }
            }
            Step::Cancel { stream, watcher } => {
                if let Some(stream) = pick(&mut self.streams, stream)
                    && let Some((id, _)) = stream.watchers.iter().nth(watcher)
                {
                    stream.ends.as_ref().unwrap().0.cancel(*id);
                }
            }
            Step::Progress { stream } => {
                if let Some(stream) = pick(&mut self.streams, stream) {
                    stream.ends.as_ref().unwrap().0.request_progress();
                }
            }
            Step::Read { stream, count } => {
                if let Some(stream) = pick(&mut self.streams, stream) {
                    for _ in 0..count {
                        let Some(response) = world::poll(&mut stream.ends.as_mut().unwrap().1) else {
                            break;
                        };
                        stream.accept(response);
                    }
                }
            }
            Step::Close { stream } => {
                if let Some(stream) = pick(&mut self.streams, stream) {
                    stream.ends = None;
                    self.finished
                        .extend(std::mem::take(&mut stream.watchers).into_values());
                }
            }
            Step::Tick { count } => {
                self.world.now += Duration::from_secs(60);
                for _ in 0..count {
                    self.world.hub.tick(self.world.now).unwrap();
                }
            }
        }
    }

    /// Lets everything that is under way arrive, then checks every watcher.
    fn finish(mut self) {
        loop {
            self.world.settle();
            let mut read = 0;
            for stream in self.streams.iter_mut().filter(|stream| stream.ends.is_some()) {
                for response in world::drain(&mut stream.ends.as_mut().unwrap().1) {
                    stream.accept(response);
                    read += 1;
                }
            }
            if read == 0 {
                break;
            }
        }
        assert_eq!(self.world.hub.stats().slow_watchers, 0);
        assert_eq!(self.world.hub.stats().pending_events, 0);
        for stream in std::mem::take(&mut self.streams) {
            for watcher in stream.watchers.values() {
                self.check(watcher, watcher.compacted.is_none() && !watcher.canceled);
            }
        }
        for watcher in &self.finished {
            self.check(watcher, false);
        }
        assert_eq!(self.world.hub.stats().watchers, 0);
    }

    fn check(&self, watcher: &Watcher, complete: bool) {
        let mut got: Vec<Event> = Vec::new();
        let mut last = 0;
        for response in &watcher.responses {
            let events = world::events(response);
            let header = response.header.as_ref().unwrap().revision;
            let (first, newest) = (
                events[0].kv.mod_revision,
                events[events.len() - 1].kv.mod_revision,
            );
            assert!(newest <= header, "an event from the future");
            // Ordered and unique across responses; a piece may go on with the revision that was cut.
            assert!(
                first > last || (watcher.watch.fragment && first == last),
                "out of order"
            );
            last = newest;
            got.extend(events);
        }
        let wanted: Vec<Event> = self
            .history
            .iter()
            .flat_map(|changes| changes.changes.iter())
            .filter(|change| watcher.wants(change))
            .map(|change| watcher.expects(change))
            .collect();
        if complete {
            self.equal(watcher, &got, &wanted);
        } else {
            // What was under way when it ended may be missing, but no revision in part.
            assert!(got.len() <= wanted.len(), "more than there was");
            self.equal(watcher, &got, &wanted[..got.len()]);
            if let (Some(last), Some(next)) = (got.last(), wanted.get(got.len()))
                && !watcher.watch.fragment
            {
                assert_ne!(last.kv.mod_revision, next.kv.mod_revision, "part of a revision");
            }
        }
        if let Some(compacted) = watcher.compacted {
            let reached = got
                .last()
                .map_or(watcher.start, |event| event.kv.mod_revision + 1);
            assert!(
                reached < compacted || watcher.start < compacted,
                "canceled without need"
            );
        }
    }

    /// The previous version may be missing where it was compacted away before the event was read.
    fn equal(&self, watcher: &Watcher, got: &[Event], wanted: &[Event]) {
        assert_eq!(
            got.len(),
            wanted.len(),
            "{:?} from {}",
            watcher.watch,
            watcher.start
        );
        for (got, wanted) in got.iter().zip(wanted) {
            assert_eq!(
                (got.kind, &got.kv),
                (wanted.kind, &wanted.kv),
                "{:?}",
                watcher.watch
            );
            match &got.prev {
                Some(_) => assert_eq!(got.prev, wanted.prev),
                None => assert!(
                    wanted
                        .prev
                        .as_ref()
                        .is_none_or(|prev| prev.mod_revision < self.compacted)
                ),
            }
        }
    }
}

impl Stream {
    fn accept(&mut self, response: WatchResponse) {
        let id = response.watch_id;
        let header = response.header.as_ref().unwrap().revision;
        if response.created {
            let watch = self.asked.remove(0);
            let start = watch.start.unwrap_or(header + 1);
            assert!(!response.canceled);
            let watcher = Watcher {
                watch,
                created: header,
                start,
                responses: Vec::new(),
                canceled: false,
                compacted: None,
                bookmark: 0,
            };
            assert!(self.watchers.insert(id, watcher).is_none());
            return;
        }
        if id == watch::NO_WATCH {
            for watcher in self.watchers.values_mut().filter(|watcher| watcher.is_alive()) {
                watcher.mark(header);
            }
            return;
        }
        let watcher = self
            .watchers
            .get_mut(&id)
            .expect("a response before the created one");
        assert!(watcher.is_alive(), "a response after the last one");
        if response.compact_revision != 0 {
            assert!(response.canceled && header == 0);
            watcher.compacted = Some(response.compact_revision);
        } else if response.canceled {
            watcher.canceled = true;
        } else if response.events.is_empty() {
            watcher.mark(header);
        } else {
            for event in world::events(&response) {
                assert!(
                    event.kv.mod_revision > watcher.bookmark,
                    "an event below the bookmark"
                );
                assert!(
                    event.kv.mod_revision >= watcher.start,
                    "an event before the start"
                );
            }
            watcher.responses.push(response);
        }
    }
}

impl Watcher {
    fn is_alive(&self) -> bool {
        !self.canceled && self.compacted.is_none()
    }

    fn mark(&mut self, revision: i64) {
        assert!(revision >= self.bookmark, "progress went back");
        assert!(
            self.watch.start.is_none_or(|start| revision >= start),
            "progress before the start"
        );
        self.bookmark = revision;
    }

    fn wants(&self, change: &mvcc::Change) -> bool {
        let revision = self.expects(change).kv.mod_revision;
        let filtered = match change.kind {
            EventKind::Put => self.watch.filters.contains(&0),
            EventKind::Delete => self.watch.filters.contains(&1),
        };
        let first = self.watch.start.unwrap_or(self.created + 1);
        self.watch.range.contains(&change.key) && !filtered && revision >= first
    }

    fn expects(&self, change: &mvcc::Change) -> Event {
        let response = WatchResponse {
            events: vec![match self.watch.prev_kv {
                true => change.event_with_prev(),
                false => change.event.clone(),
            }],
            ..Default::default()
        };
        world::events(&response).remove(0)
    }
}

fn pick(streams: &mut [Stream], number: usize) -> Option<&mut Stream> {
    streams
        .iter_mut()
        .filter(|stream| stream.ends.is_some())
        .nth(number)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn watchers_get_what_happened(options in options(), steps in prop::collection::vec(step(), 1..150)) {
        let mut run = Run::new(options);
        run.step(Step::Open);
        run.step(Step::Open);
        for step in steps {
            run.step(step);
        }
        run.finish();
    }
}

#[test]
fn shared_bytes_are_encoded_once() {
    let mut world = World::new(Options::default());
    let streams: Vec<_> = (0..3).map(|_| world.hub.open(StreamOptions::default())).collect();
    for (control, _) in &streams {
        control.create(&WatchCreateRequest {
            key: Bytes::from_static(b"a"),
            prev_kv: true,
            ..Default::default()
        });
    }
    world.write(&[Op::Put("a".into(), "1".into())]);
    world.write(&[Op::Put("a".into(), "2".into())]);
    let mut pointers = Vec::new();
    for (_, mut responses) in streams {
        let last = world::drain(&mut responses).pop().unwrap();
        pointers.push(last.events[0].as_ptr());
    }
    assert!(pointers.windows(2).all(|pair| pair[0] == pair[1]));
}
