//! `snapshot restore`

use crate::cli::Restore;
use crate::directory::open_database;
use crate::{Result, log, progress};
use apply::Applied;
use backup::Database;
use bytes::Bytes;
use ctl::Failure;
use membership::{Change, Cluster, InitialCluster, Member, RowFamily, check_urls};
use model::{LogIndex, MemberId, Term};
use prost::Message;
use raft_engine::Configuration;
use raft_engine::consensus::{HardState, first_entries};
use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{Batch, Family};
use wal::{Marker, Record, Wal};

pub fn run(flags: &Restore, timeout: Duration) -> Result {
    let [snapshot] = &flags.args[..] else {
        return Err(Failure::arguments(
            "snapshot restore requires exactly one argument",
        ));
    };
    if (flags.bump_revision > 0) != flags.mark_compacted {
        return Err(Failure::arguments(
            "--mark-compacted required if --revision-bump > 0",
        ));
    }
    let plan = Plan::new(flags)?;
    let fields = [
        ("path", &snapshot.display().to_string()[..]),
        ("wal-dir", &plan.wal_dir.display().to_string()),
        ("data-dir", &plan.data_dir.display().to_string()),
    ];
    log("info", "restoring snapshot", &fields);
    let database = open(snapshot, flags.skip_hash_check, timeout)?;
    if flags.bump_revision > 0 {
        let (newest, _) = database.position().map_err(Failure::error)?;
        let bumped = newest.0.saturating_add_unsigned(flags.bump_revision).to_string();
        log(
            "info",
            "bumping latest revision",
            &[
                ("latest-revision", &newest.0.to_string()),
                ("bump-amount", &flags.bump_revision.to_string()),
                ("new-latest-revision", &bumped),
            ],
        );
        log("info", "marking revision compacted", &[("revision", &bumped)]);
    }
    plan.make_store(&database, flags)?;
    plan.make_log()?;
    log("info", "restored snapshot", &fields);
    Ok(())
}

/// Checked before anything is read: `database` is on a disk that may be slow.
fn open(path: &Path, skip_hash_check: bool, timeout: Duration) -> Result<Database> {
    if !skip_hash_check {
        let failed = |error: &std::io::Error| {
            let reason = ctl::go::io_error(error);
            Failure::error(format!("open {}: {reason}", path.display()))
        };
        let mut file = File::open(path).map_err(|error| failed(&error))?;
        backup::verify_hash(&mut file).map_err(Failure::error)?;
    }
    let database = open_database(path, timeout)?;
    let wrong = database.check().map_err(Failure::error)?;
    if let Some(first) = wrong.first() {
        return Err(Failure::error(format!(
            "the snapshot is damaged: {first}, and {} more; restore from another one",
            wrong.len() - 1
        )));
    }
    Ok(database.with_progress(progress::bar("restoring")))
}

/// etcdutl's words, which name no kind of error first.
fn refusal(error: membership::Error) -> Failure {
    match error {
        membership::Error::BadInitialCluster(reason) => Failure::error(reason),
        error => Failure::error(error),
    }
}

/// Who the member is to be, and where.
struct Plan {
    data_dir: PathBuf,
    wal_dir: PathBuf,
    cluster: Cluster,
    own: MemberId,
}

impl Plan {
    fn new(flags: &Restore) -> Result<Plan> {
        let urls = check_urls(&flags.initial_advertise_peer_urls).map_err(Failure::error)?;
        let initial = InitialCluster::parse(&flags.initial_cluster).map_err(refusal)?;
        initial.verify(&flags.name, Some(&urls)).map_err(refusal)?;
        let cluster = Cluster::bootstrap(&initial, &flags.initial_cluster_token).map_err(Failure::error)?;
        let own = cluster
            .member_by_name(&flags.name)
            .map(|member| member.id)
            .ok_or_else(|| Failure::error("the initial cluster lacks this member"))?;
        let default = || PathBuf::from(format!("{}.etcd", flags.name));
        let data_dir = flags.data_dir.clone().unwrap_or_else(default);
        if data_dir.exists() && !is_empty(&data_dir) {
            return Err(Failure::error(format!(
                "data-dir {:?} not empty or could not be read",
                data_dir.display().to_string()
            )));
        }
        let wal_dir = match &flags.wal_dir {
            Some(dir) if dir.exists() => {
                return Err(Failure::error(format!(
                    "wal-dir {:?} exists",
                    dir.display().to_string()
                )));
            }
            Some(dir) => dir.clone(),
            None => data_dir.join("member/wal"),
        };
        Ok(Plan {
            data_dir,
            wal_dir,
            cluster,
            own,
        })
    }

