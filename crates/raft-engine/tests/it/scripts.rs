//! Runs tests/it/scripts/*.txt: commands above `---`, what they bring about below. `UPDATE_GOLDENFILES=1` records anew;
//! read the difference before you keep it.
//!
//! - `cluster N [+M] [retain=K]`: N members of a new cluster, M empty ones; the first N elect nobody yet
//! - `show WORD...`: of messages, writes, applied, roles (what else happens is always shown)
//! - `tick ID COUNT`, `campaign ID`, `propose ID DATA...`, `read ID`, `transfer ID TO`, `flush ID`, `stall ID yes|no`
//! - `change ID add|learner|remove|update MEMBER ... [refuse]`, several pairs for a joint change
//! - `settle`: delivers, persists and applies until all is quiet; `persist ID`, `apply ID`, `deliver` do one kind only
//! - `cut A B`, `heal`: letters between the two are lost
//! - `lose KIND`: loses the next letter of this kind
//! - `crash ID`, `start ID`, `status`

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use raft_engine::consensus::{CoreOptions, Event};
use raft_engine::{Change, ChangeKind, ChangeStep, Configuration, PeerMessage, Role};

use crate::cluster::{Cluster, Letter, Note, options};

struct Stage {
    cluster: Option<Cluster>,
    cut: HashSet<(u64, u64)>,
    lose: Vec<String>,
    show: HashSet<String>,
    reads: u64,
}

impl Stage {
    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("`cluster` comes first")
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let id = |at: usize| words[at].parse::<u64>().expect("a member");
        let mut out = String::new();
        match words[0] {
            "cluster" => self.new_cluster(&words[1..]),
            "show" => self.show = words[1..].iter().map(|word| word.to_string()).collect(),
            "tick" => {
                for _ in 0..words.get(2).map_or(1, |count| count.parse().expect("a count")) {
                    self.cluster().event(id(1), Event::Tick);
                }
            }
            "campaign" => self.cluster().event(id(1), Event::Campaign),
            "propose" => {
                let data = words[2..]
                    .iter()
                    .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                    .collect();
                self.cluster().event(id(1), Event::Propose(data));
            }
            "read" => {
                self.reads += 1;
                let number = self.reads;
                self.cluster().event(id(1), Event::Read(number));
            }
            "transfer" => self
                .cluster()
                .event(id(1), Event::Transfer { to: id(2), number: 0 }),
            "flush" => self.cluster().flush(id(1)),
            "stall" => self.cluster().event(id(1), Event::DiskStalled(words[2] == "yes")),
            "change" => self
                .cluster()
                .event(id(1), Event::ProposeChange(change(&words[2..]))),
            "settle" => self.settle(),
            "persist" => drop(self.cluster().persist(id(1), true)),
            "apply" => while self.cluster().apply(id(1)) {},
            "deliver" => self.deliver(),
            "cut" => self.cut.extend([(id(1), id(2)), (id(2), id(1))]),
            "heal" => self.cut.clear(),
            "lose" => self.lose.push(words[1].to_string()),
            "crash" => self.cluster().crash(id(1), 0, 0),
            "start" => self.cluster().start(id(1)),
            "status" => self.status(&mut out),
            other => panic!("unknown command {other}"),
        }
        self.tell(&mut out);
        out
    }

    fn new_cluster(&mut self, words: &[&str]) {
        let mut chosen = CoreOptions { seed: 5, ..options() };
        let mut others = 0;
        for word in &words[1..] {
            match word.split_once('=') {
                Some(("retain", count)) => chosen.log_retain_entries = count.parse().expect("a count"),
                _ => {
                    others = word
                        .trim_start_matches('+')
                        .parse()
                        .expect("a number of empty members")
                }
            }
        }
        let mut cluster = Cluster::new(words[0].parse().expect("a number of members"), others, chosen);
        cluster.settle(|_| true);
        cluster.notes.clear();
        self.cluster = Some(cluster);
    }

    fn passes(cut: &HashSet<(u64, u64)>, lose: &mut Vec<String>, letter: &Letter) -> bool {
        let text = PeerMessage::decode(letter.bytes.clone()).unwrap().describe();
        if let Some(at) = lose.iter().position(|kind| text.contains(&format!(" {kind} "))) {
            lose.remove(at);
            return false;
        }
        !cut.contains(&(letter.from, letter.to))
    }

    fn settle(&mut self) {
        let Self {
            cluster, cut, lose, ..
        } = self;
        let cluster = cluster.as_mut().expect("`cluster` comes first");
        cluster.settle(|letter| Self::passes(cut, lose, letter));
    }

    fn deliver(&mut self) {
        let Self {
            cluster, cut, lose, ..
        } = self;
        let cluster = cluster.as_mut().expect("`cluster` comes first");
        for letter in std::mem::take(&mut cluster.letters) {
            if Self::passes(cut, lose, &letter) {
                cluster.deliver(letter);
            }
        }
    }

    fn status(&mut self, out: &mut String) {
        for (id, node) in &self.cluster().nodes {
            let Some(core) = &node.core else {
                writeln!(out, "{id}: down").unwrap();
                continue;
            };
            let status = core.status();
            let log = format!("log {}..{}", status.first_index, status.last_index);
            let peers: Vec<String> = status
                .peers
                .iter()
                .filter(|peer| status.role == Role::Leader && peer.id != *id)
                .map(|peer| format!("{}:{}@{:?}", peer.id, peer.matched, peer.replication.unwrap()))
                .collect();
            writeln!(
                out,
                "{id}: {:?} term={} leader={} commit={} applied={} {log} {}",
                status.role,
                status.term,
                status.leader,
                status.committed,
                status.applied,
                peers.join(" ")
            )
            .unwrap();
        }
    }

    fn tell(&mut self, out: &mut String) {
        let Some(cluster) = &mut self.cluster else { return };
        for note in std::mem::take(&mut cluster.notes) {
            let (kind, text) = match note {
                Note::Role(id, now) => (
                    "roles",
                    format!("{id}: {:?} at term {}, leader {}", now.role, now.term, now.leader),
                ),
                Note::Read(id, number, Ok(index)) => ("", format!("{id}: read {number} at {index}")),
                Note::Read(id, number, Err(error)) => ("", format!("{id}: read {number} failed: {error}")),
                Note::Transfer(id, Ok(())) => ("", format!("{id}: transfer done")),
                Note::Transfer(id, Err(error)) => ("", format!("{id}: transfer failed: {error}")),
                Note::Write(id, text) => ("writes", format!("{id}: writes {text}")),
                Note::Send(text) => ("messages", text),
                Note::Applied(id, entry) => {
                    let data = String::from_utf8_lossy(&entry.data).into_owned();
                    let data = if entry.kind == 0 {
                        data
                    } else {
                        "(change)".to_string()
                    };
                    (
                        "applied",
                        format!("{id}: applied {}/{} {data}", entry.term, entry.index),
                    )
                }
                Note::Installed(id, index) => ("", format!("{id}: installed snapshot {index}")),
                Note::Marked(id, index) => ("", format!("{id}: log starts after {index}")),
                Note::Configuration(id, now) => ("", format!("{id}: {}", describe(&now))),
                Note::Failed(id, count) => ("", format!("{id}: {count} proposals failed")),
            };
            if kind.is_empty() || self.show.contains(kind) {
                writeln!(out, "{}", text.trim_end()).unwrap();
            }
        }
    }
}

