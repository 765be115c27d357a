//! Watchers: from now, from the past, from the future; with slow readers, broken streams, and a new member after each.

use super::Client;
use crate::link::{Letter, Party};
use crate::oracle::Watched;
use crate::swarm::Swarm;
use bytes::Bytes;
use model::pb::etcdserverpb as pb;
use std::time::Duration;
use tokio::sync::mpsc;

/// A watcher that resumes where it was until its history is gone.
pub async fn run(mut client: Client, swarm: Swarm) {
    // Where the last watch ended, and what it watched.
    let mut resume: Option<Watched> = None;
    while !client.is_over() {
        let request = match resume.take() {
            Some(watched) => again(watched),
            None => choose(&mut client, &swarm),
        };
        let number = watch(&mut client, request).await;
        let watched = client.desk.lock().watches.remove(&number);
        resume = watched
            .filter(|watched| watched.compacted.is_none() && watched.next > 0 && client.rng.percent(70));
    }
}

/// The same watch, from where it was.
fn again(watched: Watched) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest {
        start_revision: watched.next,
        ..watched.request
    }
}

/// Watches for some time.
async fn watch(client: &mut Client, request: pb::WatchCreateRequest) -> u64 {
    let (sender, mut responses) = mpsc::unbounded_channel();
    let delay = match client.rng.below(4) {
        0 => client.rng.below(300),
        _ => 0,
    };
    let (number, to) = {
        let mut desk = client.desk.lock();
        desk.next += 1;
        let number = desk.next;
        let to = *client.rng.pick(&desk.endpoints);
        desk.tell(&format!(
            "#{number} {} watches at m{to:x}: {:?}..{:?} from {}",
            client.name, request.key, request.range_end, request.start_revision
        ));
        desk.watches.insert(number, Watched::new(request.clone()));
        desk.streams.insert(number, (to, sender));
        let letter = Letter::Watch(number, request, delay);
        desk.outbox.put(Party::Clients, Party::Member(to), letter);
        (number, to)
    };
    // How long this watch lives; to the end of the run in many cases once faults are over.
    let mut left = client.rng.within(100, 20_000);
    loop {
        let step = client.rng.within(50, 1000).min(left);
        let waited = tokio::time::timeout(Duration::from_millis(step), responses.recv()).await;
        let (over, healed) = {
            let desk = client.desk.lock();
            (desk.stop, desk.healed)
        };
        match waited {
            Ok(Some(response)) if response.canceled => break,
            Ok(Some(_)) => {}
            // The member is gone.
            Ok(None) => break,
            Err(_) => {
                left -= step;
                if client.rng.percent(30) {
                    let desk = client.desk.lock();
                    let letter = Letter::WatchProgress(number);
                    desk.outbox.put(Party::Clients, Party::Member(to), letter);
                }
            }
        }
        // Watches that live when the run ends must have been told everything.
        if over {
            std::future::pending::<()>().await;
        }
        if left == 0 && !healed {
            break;
        }
        left = left.max(1);
    }
    let mut desk = client.desk.lock();
    desk.streams.remove(&number);
    let letter = Letter::WatchClose(number);
    desk.outbox.put(Party::Clients, Party::Member(to), letter);
    number
}

fn choose(client: &mut Client, swarm: &Swarm) -> pb::WatchCreateRequest {
    let (current, compacted) = {
        let desk = client.desk.lock();
        (desk.judge.space.revision, desk.judge.space.compacted)
    };
    let near =
        |base: i64, client: &mut Client, by: u64| base + client.rng.below(2 * by + 1) as i64 - by as i64;
    let start_revision = match client.rng.below(8) {
        0 | 1 => 0,
        2 => near(current, client, 100).max(1),
        3 => current + client.rng.below(50) as i64,
        4 | 5 => near(compacted, client, 1).max(1),
        6 => compacted.max(1),
        _ => near(current, client, 10).max(1),
    };
    let key: Bytes = format!("k{}", client.rng.below(swarm.keys)).into();
    let (key, range_end) = match client.rng.below(4) {
        0 => (key, Bytes::new()),
        1 => (key, "l".into()),
        2 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
        _ => ("k".into(), "l".into()),
    };
    let filters = match client.rng.below(10) {
        0 => vec![0],
        1 => vec![1],
        _ => Vec::new(),
    };
    pb::WatchCreateRequest {
        key,
        range_end,
        start_revision,
        progress_notify: client.rng.percent(50),
        filters,
        prev_kv: client.rng.percent(50),
        ..Default::default()
    }
}
