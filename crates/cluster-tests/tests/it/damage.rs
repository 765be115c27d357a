//! Files of a member that are damaged while it is down: it serves what was written, or it does not serve and says what
//! to do. The log has stories of its own in crates/wal, the engines' files in crates/storage.

use cluster_tests::{Cluster, Setup, connect, eventually};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

async fn keys(endpoint: &str) -> anyhow::Result<Keys> {
    let mut client = connect(&[endpoint.to_owned()]).await;
    let options = etcd_client::GetOptions::new().with_all_keys().with_serializable();
    let answer = client.get("", Some(options)).await?;
    Ok(answer
        .kvs()
        .iter()
        .map(|kv| (kv.key().to_vec(), kv.value().to_vec()))
        .collect())
}

/// A member whose store is on disk, and whose log does not reach back to the beginning.
async fn written(mut cluster: Cluster) -> (Cluster, Keys) {
    let mut client = cluster.client().await;
    for round in 0..4 {
        for n in 0..60 {
            let value = format!("{round}/{n}/").repeat(20);
            client
                .put(format!("key/{n:03}"), value, None)
                .await
                .expect("a put");
        }
    }
    client.delete("key/007", None).await.expect("a deletion");
    for member in &mut cluster.members {
        // In good order: the store is flushed.
        member.stop().await;
    }
    let data = cluster.members[0].data_dir();
    assert!(data.join("member/store/CURRENT").exists());
    cluster.start_all();
    cluster.wait_ready().await;
    let keys = keys(&cluster.members[0].endpoint()).await.expect("all keys");
    assert_eq!(keys.len(), 59);
    for member in &mut cluster.members {
        member.stop().await;
    }
    (cluster, keys)
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([from, to])
        .status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "cp -a {}",
        from.display()
    );
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).expect("a file");
    let at = at % bytes.len();
    bytes[at] ^= 4;
    std::fs::write(path, bytes).expect("a write");
}

fn tables(store: &Path) -> Vec<PathBuf> {
    let mut tables: Vec<_> = std::fs::read_dir(store)
        .expect("a store")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .collect();
    tables.sort();
    tables
}