fn describe(configuration: &Configuration) -> String {
    let Configuration {
        voters,
        learners,
        voters_outgoing,
        learners_next,
        ..
    } = configuration;
    let mut text = format!("voters {voters:?}");
    let more = [
        ("learners", learners),
        ("outgoing", voters_outgoing),
        ("next learners", learners_next),
    ];
    for (name, list) in more.into_iter().filter(|(_, list)| !list.is_empty()) {
        write!(text, " {name} {list:?}").unwrap();
    }
    text
}

fn change(words: &[&str]) -> Change {
    let mut change = Change::default();
    for pair in words.chunks(2) {
        let kind = match pair[0] {
            "add" => ChangeKind::AddVoter,
            "learner" => ChangeKind::AddLearner,
            "remove" => ChangeKind::Remove,
            "update" => ChangeKind::Update,
            "refuse" => {
                change.context = Bytes::from_static(b"refuse");
                continue;
            }
            other => panic!("unknown kind of change {other}"),
        };
        change.steps.push(ChangeStep {
            kind,
            member: pair[1].parse().expect("a member"),
        });
    }
    change
}

/// Runs a script and returns it with the output as it is now.
fn play(script: &str) -> String {
    let mut stage = Stage {
        cluster: None,
        cut: HashSet::new(),
        lose: Vec::new(),
        show: HashSet::from(["roles".to_string()]),
        reads: 0,
    };
    let mut blocks = Vec::new();
    for block in script.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let commands: Vec<&str> = block
            .trim_matches('\n')
            .lines()
            .take_while(|line| *line != "---")
            .collect();
        let mut out = String::new();
        for line in commands
            .iter()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            out.push_str(&stage.run(line));
        }
        let prose = commands.iter().all(|line| line.starts_with('#'));
        let rule = if prose { "" } else { "\n---" };
        blocks.push(
            format!("{}{rule}\n{out}", commands.join("\n"))
                .trim_end()
                .to_string(),
        );
    }
    blocks.join("\n\n") + "\n"
}

#[test]
fn scripts_give_the_output_that_was_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scripts");
    let mut paths: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut changed = Vec::new();
    for path in paths {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let now = play(&recorded);
        if now == recorded {
            continue;
        }
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, now).unwrap();
        } else {
            let line = recorded.lines().zip(now.lines()).position(|(was, is)| was != is);
            let line = line.unwrap_or(recorded.lines().count().min(now.lines().count()));
            let is = now.lines().nth(line).unwrap_or("(end)").to_string();
            changed.push(format!("{}:{}: now `{is}`", path.display(), line + 1));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
