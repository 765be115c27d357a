//! Runs the scripts beside this directory: blocks of commands, `---`, and what they print. After a deliberate change
//! run with UPDATE_GOLDENFILES=1 and read the difference.

use bytes::Bytes;
use lease::{Lessor, Options, Renewal, rows};
use model::LeaseId;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// A lessor with its clock and the rows that its caller would have stored.
struct World {
    lessor: Lessor,
    options: Options,
    now: Duration,
    leases: BTreeMap<Bytes, Bytes>,
    attachments: BTreeMap<Bytes, ()>,
}

impl World {
    fn new() -> World {
        let options = Options::default();
        World {
            lessor: Lessor::new(options.clone()),
            options,
            now: Duration::ZERO,
            leases: BTreeMap::new(),
            attachments: BTreeMap::new(),
        }
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let id = |word: &str| LeaseId(i64::from_str_radix(word, 16).expect("a lease id"));
        let secs = |word: &str| Duration::from_secs_f64(word.parse().expect("seconds"));
        match words[..] {
            ["checkpoints", "every", interval] => {
                self.options.checkpoint_interval = Some(secs(interval));
                self.lessor = Lessor::new(self.options.clone());
                "ok".into()
            }
            ["at", time] => {
                self.now = secs(time);
                "ok".into()
            }
            ["promote"] => self.promote(Duration::ZERO),
            ["promote", "extend", extend] => self.promote(secs(extend)),
            ["demote"] => {
                self.lessor.demote();
                "ok".into()
            }
            ["grant", lease, ttl] => match self.lessor.grant(id(lease), ttl.parse().expect("a TTL")) {
                Ok(lease) => {
                    self.leases
                        .insert(rows::lease_key(lease.id), rows::lease_value(&lease));
                    format!("ttl {}", lease.ttl)
                }
                Err(refused) => refused.to_string(),
            },
            ["revoke", lease] => match self.lessor.revoke(id(lease)) {
                Ok(keys) => {
                    self.leases.remove(&rows::lease_key(id(lease)));
                    for key in &keys {
                        self.attachments.remove(&rows::attachment_key(id(lease), key));
                    }
                    format!("delete {}", join(&keys))
                }
                Err(refused) => refused.to_string(),
            },
            ["attach", lease, key] => match self.lessor.attach(id(lease), key.as_bytes()) {
                Ok(()) => {
                    self.attachments
                        .insert(rows::attachment_key(id(lease), key.as_bytes()), ());
                    "ok".into()
                }
                Err(refused) => refused.to_string(),
            },
            ["detach", lease, key] => {
                self.attachments
                    .remove(&rows::attachment_key(id(lease), key.as_bytes()));
                format!("hung there: {}", self.lessor.detach(id(lease), key.as_bytes()))
            }
            ["renew", lease] => match self.lessor.renew(id(lease), self.now) {
                Renewal::Renewed {
                    ttl,
                    clear_checkpoint: false,
                } => format!("ttl {ttl}"),
                Renewal::Renewed {
                    ttl,
                    clear_checkpoint: true,
                } => format!("ttl {ttl}, clear the checkpoint"),
                other => format!("{other:?}"),
            },
            ["expired"] => ids(&self.lessor.expired(self.now, usize::MAX)),
            ["expired", max] => ids(&self.lessor.expired(self.now, max.parse().expect("a number"))),
            ["checkpoints"] => {
                let due = self.lessor.checkpoints_due(self.now, usize::MAX);
                let due: Vec<_> = due
                    .iter()
                    .map(|due| format!("{}={}", due.id, due.remaining_ttl))
                    .collect();
                format!("due [{}]", due.join(" "))
            }
            ["checkpoint", lease, remaining] => {
                match self
                    .lessor
                    .checkpoint(id(lease), remaining.parse().expect("seconds"))
                {
                    Some(lease) => {
                        self.leases
                            .insert(rows::lease_key(lease.id), rows::lease_value(&lease));
                        format!("remaining {}", lease.remaining_ttl)
                    }
                    None => "no such lease".into(),
                }
            }
            ["ttl", lease] => match self.lessor.time_to_live(id(lease), self.now) {
                None => "no such lease".into(),
                Some(ttl) => format!(
                    "granted {} remaining {:?} keys {}",
                    ttl.granted,
                    ttl.remaining,
                    join(&self.lessor.keys(id(lease)).unwrap_or_default())
                ),
            },
            ["leases"] => ids(&self.lessor.leases(self.now)),
            ["wakeup"] => format!("{:?}", self.lessor.next_wakeup(self.now)),
            ["restart"] => {
                let leases = self.leases.clone();
                let attachments = self.attachments.keys().cloned();
                match Lessor::load(self.options.clone(), leases, attachments) {
                    Ok(lessor) => {
                        self.lessor = lessor;
                        format!("{} leases", self.lessor.len())
                    }
                    Err(error) => error.to_string(),
                }
            }
            ["rows"] => {
                let mut out = String::new();
                for (key, value) in &self.leases {
                    let lease = rows::decode_lease(key, value).expect("a lease");
                    let _ = write!(out, "{}: {} {}; ", lease.id, lease.ttl, lease.remaining_ttl);
                }
                for key in self.attachments.keys() {
                    let (id, key) = rows::decode_attachment(key).expect("an attachment");
                    let _ = write!(out, "{id}/{} ", String::from_utf8_lossy(key));
                }
                out.trim_end().to_owned()
            }
            _ => panic!("unknown command {line:?}"),
        }
    }

    fn promote(&mut self, extend: Duration) -> String {
        self.lessor.promote(self.now, extend);
        "ok".into()
    }
}

fn ids(ids: &[LeaseId]) -> String {
    format!(
        "[{}]",
        ids.iter().map(LeaseId::to_string).collect::<Vec<_>>().join(" ")
    )
}

fn join(keys: &[Bytes]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
    format!("[{}]", keys.join(" "))
}

fn run_script(script: &str) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for block in script.split("\n\n") {
        let commands = block.split("---").next().unwrap_or(block).trim_end();
        let mut printed = String::new();
        for line in commands
            .lines()
            .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        {
            let _ = writeln!(printed, "{}", format!("{line} → {}", world.run(line)).trim_end());
        }
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
