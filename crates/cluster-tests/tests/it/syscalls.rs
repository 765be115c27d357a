//! System calls on the files of a member that fail, one after the other.

use cluster_tests::{Cluster, Fault, Setup, Shim, Writer};
use std::time::Duration;
use tokio::time::Instant;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const SHORT: i32 = 0;

/// Answers that may still come after a sync has failed: they were on their way.
const ON_ITS_WAY: u64 = 500_000_000;

/// What became of a member.
#[derive(Debug, PartialEq)]
enum Fate {
    NotReached,
    Survived,
    Ended,
}

struct Story {
    cluster: Cluster,
    shim: Shim,
    round: u32,
}

impl Story {
    /// One life with a fault in it, and one without, which must find everything that was acknowledged.
    async fn meet(&mut self, fault: Fault) -> Fate {
        self.round += 1;
        let member = &mut self.cluster.members[0];
        let env = self.shim.env(&member.data_dir(), fault);
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (&**name, &**value)).collect();
        member.set_env(&env);
        member.start();
        let prefix = format!("round{}", self.round);
        let endpoints = self.cluster.endpoints();
        let writer = Writer::start(&endpoints, &prefix, 4);
        let deadline = Instant::now() + Duration::from_millis(2500);
        let mut fate = Fate::NotReached;
        while Instant::now() < deadline {
            if self.cluster.members[0].ended().is_some() {
                fate = Fate::Ended;
                break;
            }
            // Enough was written after the fault, or it will not be reached by this.
            let struck = self.shim.struck().is_some();
            if struck {
                fate = Fate::Survived;
            }
            if writer.count() > 400 && !(struck && fault.call.ends_with("sync")) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let struck = self.shim.struck();
        if let Some((at, file)) = &struck
            && fault.call.ends_with("sync")
        {
            let log = self.cluster.members[0].log_tail();
            assert_eq!(fate, Fate::Ended, "{fault:?} on {file}: it lives on\n{log}");
            let late = writer.last_answer().saturating_sub(*at);
            assert!(
                late < ON_ITS_WAY,
                "{fault:?} on {file}: an answer {late} ns after a sync that failed"
            );
        }
        let member = &mut self.cluster.members[0];
        member.kill();
        member.set_env(&[]);
        member.start();
        writer.finish_and_check(&endpoints, &prefix).await;
        self.cluster.members[0].kill();
        fate
    }
}

/// A sync that failed and was tried again, or passed over; a short write taken for a whole one; a start that does not
/// cope with what was left.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_loses_nothing_that_was_acknowledged() {
    if !cluster_tests::alone() {
        return;
    }
    let Some(shim) = Shim::build() else { return };
    let most: u32 = std::env::var("FAULT_CALLS").map_or(3, |text| text.parse().expect("a number"));
    let mut tried = 0;
    let mut ended = 0;
    for (call, errno) in [
        ("fdatasync", EIO),
        ("fsync", EIO),
        ("pwrite", EIO),
        ("pwrite", ENOSPC),
        ("pwrite", SHORT),
        ("write", EIO),
        ("write", ENOSPC),
        ("write", SHORT),
        ("open", EIO),
        ("rename", EIO),
        ("unlink", EIO),
        ("ftruncate", EIO),
    ] {
        // A directory of its own for each call, so that the first calls are those of the first start.
        let mut story = Story {
            cluster: Setup::default().prepare(1),
            shim: Shim::build().expect("it was compiled before"),
            round: 0,
        };
        let mut nth = 1;
        for step in 0..most {
            let fault = Fault {
                call,
                nth,
                errno,
                lasts: false,
            };
            let fate = story.meet(fault).await;
            println!(
                "{fault:?}: {fate:?} {:?}",
                story.shim.struck().map(|(_, file)| file)
            );
            if fate == Fate::NotReached {
                break;
            }
            tried += 1;
            ended += u32::from(fate == Fate::Ended);
            nth += 1 + step * 4;
        }
    }
    drop(shim);
    println!("{tried} faults, {ended} of them ended the process");
    assert!(tried >= 20, "only {tried} faults were reached");
}
