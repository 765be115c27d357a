//! Whoever stops etcd and starts Quorate with the same flags goes on where etcd was.

use cluster_tests::{Cluster, Setup, connect, server_binary};
use etcd_client::{Client, PutOptions, WatchOptions};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Some of everything; answers the lease.
async fn fill(client: &mut Client) -> i64 {
    let lease = client.lease_grant(3600, None).await.unwrap().id();
    for i in 0..60 {
        let key = format!("key{}", i % 20);
        client.put(key, format!("{i}"), None).await.unwrap();
    }
    let options = PutOptions::new().with_lease(lease);
    client.put("leased", "x", Some(options)).await.unwrap();
    for i in 0..5 {
        client.delete(format!("key{i}"), None).await.unwrap();
    }
    client.compact(20, None).await.unwrap();
    client.role_add("reader").await.unwrap();
    client.user_add("ada", "secret", None).await.unwrap();
    client.user_grant_role("ada", "reader").await.unwrap();
    lease
}

/// What clients see of a cluster; equal before and after.
async fn seen(cluster: &Cluster) -> String {
    let mut client = cluster.client().await;
    let revision = cluster.assert_same_hash().await;
    let hash = connect(&[cluster.members[0].endpoint()])
        .await
        .hash_kv(revision)
        .await
        .unwrap();
    let mut members: Vec<String> = client
        .member_list()
        .await
        .unwrap()
        .members()
        .iter()
        .map(|m| format!("{m:?}"))
        .collect();
    members.sort();
    let keys = client
        .get("", Some(etcd_client::GetOptions::new().with_all_keys()))
        .await
        .unwrap();
    let users = client.user_list().await.unwrap();
    let roles = client.user_get("ada").await.unwrap();
    let mut leases: Vec<i64> = client
        .leases()
        .await
        .unwrap()
        .leases()
        .iter()
        .map(|lease| lease.id())
        .collect();
    leases.sort_unstable();
    format!(
        "{revision} {} {members:?} {:?} {:?} {:?} {leases:?}",
        hash.hash(),
        keys.kvs(),
        users.users(),
        roles.roles()
    )
}

/// Old events, new writes, the lease: everything goes on.
async fn goes_on(cluster: &Cluster, lease: i64) {
    let mut client = cluster.client().await;
    let options = WatchOptions::new().with_prefix().with_start_revision(21);
    let mut events = client.watch("key", Some(options)).await.unwrap();
    let mut old = events.message().await.unwrap().unwrap();
    while old.events().is_empty() {
        old = events.message().await.unwrap().unwrap();
    }
    assert_eq!(old.events()[0].kv().unwrap().mod_revision(), 21);
    let put = client.put("after", "x", None).await.unwrap();
    let left = client.lease_time_to_live(lease, None).await.unwrap();
    assert!(left.ttl() > 3000, "{left:?}");
    client.lease_revoke(lease).await.unwrap();
    let gone = client.get("leased", None).await.unwrap();
    assert_eq!(
        gone.header().unwrap().revision(),
        put.header().unwrap().revision() + 1
    );
    assert!(gone.kvs().is_empty(), "the key hung on its lease");
    cluster.assert_same_hash().await;
}

/// Puts an etcd's database where a member's own store was.
fn disguise(data_dir: &Path, database: &Path) {
    let member = data_dir.join("member");
    for entry in fs::read_dir(&member).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("store") {
            let removed = if path.is_symlink() {
                fs::remove_file(&path)
            } else {
                fs::remove_dir_all(&path)
            };
            removed.unwrap();
        }
    }
    fs::create_dir(member.join("snap")).unwrap();
    fs::copy(database, member.join("snap/db")).unwrap();
}

