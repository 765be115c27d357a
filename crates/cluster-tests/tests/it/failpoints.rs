//! A crash at every named failpoint: of a lone member at its first passing and at a later one, and of the leader and a
//! follower of three while one of them lags, members come and go, leases end and history is compacted. Needs a server
//! that was built for it, in `QUORATE_FAILPOINTS_BIN`.

use cluster_tests::{Cluster, Setup, Writer, connect, put};
use etcd_client::{MemberAddOptions, PutOptions};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::TcpListener;
use std::time::Duration;
use tokio::task::JoinHandle;

fn binary() -> Option<OsString> {
    let binary = std::env::var_os("QUORATE_FAILPOINTS_BIN");
    if binary.is_none() {
        println!("left out: QUORATE_FAILPOINTS_BIN names no server built with the feature failpoints");
    }
    binary
}

fn names() -> Vec<&'static str> {
    let names = include_str!("../../../failpoint/src/points.rs").lines();
    let names: Vec<&str> = names
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect();
    assert!(names.len() >= 90, "the list of points has another form now");
    names
}

/// A step whose half-done state a restart does not cope with.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_failpoint_loses_nothing_that_was_acknowledged() {
    let Some(binary) = binary() else { return };
    let (mut crashes, mut never) = (0, Vec::new());
    for name in names() {
        let mut reached = false;
        for before in [0, 9] {
            let setup = Setup::default().flag("--snapshot-count=20");
            let mut cluster = setup.prepare(1);
            let terms = format!("{name}={before}*off->panic");
            cluster.members[0].set_binary(binary.as_ref());
            cluster.members[0].set_env(&[("GOFAIL_FAILPOINTS", &terms)]);
            cluster.members[0].start();
            let writer = Writer::start(&cluster.endpoints(), "point", 4);
            for _ in 0..100 {
                if cluster.members[0].ended().is_some() {
                    crashes += 1;
                    reached = true;
                    break;
                }
                if writer.count() > 100 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            cluster.members[0].kill();
            cluster.members[0].set_env(&[]);
            cluster.members[0].start();
            cluster.wait_serving(0).await;
            writer.finish_and_check(&cluster.endpoints(), "point").await;
            if !reached {
                break;
            }
        }
        if !reached {
            never.push(name);
        }
    }
    println!("{crashes} crashes; one member that only writes does not come by {never:?}");
    assert!(crashes >= 40, "only {crashes} crashes");
}

/// The same for what only a cluster does: sending, receiving and installing snapshots, elections, changes of members.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_leader_or_a_follower_at_any_failpoint_loses_nothing() {
    let Some(binary) = binary() else { return };
    let names = names();
    // Two clusters at once: most of the time is spent waiting.
    let halves = [0, 1].map(|half| {
        let names: Vec<_> = names.iter().copied().skip(half).step_by(2).collect();
        tokio::spawn(crash_everywhere(binary.clone(), names))
    });
    let (mut crashes, mut reached) = (0, BTreeSet::new());
    for half in halves {
        let (more, names) = half.await.expect("nothing is lost");
        crashes += more;
        reached.extend(names);
    }
    let never: Vec<_> = names.iter().filter(|name| !reached.contains(*name)).collect();
    println!(
        "{crashes} crashes; of {} points, all but {never:?}",
        reached.len()
    );
    assert!(
        reached.len() >= 60,
        "only {} points, not {never:?}",
        reached.len()
    );
}

