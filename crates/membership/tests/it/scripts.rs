//! Runs the scripts beside this directory: blocks of commands, `---`, and what they print. After a deliberate change
//! run with UPDATE_GOLDENFILES=1 and read the difference.

use bytes::Bytes;
use membership::{Change, Cluster, InitialCluster, Member, Row, RowFamily};
use model::MemberId;
use model::pb::membershippb as pb;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// A cluster and the rows that its caller would have stored.
#[derive(Default)]
struct World {
    cluster: Option<Cluster>,
    members: BTreeMap<Bytes, Bytes>,
    meta: BTreeMap<Bytes, Bytes>,
    learners_max: Option<usize>,
}

impl World {
    fn cluster(&mut self) -> &mut Cluster {
        self.cluster.as_mut().expect("a cluster")
    }

    /// A member by its id, or by the host of its URL.
    fn id(&mut self, host: &str) -> MemberId {
        match u64::from_str_radix(host, 16) {
            Ok(id) if host.len() == 16 => MemberId(id),
            _ => newcomer(host, false).id,
        }
    }

    fn store(&mut self, rows: Vec<Row>) -> String {
        for row in &rows {
            let family = match row.family {
                RowFamily::Members => &mut self.members,
                RowFamily::Meta => &mut self.meta,
            };
            match &row.value {
                Some(value) => family.insert(row.key.clone(), value.clone()),
                None => family.remove(&row.key),
            };
        }
        format!("{} rows", rows.len())
    }

    fn change(&mut self, change: Change) -> String {
        let learners_max = self.learners_max;
        let decoded = Change::decode(change.kind(), change.member(), &change.encode());
        assert_eq!(decoded.as_ref(), Ok(&change));
        match self.cluster().apply(&change, learners_max) {
            Ok(rows) => self.store(rows),
            Err(refused) => refused.to_string(),
        }
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["bootstrap", initial, token] => {
                let initial = InitialCluster::parse(initial).expect("an initial cluster");
                match Cluster::bootstrap(&initial, token) {
                    Ok(cluster) => {
                        let rows = cluster.rows();
                        let id = cluster.id();
                        *self = World {
                            cluster: Some(cluster),
                            ..World::default()
                        };
                        format!("cluster {id}, {}", self.store(rows))
                    }
                    Err(error) => error.to_string(),
                }
            }
            ["learners", max] => {
                self.learners_max = max.parse().ok();
                "ok".into()
            }
            ["add", host] => self.change(Change::Add(newcomer(host, false))),
            ["add", "learner", host] => self.change(Change::Add(newcomer(host, true))),
            ["promote", host] => {
                let id = self.id(host);
                self.change(Change::Promote(id))
            }
            ["remove", host] => {
                let id = self.id(host);
                self.change(Change::Remove(id))
            }
            ["update", host, ref urls @ ..] => {
                let id = self.id(host);
                self.change(Change::Update(
                    id,
                    urls.iter().map(|url| (*url).to_owned()).collect(),
                ))
            }
            ["publish", host, name, ref urls @ ..] => {
                let request = pb::ClusterMemberAttrSetRequest {
                    member_id: self.id(host).0,
                    member_attributes: Some(pb::Attributes {
                        name: name.to_owned(),
                        client_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
                    }),
                };
                let rows = self.cluster().apply_attributes(&request);
                self.store(rows)
            }
            ["version", version] => {
                let request = pb::ClusterVersionSetRequest {
                    ver: version.to_owned(),
                };
                let rows = self.cluster().apply_version(&request);
                format!(
                    "{}: {:?}",
                    self.store(rows),
                    self.cluster().version().map(|version| version.to_string())
                )
            }
            ["downgrade", target] => {
                let enabled = target != "off";
                let ver = if enabled { target.to_owned() } else { String::new() };
                let rows = self
                    .cluster()
                    .apply_downgrade(&pb::DowngradeInfoSetRequest { enabled, ver });
                self.store(rows)
            }
            ["list"] => {
                let mut out = String::new();
                for member in self.cluster().members() {
                    let learner = if member.is_learner { " learner" } else { "" };
                    let urls = (member.peer_urls.join(","), member.client_urls.join(","));
                    let _ = write!(
                        out,
                        "\n  {} {:?}{learner} {} {}",
                        member.id, member.name, urls.0, urls.1
                    );
                }
                out
            }
            ["rows"] => {
                let mut out = String::new();
                for (key, value) in self.members.iter().chain(&self.meta) {
                    let _ = write!(out, "\n  {} = {}", key.escape_ascii(), value.escape_ascii());
                }
                out
            }
            ["restart"] => {
                let (members, meta) = (self.members.clone(), self.meta.clone());
                let loaded = Cluster::load(self.cluster().id(), members, meta).expect("rows");
                format!("same: {}", loaded == *self.cluster())
            }
            _ => panic!("unknown command {line:?}"),
        }
    }
}

fn newcomer(host: &str, is_learner: bool) -> Member {
    Member::new("", &[format!("http://{host}:2380")], "", Some(0), is_learner).expect("a member")
}

fn run_script(script: &str) -> String {
    let mut world = World::default();
    let mut out = String::new();
    for block in script.split("\n\n") {
        let commands = block.split("\n---").next().unwrap_or(block).trim_end();
        let mut printed = String::new();
        for line in commands
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let _ = writeln!(printed, "{}", format!("{line} → {}", world.run(line)).trim_end());
        }
        let printed: String = printed
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let _ = write!(out, "{}\n---\n{printed}\n", commands.trim_start_matches('\n'));
    }
    format!("{}\n", out.trim_end())
}

#[test]
fn scripts_print_what_is_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let printed = run_script(&recorded);
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, printed).unwrap();
        } else {
            assert_eq!(printed, recorded, "{}", path.display());
        }
    }
}