    fn members(&self) -> Vec<Member> {
        self.cluster.members().cloned().collect()
    }

    /// One entry for each first member: so a restored cluster's log begins like that of any other.
    fn applied(&self) -> Applied {
        let configuration = Configuration {
            voters: self.members().iter().map(|member| member.id.0).collect(),
            ..Configuration::default()
        };
        Applied {
            index: LogIndex(self.members().len() as u64),
            term: Term(1),
            configuration: configuration.encode().into(),
        }
    }

    /// The store, which gets its name when it is whole.
    fn make_store(&self, database: &Database, flags: &Restore) -> Result {
        let member = self.data_dir.join("member");
        let unfinished = member.join("store.unfinished");
        make_dir(&member)?;
        let mut rows = Batch::new();
        let mut cluster = Cluster::new(self.cluster.id());
        for member in self.members() {
            let added = cluster
                .apply(&Change::Add(member), None)
                .map_err(Failure::error)?;
            for row in added {
                let family = match row.family {
                    RowFamily::Members => Family::Members,
                    RowFamily::Meta => Family::Meta,
                };
                rows.put(family, row.key, row.value.unwrap_or_default());
            }
        }
        self.applied().store(&mut rows, true);
        let backend = flags.storage_backend.open(&unfinished).map_err(Failure::error)?;
        let restored = database
            .restore(backend, flags.bump_revision, rows)
            .map_err(Failure::error)?;
        fs::rename(&unfinished, member.join("store"))
            .and_then(|()| sync(&member))
            .and_then(|()| sync(&self.data_dir))
            .map_err(|error| Failure::io(ctl::go::io_error(&error)))?;
        log(
            "info",
            "restored keys",
            &[
                ("revision", &restored.revision.0.to_string()),
                ("compact-revision", &restored.compacted.0.to_string()),
                ("keys", &restored.keys.to_string()),
            ],
        );
        for member in self.members() {
            log(
                "info",
                "added member",
                &[
                    ("cluster-id", &self.cluster.id().to_string()),
                    ("added-peer-id", &member.id.to_string()),
                    ("added-peer-peer-urls", &member.peer_urls.join(",")),
                ],
            );
        }
        Ok(())
    }

    /// The log of a member that has applied the addition of all members, and nothing else.
    fn make_log(&self) -> Result {
        if let Some(parent) = self.wal_dir.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            make_dir(parent)?;
        }
        let metadata = Metadata {
            node: self.own.0,
            cluster: self.cluster.id().0,
        };
        let additions: Vec<(u64, Bytes)> = self
            .members()
            .into_iter()
            .map(|member| (member.id.0, Change::Add(member).encode()))
            .collect();
        let (entries, state) = first_entries(&additions);
        let state = HardState {
            vote: additions.first().map_or(0, |(id, _)| *id),
            ..state
        }
        .encode();
        let mut records: Vec<Record<'_>> = entries
            .iter()
            .map(|entry| Record::Entry {
                kind: entry.kind,
                index: entry.index,
                term: entry.term,
                data: &entry.data,
            })
            .collect();
        records.push(Record::State(&state));
        let applied = self.applied();
        let marker = Marker {
            index: applied.index.0,
            term: applied.term.0,
            conf_state: applied.configuration,
        };
        let make = || -> wal::Result<()> {
            let mut wal = Wal::create(&self.wal_dir, &metadata.encode_to_vec(), wal::Options::default())?;
            wal.append(&records)?;
            wal.sync()?;
            wal.save_snapshot_marker(marker)
        };
        make().map_err(Failure::error)
    }
}

/// What every segment of the raft log begins with: etcd's `Metadata`.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(uint64, tag = "1")]
    node: u64,
    #[prost(uint64, tag = "2")]
    cluster: u64,
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// For the owner only: keys and values are nobody else's business.
fn make_dir(path: &Path) -> Result {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| {
        let reason = ctl::go::io_error(&error);
        Failure::io(format!("mkdir {}: {reason}", path.display()))
    })
}

fn sync(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
