//! Runs the scripts in tests/it/scripts: commands, a line `---`, and what they answered when the script was recorded.
//! `UPDATE_GOLDENFILES=1` records anew; read the difference before committing it.

use crate::support::{Fixture, bytes};
use bytes::Bytes;
use model::pb::etcdserverpb::RangeRequest;
use model::{EventKind, KeyRange, Revision};
use mvcc::{ChangesLimit, Error, HashKv, Kv, Progress, Read};
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[test]
fn scripts_answer_as_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scripts");
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let recorded = fs::read_to_string(&file).unwrap();
        let answered = run(&recorded);
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            fs::write(&file, answered).unwrap();
        } else {
            assert_eq!(answered, recorded, "{}", file.display());
        }
    }
}

/// Sections are separated by empty lines and go on with the same store.
fn run(script: &str) -> String {
    let mut fixture = Fixture::new();
    let mut grouped = false;
    let mut answered = String::new();
    for section in script.trim_end().split("\n\n") {
        let commands = section.split("\n---").next().unwrap();
        writeln!(answered, "{commands}\n---").unwrap();
        for line in commands.lines().filter(|line| !line.starts_with('#')) {
            let answer = command(&mut fixture, &mut grouped, line);
            writeln!(answered, "{line} -> {answer}").unwrap();
        }
        fixture.store.verify().unwrap();
        answered.push('\n');
    }
    answered.truncate(answered.trim_end().len());
    answered.push('\n');
    answered
}

fn command(fixture: &mut Fixture, grouped: &mut bool, line: &str) -> String {
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    match name {
        "group" => {
            *grouped = true;
            return "ok".into();
        }
        "commit" => {
            *grouped = false;
            return commit(fixture);
        }
        "get" => return or_rejection(fixture.view().range(&get_request(rest)).map(show_range)),
        "count" => {
            let request = RangeRequest {
                count_only: true,
                ..get_request(rest)
            };
            return or_rejection(
                fixture
                    .view()
                    .range(&request)
                    .map(|response| response.count.to_string()),
            );
        }
        "changes" => return or_rejection(changes(fixture, rest)),
        "sweep" => return sweep(fixture, rest),
        "hash" => {
            let hash = fixture.store.hash_kv(Revision(rest.parse().unwrap()));
            return or_rejection(hash.map(|hash| {
                let HashKv {
                    hash,
                    compact_revision,
                    hash_revision,
                } = hash;
                format!("{hash} compacted={compact_revision} revision={hash_revision}")
            }));
        }
        "rows" => return rows(fixture),
        "crash" => {
            fixture.crash(rest.parse().unwrap_or(usize::MAX));
            *grouped = false;
            let view = fixture.view();
            return format!("revision={} compacted={}", view.revision(), view.compacted());
        }
        "flush" => {
            fixture.flush();
            return "ok".into();
        }
        _ => {}
    }
    let answer = match name {
        "compact" => {
            let result = fixture.writer.compact(Revision(rest.parse().unwrap()));
            or_rejection(result.map(|()| "ok".into()))
        }
        _ => request(fixture, line),
    };
    if !*grouped {
        fixture.writer.commit().unwrap();
    }
    answer
}

/// One request; its parts are separated by "; ".
fn request(fixture: &mut Fixture, line: &str) -> String {
    let mut tx = fixture.writer.begin();
    let mut answers = Vec::new();
    for part in line.split("; ") {
        let (name, rest) = part.split_once(' ').unwrap();
        answers.push(match name {
            "put" => {
                let mut words = rest.split(' ');
                let (key, value) = words.next().unwrap().split_once('=').unwrap();
                let lease = words
                    .next()
                    .map_or(0, |lease| lease.strip_prefix("lease=").unwrap().parse().unwrap());
                let before = tx.put(bytes(key), bytes(value), lease).unwrap();
                before.map_or("created".into(), |before| format!("replaced {}", show(before)))
            }
            "del" => {
                let mut words = rest.split(' ');
                let range = key_range(&mut words);
                let deleted = tx.delete_range(&range).unwrap();
                let deleted: Vec<_> = deleted.into_iter().map(show).collect();
                format!("deleted [{}]", deleted.join(", "))
            }
            "get" => or_rejection(tx.range(&get_request(rest)).map(show_range)),
            _ => panic!("no command: {part}"),
        });
    }
    format!("{} @{}", answers.join("; "), tx.finish())
}

fn commit(fixture: &mut Fixture) -> String {
    let changes = fixture.writer.commit().unwrap();
    show_changes(&changes)
}

fn changes(fixture: &Fixture, rest: &str) -> Result<String, Error> {
    let mut words = rest.split(' ');
    let from = words.next().unwrap().parse().unwrap();
    let revisions = words.next().map_or(100, |limit| limit.parse().unwrap());
    let limit = ChangesLimit {
        revisions,
        bytes: usize::MAX,
    };
    Ok(show_changes(&fixture.view().changes(Revision(from), limit)?))
}

