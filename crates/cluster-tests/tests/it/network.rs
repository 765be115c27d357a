//! Members in network namespaces, with the kernel's firewall between them, and on disks that stand still.

use cluster_tests::{Cluster, Network, Registers, Setup, Writer, eventually, inside};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

/// Bounds hold on a machine that has nothing else to do; tests share theirs.
const BUSY: u32 = 4;

/// Time until the members but `without` have a leader among them that takes a write; a machine that others use as well
/// is given a multiple of the bound.
async fn replaced(cluster: &Cluster, without: usize, what: &str, bound: Duration) -> Duration {
    let began = Instant::now();
    let others = (0..cluster.members.len()).filter(|member| *member != without);
    let mut clients = Vec::new();
    for member in others {
        clients.push(cluster.client_of(member).await);
    }
    eventually(Duration::from_secs(30), async || {
        for client in &clients {
            // Whoever has not noticed yet lets a write wait.
            let mut client = client.clone();
            let attempt = client.put("replaced", what, None);
            if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(200), attempt).await {
                return Ok(());
            }
        }
        anyhow::bail!("no write gets through")
    })
    .await;
    let took = began.elapsed();
    println!("{what}: a write got through after {took:?}");
    assert!(took < bound * BUSY, "{what}: {took:?} until a write got through");
    took
}