/// A member that makes itself at home in what is left, and serves less than it has promised.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_damaged_is_not_replaced_by_something_new() {
    let setup = Setup::default()
        .flag("--snapshot-count=20")
        .flag("--snapshot-catchup-entries=5");
    let (mut cluster, expected) = written(setup.start(1).await).await;
    let data = cluster.members[0].data_dir();
    let sound = cluster.dir().join("sound");
    copy(&data, &sound);
    let member = |path: &str| data.join("member").join(path);
    type Damage<'a> = Box<dyn Fn() + 'a>;
    let relink = |target: &'static str| -> Damage<'_> {
        Box::new(move || {
            std::fs::remove_file(member("store")).expect("a link");
            std::os::unix::fs::symlink(target, member("store")).expect("a link");
        })
    };
    let removed = |file: &'static str| -> Damage<'_> {
        Box::new(move || std::fs::remove_file(member("store").join(file)).expect("a file"))
    };
    let damages: Vec<(&str, Damage<'_>)> = vec![
        ("link to nowhere", relink("store.9")),
        ("link with another name", relink("stose.1")),
        ("link of another member", relink("/somewhere/store.1")),
        (
            "no link",
            Box::new(|| std::fs::remove_file(member("store")).expect("a link")),
        ),
        (
            "no store",
            Box::new(|| {
                std::fs::remove_dir_all(std::fs::canonicalize(member("store")).expect("a store"))
                    .expect("a store")
            }),
        ),
        (
            "neither store nor link",
            Box::new(|| {
                std::fs::remove_dir_all(std::fs::canonicalize(member("store")).expect("a store"))
                    .expect("a store");
                std::fs::remove_file(member("store")).expect("a link");
            }),
        ),
        (
            "an empty store",
            Box::new(|| {
                let store = std::fs::canonicalize(member("store")).expect("a store");
                std::fs::remove_dir_all(&store).expect("a store");
                std::fs::create_dir(&store).expect("a directory");
            }),
        ),
        ("no CURRENT", removed("CURRENT")),
        (
            "a flip in CURRENT",
            Box::new(|| flip(&member("store/CURRENT"), 3)),
        ),
        (
            "no tables",
            Box::new(|| {
                tables(&member("store"))
                    .iter()
                    .for_each(|table| std::fs::remove_file(table).expect("a table"))
            }),
        ),
        (
            "a table missing",
            Box::new(|| std::fs::remove_file(&tables(&member("store"))[0]).expect("a table")),
        ),
        (
            "a flip in every table",
            Box::new(|| tables(&member("store")).iter().for_each(|table| flip(table, 20))),
        ),
        (
            "no log",
            Box::new(|| std::fs::remove_dir_all(member("wal")).expect("a log")),
        ),
        (
            "an empty log",
            Box::new(|| {
                std::fs::remove_dir_all(member("wal")).expect("a log");
                std::fs::create_dir(member("wal")).expect("a directory");
            }),
        ),
    ];
    for (story, damage) in damages {
        std::fs::remove_dir_all(&data).expect("the data");
        copy(&sound, &data);
        damage();
        cluster.members[0].start();
        let endpoint = cluster.members[0].endpoint();
        let mut served = None;
        for _ in 0..200 {
            if cluster.members[0].ended().is_some() {
                break;
            }
            if let Ok(Ok(found)) = tokio::time::timeout(Duration::from_secs(1), keys(&endpoint)).await {
                served = Some(found);
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = cluster.members[0].log();
        assert!(
            !log.contains("panicked"),
            "{story}: {}",
            cluster.members[0].log_tail()
        );
        match served {
            Some(found) => {
                assert!(
                    found == expected,
                    "{story}: it serves {} keys of {}",
                    found.len(),
                    expected.len()
                );
                println!("{story}: serves everything");
            }
            None => {
                let last = cluster.members[0].log_tail();
                let last = last.lines().last().unwrap_or_default().to_owned();
                println!("{story}: {last}");
                let helps = [
                    "from a backup",
                    "have this member rebuilt",
                    "make it a symbolic link",
                ];
                assert!(
                    helps.iter().any(|word| log.contains(word)),
                    "{story}: what is one to do? {last}"
                );
            }
        }
        cluster.members[0].kill();
    }
}

/// Damage on one member of three is the business of that one: it says so, or serves what is right; the others go on, and
/// it is rebuilt from them as it says.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_member_of_three_serves_nothing_wrong_and_is_rebuilt() {
    let setup = Setup::default()
        .flag("--snapshot-count=20")
        .flag("--snapshot-catchup-entries=5");
    let (mut cluster, expected) = written(setup.start(3).await).await;
    let sound = cluster.dir().join("sound");
    let data = cluster.members[2].data_dir();
    copy(&data, &sound);
    (0..2).for_each(|member| cluster.members[member].start());
    cluster.wait_serving(0).await;
    let (mut refused, mut right) = (0, 0);
    for trial in 0..24usize {
        std::fs::remove_dir_all(&data).expect("the data");
        copy(&sound, &data);
        for (n, table) in tables(&data.join("member/store")).iter().enumerate() {
            let length = std::fs::metadata(table).expect("a table").len() as usize;
            flip(table, (trial * 997 + n * 61) % length);
        }
        cluster.members[2].start();
        let endpoint = cluster.members[2].endpoint();
        let mut outcome = None;
        for _ in 0..100 {
            if cluster.members[2].ended().is_some() {
                outcome = Some(false);
                break;
            }
            match tokio::time::timeout(Duration::from_secs(1), keys(&endpoint)).await {
                Ok(Ok(found)) => {
                    assert!(found == expected, "trial {trial}: it serves something else");
                    outcome = Some(true);
                    break;
                }
                Ok(Err(error)) if error.to_string().contains("damaged") => {
                    outcome = Some(false);
                    break;
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        assert!(
            !cluster.members[2].log().contains("panicked"),
            "{}",
            cluster.members[2].log_tail()
        );
        match outcome {
            Some(true) => right += 1,
            Some(false) => refused += 1,
            None => panic!(
                "trial {trial}: neither an answer nor an end\n{}",
                cluster.members[2].log_tail()
            ),
        }
        cluster.members[2].kill();
    }
    println!("{refused} times refused, {right} times right");
    assert!(refused > 0);

    // What the message says: removed, emptied, added again.
    let mut client = cluster.client_of(0).await;
    let list = client.member_list().await.expect("members").members().to_vec();
    let gone = list
        .iter()
        .find(|member| member.name() == "m2")
        .expect("it is known")
        .id();
    eventually(PATIENCE, async || Ok(client.clone().member_remove(gone).await?)).await;
    let mut removed = cluster.members.remove(2);
    removed.kill();
    std::fs::remove_dir_all(&data).expect("the data");
    let added = cluster.add_member(false).await;
    cluster.members[added].start();
    cluster.wait_serving(added).await;
    assert_eq!(
        keys(&cluster.members[added].endpoint()).await.expect("all keys"),
        expected
    );
    cluster.assert_same_hash().await;
}