/// Log and database have etcd's form, so a member of ours whose store is replaced by its own backup is what an etcd
/// leaves behind. The backups are of different moments, and older than the logs.
#[tokio::test(flavor = "multi_thread")]
async fn members_go_on_from_databases_of_different_moments() {
    let mut cluster = Cluster::start(3).await;
    let mut client = cluster.client().await;
    let dir = cluster.dir().to_owned();
    let file = |member: usize| dir.join(format!("{member}.db"));
    client.put("first", "x", None).await.unwrap();
    cluster.members[0].save_snapshot(&file(0));
    let lease = fill(&mut client).await;
    cluster.members[1].save_snapshot(&file(1));
    client.put("last", "x", None).await.unwrap();
    let before = seen(&cluster).await;
    cluster.members[2].save_snapshot(&file(2));
    for (number, member) in cluster.members.iter_mut().enumerate() {
        member.kill();
        disguise(&member.data_dir(), &file(number));
        // Of an attempt that was interrupted.
        fs::create_dir(member.data_dir().join("member/store.unfinished")).unwrap();
    }
    cluster.members.iter_mut().for_each(|member| member.start());
    cluster.wait_ready().await;
    assert_eq!(seen(&cluster).await, before);
    goes_on(&cluster, lease).await;

    // The database is still there, and not looked at again.
    let now = cluster.assert_same_hash().await;
    for member in &mut cluster.members {
        assert!(
            member.log().contains("took over the data of an etcd"),
            "{}",
            member.log_tail()
        );
        member.stop().await;
        member.start();
    }
    cluster.wait_ready().await;
    assert_eq!(cluster.assert_same_hash().await, now);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_over_is_left_alone_and_says_why() {
    let mut cluster = Cluster::start(1).await;
    let mut client = cluster.client().await;
    let file = cluster.dir().join("db");
    client.put("key", "value", None).await.unwrap();
    cluster.members[0].save_snapshot(&file);
    let member = &mut cluster.members[0];
    member.kill();
    disguise(&member.data_dir(), &file);
    let database = member.data_dir().join("member/snap/db");
    let sound = fs::read(&database).unwrap();

    let mut refused = async |why: &str| {
        member.start();
        let status = member.wait(Duration::from_secs(20)).await;
        assert!(!status.success());
        let log = member.log();
        assert!(
            log.contains(why) && log.contains("quorateutl snapshot restore"),
            "{log}"
        );
        assert!(!member.data_dir().join("member/store").exists());
    };
    let etcd = File::open(&database).unwrap();
    flock(&etcd, FlockOperation::LockExclusive).unwrap();
    refused("another process uses it").await;
    drop(etcd);

    let mut damaged = sound.clone();
    damaged[..8192].fill(7);
    fs::write(&database, damaged).unwrap();
    refused("invalid database").await;
    fs::write(&database, &sound).unwrap();

    let (log, away) = (
        database.with_file_name("../wal"),
        database.with_file_name("../log"),
    );
    fs::rename(&log, &away).unwrap();
    refused("there is no raft log").await;
    fs::rename(&away, &log).unwrap();

    cluster.members[0].start();
    cluster.wait_ready().await;
    let found = cluster.client().await.get("key", None).await.unwrap();
    assert_eq!(found.kvs()[0].value(), b"value");
}

/// An etcd of 3.6 or later, which `QUORATE_RIVAL` names; before that its log holds requests that nobody else knows.
fn etcd() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("QUORATE_RIVAL")?);
    let output = Command::new(&path).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let minor = text
        .strip_prefix("etcd Version: 3.")?
        .split('.')
        .next()?
        .parse::<u32>()
        .ok()?;
    (minor >= 6).then_some(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_was_stopped_goes_on_as_quorate() {
    let Some(etcd) = etcd() else {
        println!("QUORATE_RIVAL names no etcd of 3.6 or later: nothing to take over");
        return;
    };
    // So few entries that etcd makes snapshots and the log begins with one.
    for killed in [false, true] {
        let mut cluster = Setup::default().flag("--snapshot-count=50").prepare(3);
        for member in &mut cluster.members {
            member.set_binary(&etcd);
            member.start();
        }
        cluster.wait_ready().await;
        let mut client = cluster.client().await;
        let lease = fill(&mut client).await;
        let added = cluster.add_member(false).await;
        cluster.members[added].set_binary(&etcd);
        cluster.members[added].start();
        cluster.wait_serving(added).await;
        let before = seen(&cluster).await;
        for member in &mut cluster.members {
            if killed {
                member.kill();
            } else {
                member.stop().await;
            }
            member.set_binary(&server_binary());
        }
        cluster.members.iter_mut().for_each(|member| member.start());
        cluster.wait_ready().await;
        assert_eq!(seen(&cluster).await, before);
        goes_on(&cluster, lease).await;
    }
}