/// A leader that goes on leading without a majority, or a majority that does without one; reads that are answered by
/// whoever was deposed; a lease that ends early.
#[tokio::test(flavor = "multi_thread")]
async fn partitions_of_a_real_network() {
    if !cluster_tests::alone() {
        return;
    }
    if !inside("network::partitions_of_a_real_network") {
        return;
    }
    let mut cluster = Setup::default().prepare(3);
    let network = match Network::around(&mut cluster) {
        Ok(network) => network,
        Err(reason) => {
            println!("left out: {reason}");
            return;
        }
    };
    cluster.start_all();
    cluster.wait_ready().await;
    let registers = Registers::start(&cluster.endpoints(), 5, 6);
    registers.progress(300).await;
    let bound = Duration::from_millis(2500);

    let leader = cluster.leader().await;
    network.isolate(leader);
    replaced(&cluster, leader, "leader isolated", bound).await;
    // It may not serve what it cannot know to be current.
    let mut alone = cluster.client_of(leader).await;
    let read = tokio::time::timeout(Duration::from_secs(3), alone.get("replaced", None)).await;
    assert!(
        !matches!(read, Ok(Ok(_))),
        "the isolated leader answers: {read:?}"
    );
    network.heal();
    cluster.wait_ready().await;

    let leader = cluster.leader().await;
    let others = || (0..3).filter(|member| *member != leader);
    others().for_each(|other| network.cut(other, leader));
    replaced(&cluster, leader, "leader hears nobody", bound).await;
    network.heal();
    cluster.wait_ready().await;

    let leader = cluster.leader().await;
    let others = || (0..3).filter(|member| *member != leader);
    others().for_each(|other| network.cut(leader, other));
    replaced(&cluster, leader, "nobody hears the leader", bound).await;
    network.heal();
    cluster.wait_ready().await;

    // A follower that comes back deposes nobody.
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.expect("a status").raft_term();
    network.isolate((leader + 1) % 3);
    tokio::time::sleep(Duration::from_secs(4)).await;
    registers.progress(50).await;
    network.heal();
    cluster.wait_ready().await;
    assert_eq!(
        cluster.status(leader).await.expect("a status").raft_term(),
        term,
        "the follower that was cut off has forced an election"
    );

    for flap in 0..20 {
        network.isolate(flap % 3);
        tokio::time::sleep(Duration::from_millis(200)).await;
        network.heal();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster.wait_ready().await;
    network.lose(20);
    registers.progress(50).await;
    network.heal();
    cluster.wait_ready().await;
    registers.progress(300).await;
    let partial = faults_of_some_links(&mut cluster, &network, &registers).await;
    println!("{} faults", 6 + partial);

    let operations = registers.finish_and_check().await;
    println!("{operations} operations are linearizable");
    cluster.assert_same_hash().await;
}

/// Faults that leave everybody somebody to talk to, or nobody anybody; gives how many.
async fn faults_of_some_links(cluster: &mut Cluster, network: &Network, registers: &Registers) -> usize {
    let faults = [
        "leader and one follower apart",
        "followers apart",
        "each hears the next only",
        "everybody alone",
        "clients do not reach the leader",
        "large packets lost",
        "resets",
        "no new connections",
        "leader on a slow line",
    ];
    for fault in faults {
        let leader = cluster.leader().await;
        let (one, two) = ((leader + 1) % 3, (leader + 2) % 3);
        let apart = |a: usize, b: usize| {
            network.cut(a, b);
            network.cut(b, a);
        };
        // Where a quorum is left that can talk, somebody must be served meanwhile.
        let mut served = 20;
        match fault {
            "leader and one follower apart" => apart(leader, one),
            "followers apart" => apart(one, two),
            "each hears the next only" => {
                (0..3).for_each(|member| network.cut((member + 1) % 3, member));
                served = 0;
            }
            "everybody alone" => {
                apart(leader, one);
                apart(leader, two);
                apart(one, two);
                served = 0;
            }
            "clients do not reach the leader" => network.cut_clients(leader),
            "large packets lost" => {
                network.lose_large(1000);
                served = 0;
            }
            "resets" => {
                network.reset(leader);
                served = 0;
            }
            "no new connections" => network.refuse_new(),
            _ => {
                if let Err(reason) = network.slow_down(leader, 256) {
                    println!("{fault} is left out: {reason}");
                }
            }
        }
        if served > 0 {
            registers.progress(served).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        network.heal();
        // Nobody is without: all members may serve, and must after ten election timeouts.
        replaced(cluster, usize::MAX, fault, Duration::from_secs(10)).await;
        cluster.wait_ready().await;
    }
    faults.len()
}

/// An ext4 file system in a file, mounted where a member keeps its data.
struct Disk {
    mount: PathBuf,
}

impl Disk {
    fn mount(cluster: &Cluster, member: usize, megabytes: u64) -> Result<Disk, String> {
        let image = cluster.dir().join(format!("disk{member}"));
        let file = std::fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(megabytes << 20).map_err(|error| error.to_string())?;
        let mount = cluster.members[member].data_dir();
        std::fs::create_dir_all(&mount).map_err(|error| error.to_string())?;
        let run = |command: &mut Command| match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        };
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount))?;
        let disk = Disk { mount };
        let _ = std::fs::remove_dir(disk.mount.join("lost+found"));
        Ok(disk)
    }

    fn freeze(&self, frozen: bool) {
        let flag = if frozen { "-f" } else { "-u" };
        let status = Command::new("fsfreeze").arg(flag).arg(&self.mount).status();
        assert!(status.is_ok_and(|status| status.success()), "fsfreeze {flag}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.mount).output();
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

/// A leader whose disk does not answer must give way, although its process is well (etcd #15247).
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_stands_still_is_replaced() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Setup::default().prepare(3);
    let disks: Result<Vec<Disk>, String> = (0..3).map(|member| Disk::mount(&cluster, member, 400)).collect();
    let disks = match disks {
        Ok(disks) => disks,
        Err(reason) => {
            println!("left out: no file systems in files here, they need root ({reason})");
            return;
        }
    };
    cluster.start_all();
    cluster.wait_ready().await;
    let registers = Registers::start(&cluster.endpoints(), 5, 6);
    registers.progress(100).await;
    let mut times = Vec::new();
    for _ in 0..3 {
        let leader = cluster.leader().await;
        let id = cluster.member_id(leader).await;
        let began = Instant::now();
        disks[leader].freeze(true);
        // The disks of the others are a quorum without its own.
        replaced(&cluster, leader, "disk frozen", Duration::from_secs(3)).await;
        eventually(Duration::from_secs(30), async || {
            let now = cluster.status((leader + 1) % 3).await?.leader();
            anyhow::ensure!(now != id && now != 0, "it leads still");
            Ok(())
        })
        .await;
        times.push(began.elapsed());
        disks[leader].freeze(false);
        cluster.wait_ready().await;
        registers.progress(100).await;
    }
    times.sort();
    assert!(
        times[1] <= Duration::from_secs(3),
        "{times:?} until another one led"
    );
    println!("another one led after {times:?}");
    println!(
        "{} operations are linearizable",
        registers.finish_and_check().await
    );
    cluster.assert_same_hash().await;
    cluster.members.iter_mut().for_each(|member| member.kill());
}

/// Without space writes are refused or the member stops in good order; reads go on as long as it runs; with space it is
/// well again.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_loses_nothing() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Setup::default().prepare(1);
    let _disk = match Disk::mount(&cluster, 0, 200) {
        Ok(disk) => disk,
        Err(reason) => {
            println!("left out: no file systems in files here, they need root ({reason})");
            return;
        }
    };
    cluster.start_all();
    cluster.wait_ready().await;
    let endpoints = cluster.endpoints();
    for round in 0..3 {
        let prefix = format!("full{round}");
        let writer = Writer::start(&endpoints, &prefix, 4);
        writer.progress(20).await;
        let ballast = cluster.members[0].data_dir().join("ballast");
        fill(&ballast);
        let began = Instant::now();
        let mut client = cluster.client_of(0).await;
        let value = vec![b'x'; 1 << 20];
        let mut refused = None;
        for n in 0..200 {
            if cluster.members[0].ended().is_some() {
                break;
            }
            if let Err(error) = client.put(format!("large{}", n % 4), value.clone(), None).await {
                refused = Some(error.to_string());
                if began.elapsed() > Duration::from_secs(3) {
                    break;
                }
            }
        }
        // Either it goes on reading, or it stops: a process that does neither helps nobody.
        let read = client.get("large0", None).await;
        if read.is_err() && cluster.members[0].is_running() {
            cluster.members[0].wait(Duration::from_secs(20)).await;
        }
        println!("full: reads go on: {}, last refusal {refused:?}", read.is_ok());
        std::fs::remove_file(&ballast).expect("the ballast can go");
        if !cluster.members[0].is_running() {
            cluster.members[0].start();
        }
        cluster.wait_ready().await;
        let client = cluster.client_of(0).await;
        eventually(Duration::from_secs(20), async || {
            let mut client = client.clone();
            for alarm in client
                .alarm(etcd_client::AlarmAction::Get, etcd_client::AlarmType::None, None)
                .await?
                .alarms()
            {
                let mut options = etcd_client::AlarmOptions::new();
                options.with_member(alarm.member_id());
                client
                    .alarm(etcd_client::AlarmAction::Deactivate, alarm.alarm(), Some(options))
                    .await?;
            }
            client.put("after", "space", None).await?;
            Ok(())
        })
        .await;
        writer.finish_and_check(&endpoints, &prefix).await;
    }
    cluster.members[0].kill();
}

/// Takes all space there is.
fn fill(path: &std::path::Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("ballast");
    let zeros = vec![0; 1 << 16];
    while file.write_all(&zeros).is_ok() {}
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("ballast");
    while file.write_all(&[0; 512]).is_ok() {}
}
