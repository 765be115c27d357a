//! Lines between members that change bits, as network cards and routers do at times, and nobody below notices.

use cluster_tests::{Cluster, Registers, Relay, Setup, Writer, connect};
use etcd_client::GetOptions;

const FILLERS: u64 = 300;
const FILLER_BYTES: usize = 8 << 10;

/// Bytes that no compression makes smaller.
fn filler(number: u64) -> Vec<u8> {
    let mut chance = number;
    let mut next = || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (chance >> 40) as u8
    };
    (0..FILLER_BYTES).map(|_| next()).collect()
}

/// What members say about things that came damaged.
fn complaints(cluster: &Cluster, member: usize) -> [usize; 2] {
    let log = cluster.members[member].log();
    let snapshots = ["checksum mismatch", "list of files was damaged"];
    [
        log.matches("raft messages were damaged").count(),
        snapshots.iter().map(|text| log.matches(text).count()).sum(),
    ]
}

/// Entries and snapshots that are stored as they came, a member that stops because of its neighbour's line, or one that
/// never catches up.
#[tokio::test(flavor = "multi_thread")]
async fn bits_that_change_between_members_change_nothing() {
    if !cluster_tests::alone() {
        return;
    }
    let mut cluster = Setup::default()
        .flag("--snapshot-count=50")
        .flag("--snapshot-catchup-entries=10")
        .prepare(3);
    let mut relays = Vec::new();
    for member in &cluster.members {
        relays.push(Relay::start(member.peer_port).await);
    }
    let ports: Vec<u16> = relays.iter().map(|relay| relay.port).collect();
    cluster.put_behind(&ports);
    cluster.start_all();
    cluster.wait_ready().await;
    let mut client = cluster.client().await;
    for number in 0..FILLERS {
        let key = format!("filler/{number}");
        client.put(key, filler(number), None).await.expect("a put");
    }
    let registers = Registers::start(&cluster.endpoints(), 5, 6);
    let writer = Writer::start(&cluster.endpoints(), "lines", 4);
    let (mut messages, mut snapshots) = (0, 0);
    for round in 0..6 {
        // One that needs a snapshot, of some megabytes, and gets it over a bad line.
        let lagging = round % 3;
        let [of_messages, of_snapshots] = complaints(&cluster, lagging);
        (messages, snapshots) = (messages + of_messages, snapshots + of_snapshots);
        cluster.members[lagging].kill();
        writer.progress(100).await;
        relays[lagging].damage(1_500_000);
        cluster.members[lagging].start();
        cluster.wait_serving(lagging).await;
        // All lines are bad.
        relays.iter().for_each(|relay| relay.damage(50_000));
        writer.progress(200).await;
        registers.progress(100).await;
        relays.iter().for_each(|relay| relay.damage(0));
        cluster.wait_ready().await;
    }
    for member in 0..3 {
        let [of_messages, of_snapshots] = complaints(&cluster, member);
        (messages, snapshots) = (messages + of_messages, snapshots + of_snapshots);
        assert!(
            cluster.members[member].is_running(),
            "{}",
            cluster.members[member].log_tail()
        );
    }
    let operations = registers.finish_and_check().await;
    writer.finish_and_check(&cluster.endpoints(), "lines").await;
    cluster.assert_same_hash().await;
    for endpoint in cluster.endpoints() {
        let options = GetOptions::new().with_prefix().with_serializable();
        let found = connect(&[endpoint]).await.get("filler/", Some(options)).await;
        let found = found.expect("a read");
        assert_eq!(found.count() as u64, FILLERS);
        for kv in found.kvs() {
            let number = kv.key_str().expect("a text").trim_start_matches("filler/");
            assert!(
                kv.value() == filler(number.parse().expect("a number")),
                "{number} is damaged"
            );
        }
    }
    let damaged: u64 = relays.iter().map(Relay::damaged).sum();
    println!(
        "{damaged} bits changed, {messages} batches of messages and {snapshots} pieces of snapshots refused, \
         {operations} operations are linearizable"
    );
    assert!(messages > 10 && snapshots > 0, "nothing of this was noticed");
}