fn show_changes(all: &[std::sync::Arc<mvcc::Changes>]) -> String {
    let mut lines = String::new();
    for changes in all {
        for change in &changes.changes {
            let kind = match change.kind {
                EventKind::Put => "put",
                EventKind::Delete => "delete",
            };
            let prev = if change.prev_kv.is_empty() {
                String::new()
            } else {
                format!(" after {}", show(Kv::decode(change.prev_kv.clone()).unwrap()))
            };
            let kv = show(Kv::decode(change.kv.clone()).unwrap());
            write!(lines, "\n  {}/{} {kind} {kv}{prev}", changes.revision, change.sub).unwrap();
        }
    }
    if lines.is_empty() { "nothing".into() } else { lines }
}

fn sweep(fixture: &Fixture, rest: &str) -> String {
    let max = rest.parse().unwrap_or(1000);
    match fixture.store.compaction_step(max).unwrap() {
        Progress::Idle => "idle".into(),
        Progress::More { removed } => format!("removed {removed}, more to do"),
        Progress::Finished(swept) => {
            let hash = swept.hash.map_or("none".into(), |hash| hash.hash.to_string());
            format!(
                "removed {} in all, compaction to {} is done, hash {hash}",
                swept.removed, swept.revision
            )
        }
    }
}

/// The rows of the store, as far as a reader of scripts wants them.
fn rows(fixture: &Fixture) -> String {
    use std::ops::Bound::Unbounded;
    use storage::Family;
    let mut lines = String::new();
    let fresh = storage::Backend::snapshot(&*fixture.backend).unwrap();
    for family in [Family::Current, Family::Log, Family::Versions, Family::Counts] {
        write!(lines, "\n  {}:", family.name()).unwrap();
        let mut cursor = fresh.scan(family, (Unbounded, Unbounded)).unwrap();
        while let Some((key, value)) = cursor.next().unwrap() {
            match family {
                Family::Log => {
                    let at = model::RevisionKey::decode(key).unwrap();
                    write!(lines, " {}/{}", at.main, at.sub).unwrap();
                }
                Family::Versions => {
                    let (key, at) = key.split_last_chunk::<16>().unwrap();
                    let at = model::RevisionKey::decode(&at.map(|byte| !byte)).unwrap();
                    let key = key.strip_suffix(b"\0\x01").unwrap().escape_ascii();
                    write!(lines, " {key}@{}/{}", at.main, at.sub).unwrap();
                }
                Family::Counts => {
                    let count = u64::from_be_bytes(value.try_into().unwrap());
                    write!(lines, " {}:{count}", key[1..].escape_ascii()).unwrap();
                }
                _ => {
                    let mark = if value.last().unwrap() & 0x80 == 0 {
                        ""
                    } else {
                        "(deleted)"
                    };
                    write!(lines, " {}{mark}", key.escape_ascii()).unwrap();
                }
            }
        }
    }
    lines
}

/// `key [end] [option=value ...]`; an end of `*` means everything from the key on.
fn get_request(rest: &str) -> RangeRequest {
    let mut words = rest.split(' ').peekable();
    let range = key_range(&mut words);
    let mut request = RangeRequest {
        key: range.start().clone(),
        range_end: range.range_end(),
        ..Default::default()
    };
    for word in rest
        .split(' ')
        .filter(|word| word.contains('=') || *word == "keys")
    {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse().unwrap();
        match name {
            "rev" => request.revision = number(),
            "limit" => request.limit = number(),
            "minmod" => request.min_mod_revision = number(),
            "maxmod" => request.max_mod_revision = number(),
            "mincreate" => request.min_create_revision = number(),
            "maxcreate" => request.max_create_revision = number(),
            "keys" => request.keys_only = true,
            "sort" => {
                let (target, order) = value.split_once(':').unwrap();
                let place =
                    |names: [&str; 5], name| names.iter().position(|found| *found == name).unwrap() as i32;
                request.sort_target = place(["key", "version", "create", "mod", "value"], target);
                request.sort_order = place(["none", "ascend", "descend", "", ""], order);
            }
            _ => panic!("no option: {word}"),
        }
    }
    request
}

fn key_range<'a>(words: &mut impl Iterator<Item = &'a str>) -> KeyRange {
    let key = bytes(words.next().unwrap());
    match words.next() {
        Some("*") => KeyRange::From(key),
        Some(end) if !end.contains('=') && end != "keys" => KeyRange::Interval(key, bytes(end)),
        _ => KeyRange::Single(key),
    }
}

fn show_range(response: model::pb::etcdserverpb::RangeResponse) -> String {
    let kvs: Vec<_> = response
        .kvs
        .into_iter()
        .map(|kv: Bytes| show(Kv::decode(kv).unwrap()))
        .collect();
    let more = if response.more { " more" } else { "" };
    let revision = response.header.unwrap().revision;
    format!("[{}] count={}{more} @{revision}", kvs.join(", "), response.count)
}

fn show(kv: Kv) -> String {
    let mut text = format!("{}", kv.key.escape_ascii());
    if !kv.value.is_empty() {
        write!(text, "={}", kv.value.escape_ascii()).unwrap();
    }
    if kv.version != 0 {
        write!(text, " (c{} m{} v{}", kv.create, kv.modified, kv.version).unwrap();
        if kv.lease != 0 {
            write!(text, " lease {}", kv.lease).unwrap();
        }
        text.push(')');
    }
    text
}

fn or_rejection(result: Result<String, Error>) -> String {
    match result {
        Ok(answer) => answer,
        Err(Error::Rejected(rejection)) => format!("rejected: {rejection}"),
        Err(error) => panic!("{error}"),
    }
}
