//! Watches: what a watcher is sent must be the history of its range, exactly.
//!
//! One comparison stands for most of the validators of etcd's robustness tests: between the first and the last revision
//! that were delivered the events must equal the model's (filter, ordered, unique, reliable, prev_kv, is-create), whole
//! revisions at a time (atomic), from the start asked for (resumable); progress may not run ahead of events, nor go back
//! (bookmarkable).

use super::{Check, KeySpace};
use model::KeyRange;
use model::pb::etcdserverpb as pb;
use model::pb::mvccpb;
use prost::Message;

/// How far one watcher is.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its request.
    pub request: pb::WatchCreateRequest,
    range: KeyRange,
    /// Next revision that it has not been told about; 0 until it is created with start 0.
    pub next: i64,
    created: bool,
    progress: i64,
    /// Events delivered.
    pub events: u64,
    /// It was cancelled because of compaction, up to here.
    pub compacted: Option<i64>,
    /// Its stream is over.
    pub ended: bool,
}

impl Watched {
    /// A watcher that has been asked for.
    pub fn new(request: pb::WatchCreateRequest) -> Watched {
        Watched {
            range: KeyRange::new(request.key.clone(), request.range_end.clone()),
            next: request.start_revision,
            created: false,
            progress: 0,
            events: 0,
            compacted: None,
            ended: false,
            request,
        }
    }

    /// Takes in a response.
    pub fn receive(&mut self, response: &pb::WatchResponse, space: &KeySpace) -> Check {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.created {
            if response.canceled {
                return Err(format!("watch refused: {}", response.cancel_reason));
            }
            if std::mem::replace(&mut self.created, true) {
                return Err("created twice".to_owned());
            }
            if self.next == 0 {
                self.next = revision + 1;
            }
            return self.sane(revision, space);
        }
        if !self.created {
            return Err("something came before the creation".to_owned());
        }
        if response.canceled {
            return self.cancelled(response, space);
        }
        self.sane(revision, space)?;
        if response.events.is_empty() {
            return self.progressed(revision, space);
        }
        self.changed(response, revision, space)
    }

    fn sane(&self, revision: i64, space: &KeySpace) -> Check {
        match revision <= space.revision {
            true => Ok(()),
            false => Err(format!(
                "revision {revision} is from the future, {} is the newest",
                space.revision
            )),
        }
    }

    fn cancelled(&mut self, response: &pb::WatchResponse, space: &KeySpace) -> Check {
        let compacted = response.compact_revision;
        self.ended = true;
        if compacted == 0 {
            return Err(format!("cancelled: {}", response.cancel_reason));
        }
        self.compacted = Some(compacted);
        if compacted > space.compacted || compacted < self.next {
            return Err(format!(
                "cancelled for compaction at {compacted}, but next was {} and the store was compacted at {}",
                self.next, space.compacted
            ));
        }
        Ok(())
    }

    fn progressed(&mut self, revision: i64, space: &KeySpace) -> Check {
        if revision < self.progress {
            return Err(format!("progress went back from {} to {revision}", self.progress));
        }
        self.progress = revision;
        if let Some((missed, event)) = self.expected(revision, space).first() {
            return Err(format!(
                "progress to {revision} before the event of {missed} on {:?}; next was {}",
                event.key, self.next
            ));
        }
        self.next = self.next.max(revision + 1);
        Ok(())
    }

    fn changed(&mut self, response: &pb::WatchResponse, revision: i64, space: &KeySpace) -> Check {
        let mut found = Vec::new();
        for event in &response.events {
            let event = mvccpb::Event::decode(event.clone()).map_err(|error| error.to_string())?;
            let kv = mvcc::Kv::decode(event.kv.clone()).map_err(|error| error.to_string())?;
            found.push((kv.modified, event));
        }
        let last = found.last().map_or(0, |(modified, _)| *modified);
        if last < self.next || last > revision {
            return Err(format!(
                "events up to {last} in a response of revision {revision}, next was {}",
                self.next
            ));
        }
        let expected = self.expected(last, space);
        let shown = |list: &mut dyn Iterator<Item = (i64, String)>| {
            let items: Vec<String> = list.map(|(revision, key)| format!("{key}@{revision}")).collect();
            items.join(" ")
        };
        if expected.len() != found.len() {
            return Err(format!(
                "from {} to {last} there are events [{}], but delivered were [{}]",
                self.next,
                shown(
                    &mut expected
                        .iter()
                        .map(|(at, event)| (*at, format!("{:?}", event.key)))
                ),
                shown(&mut found.iter().map(|(at, event)| {
                    let key = mvcc::Kv::decode(event.kv.clone()).map(|kv| kv.key);
                    (*at, format!("{:?}", key.unwrap_or_default()))
                })),
            ));
        }
        for ((at, right), (_, event)) in expected.iter().zip(&found) {
            let prev = match self.request.prev_kv {
                true => &right.prev_kv[..],
                false => &[],
            };
            // What is compacted may be missing.
            let prev_right = event.prev_kv == prev || (event.prev_kv.is_empty() && at - 1 < space.compacted);
            if event.kv != right.kv || (event.r#type == 1) != right.delete || !prev_right {
                return Err(format!("event at {at} is {event:?} instead of {right:?}"));
            }
        }
        self.events += found.len() as u64;
        self.next = last + 1;
        Ok(())
    }

    /// Events that this watcher is to be told up to a revision and has not been told.
    pub fn expected<'a>(&self, to: i64, space: &'a KeySpace) -> Vec<(i64, &'a super::keyspace::Event)> {
        use pb::watch_create_request::FilterType;
        let filtered = |kind: FilterType| self.request.filters.contains(&(kind as i32));
        let mut events = space.changes(&self.range, self.next, to);
        events.retain(|(_, event)| match event.delete {
            true => !filtered(FilterType::Nodelete),
            false => !filtered(FilterType::Noput),
        });
        events
    }
}
