//! Runs tests/scripts/*: commands above the `---`, what came of them below.
//!
//! `UPDATE_GOLDENFILES=1 cargo test -p watch` records the output anew; read it before committing.

use crate::world::{self, Op, World};
use bytes::Bytes;
use model::pb::etcdserverpb::{WatchCreateRequest, WatchResponse};
use model::{EventKind, KeyRange};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;
use watch::{Control, Options, Responses, StreamOptions};

#[test]
fn scripts() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let input = text.split("---\n").next().unwrap();
        let output = format!("{input}---\n{}", run(input));
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, output).unwrap();
        } else {
            assert_eq!(text, output, "{}", path.display());
        }
    }
}

struct Runner {
    world: World,
    streams: BTreeMap<String, (Control, Responses)>,
    out: String,
}

fn run(input: &str) -> String {
    let mut runner = Runner {
        world: World::new(Options::default()),
        streams: BTreeMap::new(),
        out: String::new(),
    };
    for line in input.lines() {
        if !line.is_empty() && !line.starts_with('#') {
            runner.step(line);
        }
    }
    runner.out
}

impl Runner {
    fn step(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<i64>().unwrap();
        let say = |out: &mut String, text: String| writeln!(out, "{line} → {text}").unwrap();
        match words[..] {
            ["hub", ..] => {
                let mut options = Options::default();
                for word in &words[1..] {
                    let (name, value) = word.split_once('=').unwrap();
                    let value = number(value) as usize;
                    match name {
                        "ring" => options.ring_revisions_max = value,
                        "queue" => options.queue_responses_max = value,
                        "watchers" => options.watchers_max = value,
                        _ => panic!("{line}"),
                    }
                }
                self.world = World::new(options);
            }
            ["write", ..] => {
                let revision = self.world.write(&ops(&words[1..]));
                say(&mut self.out, format!("rev {revision}"));
            }
            // As if it had come with a snapshot.
            ["unheard", ..] => {
                let revision = self.world.write_unheard(&ops(&words[1..]));
                say(&mut self.out, format!("rev {revision}"));
            }
            ["restored"] => self.world.hub.restored(),
            ["compact", revision] => {
                let result = match self.world.compact(number(revision)) {
                    Ok(()) => "ok".to_owned(),
                    Err(error) => error.to_string(),
                };
                say(&mut self.out, result);
            }
            ["open", name] | ["open", name, _] => {
                let options = StreamOptions {
                    fragment_bytes: words.get(2).map_or(1 << 20, |word| number(word) as usize),
                };
                self.streams.insert(name.to_owned(), self.world.hub.open(options));
            }
            ["create", stream, keys, ..] => {
                let request = create(keys, &words[3..]);
                self.streams[stream].0.create(&request);
            }
            ["refuse", stream, ..] => self.streams[stream].0.refuse(&words[2..].join(" ")),
            ["cancel", stream, id] => self.streams[stream].0.cancel(number(id)),
            ["cancel", stream, id, ..] => {
                self.streams[stream]
                    .0
                    .cancel_because(number(id), &words[3..].join(" "));
            }
            ["progress", stream] => self.streams[stream].0.request_progress(),
            ["close", stream] => _ = self.streams.remove(stream),
            ["settle"] => self.world.settle(),
            ["wait", seconds] => {
                self.world.now += Duration::from_secs(number(seconds) as u64);
                self.world.settle();
            }
            ["read", stream] | ["read", stream, _] => {
                let limit = words.get(2).map_or(usize::MAX, |word| number(word) as usize);
                let responses = &mut self.streams.get_mut(stream).unwrap().1;
                let mut read: Vec<String> = std::iter::from_fn(|| world::poll(responses))
                    .take(limit)
                    .map(|response| show(&response))
                    .collect();
                if read.is_empty() {
                    read.push("nothing".to_owned());
                }
                say(&mut self.out, read.join("\n    "));
            }
            ["stats"] => {
                let stats = self.world.hub.stats();
                say(&mut self.out, format!("{stats:?}"));
            }
            _ => panic!("unknown command: {line}"),
        }
    }
}

/// `a=1` puts, `-a` deletes, `-a..c` deletes a range.
fn ops(words: &[&str]) -> Vec<Op> {
    let op = |word: &&str| match word.split_once('=') {
        Some((key, value)) => Op::Put(key.to_owned(), value.to_owned()),
        None => Op::Delete(range(word.strip_prefix('-').unwrap())),
    };
    words.iter().map(op).collect()
}

/// `a` is one key, `a..c` a range, `a..` everything from a on, `-` no key at all.
fn range(keys: &str) -> KeyRange {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    match keys.split_once("..") {
        None => KeyRange::Single(bytes(keys.trim_matches('-'))),
        Some((start, "")) => KeyRange::From(bytes(start)),
        Some((start, end)) => KeyRange::Interval(bytes(start), bytes(end)),
    }
}

fn create(keys: &str, options: &[&str]) -> WatchCreateRequest {
    let range = range(keys);
    let mut request = WatchCreateRequest {
        key: range.start().clone(),
        range_end: range.range_end(),
        ..Default::default()
    };
    for option in options {
        match option.split_once('=') {
            Some(("rev", revision)) => request.start_revision = revision.parse().unwrap(),
            Some(("id", id)) => request.watch_id = id.parse().unwrap(),
            None if *option == "prev" => request.prev_kv = true,
            None if *option == "report" => request.progress_notify = true,
            None if *option == "fragment" => request.fragment = true,
            None if *option == "noput" => request.filters.push(0),
            None if *option == "nodelete" => request.filters.push(1),
            _ => panic!("unknown option: {option}"),
        }
    }
    request
}

fn show(response: &WatchResponse) -> String {
    let revision = response.header.as_ref().unwrap().revision;
    let mut out = format!("watch {} at {revision}:", response.watch_id);
    for (flag, name) in [
        (response.created, " created"),
        (response.canceled, " canceled"),
        (response.fragment, " fragment"),
    ] {
        if flag {
            out += name;
        }
    }
    if response.compact_revision != 0 {
        write!(out, " compacted={}", response.compact_revision).unwrap();
    }
    if !response.cancel_reason.is_empty() {
        write!(out, " {:?}", response.cancel_reason).unwrap();
    }
    for event in world::events(response) {
        let key = String::from_utf8_lossy(&event.kv.key);
        let value = String::from_utf8_lossy(&event.kv.value);
        match event.kind {
            EventKind::Put => write!(out, " put {key}={value}@{}", event.kv.mod_revision).unwrap(),
            EventKind::Delete => write!(out, " delete {key}@{}", event.kv.mod_revision).unwrap(),
        }
        if let Some(prev) = event.prev {
            let value = String::from_utf8_lossy(&prev.value);
            write!(out, " (was {value}@{})", prev.mod_revision).unwrap();
        }
    }
    if out.ends_with(':') {
        out += " progress";
    }
    out
}
