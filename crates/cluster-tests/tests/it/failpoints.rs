//! A crash at every named failpoint: at its first passing and at a later one. Needs a server that was built for it, in
//! `QUORATE_FAILPOINTS_BIN`.

use cluster_tests::{Setup, Writer};
use std::time::Duration;

/// A step whose half-done state a restart does not cope with.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_failpoint_loses_nothing_that_was_acknowledged() {
    let Some(binary) = std::env::var_os("QUORATE_FAILPOINTS_BIN") else {
        println!("left out: QUORATE_FAILPOINTS_BIN names no server built with the feature failpoints");
        return;
    };
    let names = include_str!("../../../failpoint/src/points.rs");
    let names: Vec<&str> = names
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect();
    assert!(names.len() >= 90, "the list of points has another form now");
    let (mut crashes, mut never) = (0, Vec::new());
    for name in names {
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