async fn crash_everywhere(binary: OsString, names: Vec<&'static str>) -> (usize, BTreeSet<&'static str>) {
    let setup = Setup::default()
        .flag("--snapshot-count=40")
        .flag("--snapshot-catchup-entries=5")
        .flag("--strict-reconfig-check=false")
        .flag("--compaction-batch-limit=10");
    let mut cluster = setup.prepare(3);
    // Where orders are taken while they run.
    let doors: Vec<u16> = (0..3)
        .map(|_| TcpListener::bind("127.0.0.1:0").and_then(|door| Ok(door.local_addr()?.port())))
        .collect::<Result<_, _>>()
        .expect("free ports");
    let order = |cluster: &mut Cluster, member: usize, points: &str| {
        let door = format!("127.0.0.1:{}", doors[member]);
        let env = [("GOFAIL_HTTP", door.as_str()), ("GOFAIL_FAILPOINTS", points)];
        cluster.members[member].set_env(&env);
    };
    for member in 0..3 {
        cluster.members[member].set_binary(binary.as_ref());
        order(&mut cluster, member, "");
    }
    cluster.start_all();
    cluster.wait_ready().await;
    let writer = Writer::start(&cluster.endpoints(), "points", 6);
    let unrest = unrest(&cluster);
    let (mut crashes, mut reached) = (0, BTreeSet::new());
    for name in names {
        for at_leader in [false, true] {
            let leader = cluster.leader().await;
            let lagging = (leader + 1) % 3;
            cluster.members[lagging].kill();
            // Beyond what the log still holds.
            writer.progress(60).await;
            let crashing = if at_leader { leader } else { lagging };
            let mut unanswered = false;
            if at_leader {
                match put(doors[leader], &format!("/{name}"), "panic").await {
                    Ok((status, words)) => assert_eq!(status, 204, "{words}"),
                    // A place that it comes by all the time may be faster than the answer.
                    Err(_) => unanswered = true,
                }
            } else {
                order(&mut cluster, lagging, &format!("{name}=panic"));
            }
            cluster.members[lagging].start();
            for _ in 0..120 {
                if cluster.members[crashing].ended().is_some() {
                    crashes += 1;
                    reached.insert(name);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(
                !unanswered || reached.contains(name),
                "{name} was ordered in vain"
            );
            cluster.members[crashing].kill();
            order(&mut cluster, crashing, "");
            cluster.members[crashing].start();
            cluster.wait_ready().await;
        }
    }
    unrest.iter().for_each(JoinHandle::abort);
    writer.finish_and_check(&cluster.endpoints(), "points").await;
    cluster.assert_same_hash().await;
    (crashes, reached)
}

/// Everything but writes, through all members, whether it succeeds or not.
fn unrest(cluster: &Cluster) -> Vec<JoinHandle<()>> {
    let endpoints = cluster.endpoints();
    let (ours, theirs, others) = (endpoints.clone(), endpoints.clone(), endpoints);
    vec![
        tokio::spawn(async move {
            let mut client = connect(&ours).await;
            loop {
                if let Ok(lease) = client.lease_grant(1, None).await {
                    let options = PutOptions::new().with_lease(lease.id());
                    let _ = client.put("leased", "", Some(options)).await;
                }
                if let Ok(answer) = client.get("leased", None).await {
                    let revision = answer.header().map_or(0, |header| header.revision());
                    let _ = client.compact(revision - 5, None).await;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }),
        tokio::spawn(async move {
            let mut client = connect(&theirs).await;
            loop {
                let options = MemberAddOptions::new().with_is_learner();
                let _ = client.member_add(["http://127.0.0.1:9"], Some(options)).await;
                if let Ok(list) = client.member_list().await {
                    for learner in list.members().iter().filter(|member| member.is_learner()) {
                        let _ = client.member_remove(learner.id()).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }),
        tokio::spawn(async move {
            for endpoint in others.iter().cycle() {
                let mut client = connect(std::slice::from_ref(endpoint)).await;
                let _ = client.defragment().await;
                if let Ok(mut watch) = client
                    .watch("points/", Some(etcd_client::WatchOptions::new().with_prefix()))
                    .await
                {
                    for _ in 0..10 {
                        let message = watch.message();
                        if !matches!(
                            tokio::time::timeout(Duration::from_millis(200), message).await,
                            Ok(Ok(Some(_)))
                        ) {
                            break;
                        }
                    }
                }
            }
        }),
    ]
}
