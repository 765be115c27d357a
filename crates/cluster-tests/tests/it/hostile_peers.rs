//! Strangers on the sockets that are for other members: what they send is refused or changes nothing, they keep no
//! member out, and nothing that they say stops one.

use cluster_tests::wire::{self, Wire, field, number, sum};
use cluster_tests::{Cluster, Witness, eventually};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const RAFT: &str = "/quorate.peer.Peer/Raft";
const SNAPSHOT: &str = "/quorate.peer.Peer/Snapshot";
const WINDOW: u32 = 65_535;
const PATIENCE: Duration = Duration::from_secs(20);

/// Ids of a cluster and its members, in hex as they stand in headers.
struct Ids {
    cluster: u64,
    members: Vec<u64>,
}

async fn ids(cluster: &Cluster) -> Ids {
    let mut members = Vec::new();
    for member in 0..cluster.members.len() {
        members.push(cluster.member_id(member).await);
    }
    let status = cluster.status(0).await.expect("a status");
    Ids {
        cluster: status.header().expect("a header").cluster_id(),
        members,
    }
}

/// Calls as if by a member.
async fn call(port: u16, path: &str, ids: [u64; 3], message: &[u8]) -> Wire {
    let [cluster, from, to] = ids.map(|id| format!("{id:x}"));
    let mut wire = Wire::open(port, WINDOW).await.expect("the member listens");
    let headers = [
        ("quorate-cluster-id", cluster.as_bytes()),
        ("quorate-member-id", from.as_bytes()),
        ("quorate-to", to.as_bytes()),
        ("quorate-version", b"3.7.1"),
    ];
    wire.call(1, path, &headers).await.expect("a call");
    let _ = wire.data(1, &wire::framed(message), false).await;
    let _ = wire.flush().await;
    wire
}

fn assert_sound(cluster: &mut Cluster) {
    for member in &mut cluster.members {
        assert!(member.is_running(), "{} died\n{}", member.name, member.log_tail());
        assert!(!member.log().contains("panicked"), "{}", member.log_tail());
    }
}

/// Raft's crate trusts its messages; whoever may connect could stop a member, or the cluster, with one.
#[tokio::test(flavor = "multi_thread")]
async fn raft_messages_that_no_member_would_send() {
    let mut cluster = Cluster::start(3).await;
    let ids = ids(&cluster).await;
    let leader = cluster.leader().await;
    let term = cluster.status(leader).await.expect("a status").raft_term();
    cluster
        .client()
        .await
        .put("before", "1", None)
        .await
        .expect("a put");
    let port = cluster.members[leader].peer_port;
    let (to, from) = (ids.members[leader], ids.members[(leader + 1) % 3]);
    let message =
        |kind: u64, term: u64| [number(1, kind), number(2, to), number(3, from), number(4, term)].concat();
    let batch = |message: &[u8]| [field(1, message), sum(2, &[message])].concat();

    // Of another cluster, for another member, from this one itself, from nobody known.
    for (place, ids) in [
        [ids.cluster ^ 1, from, to],
        [ids.cluster, from, from],
        [ids.cluster, to, to],
        [0, 0, 0],
    ]
    .into_iter()
    .enumerate()
    {
        let heartbeat = batch(&message(8, term + 10));
        let wire = call(port, RAFT, ids, &heartbeat).await;
        let refused = wire
            .wait(PATIENCE, |wire| wire.answers() > 0 || wire.resets() > 0)
            .await;
        assert!(refused, "number {place} is not told to go");
        let wire = call(port, SNAPSHOT, ids, &heartbeat).await;
        assert!(
            wire.wait(PATIENCE, |wire| wire.answers() > 0 || wire.resets() > 0)
                .await
        );
    }
    let now = cluster.status(leader).await.expect("a status").raft_term();
    assert_eq!(now, term, "strangers have forced an election");

    // In the name of a member, of every kind, with numbers of every size.
    let sizes = [
        0,
        1,
        term,
        term + 1,
        1 << 31,
        1 << 61,
        (1 << 62) - 1,
        1 << 62,
        u64::MAX,
    ];
    let entry = [number(2, term), number(3, u64::MAX), field(4, b"entry")].concat();
    let snapshot = field(2, &[number(2, 1 << 61), number(3, 1)].concat());
    let mut sent = 0;
    for kind in 0..20 {
        for size in sizes {
            let shapes = [
                vec![number(6, size), number(8, size)],
                vec![number(5, size), number(6, size), field(7, &entry)],
                vec![number(8, size), field(9, &snapshot), field(12, &[0; 100])],
                vec![number(6, size), number(10, 1), number(11, size), number(13, size)],
            ];
            for shape in shapes {
                // Higher terms are a member's good right; these are not to win elections.
                let message = [message(kind, term), shape.concat()].concat();
                drop(call(port, RAFT, [ids.cluster, from, to], &batch(&message)).await);
                sent += 1;
            }
        }
    }
    for bytes in [&[0xff; 64][..], &[0x0a, 0xff, 0xff, 0xff, 0x7f], &[0x0b; 100_000]] {
        drop(call(port, RAFT, [ids.cluster, from, to], bytes).await);
        drop(call(port, RAFT, [ids.cluster, from, to], &batch(bytes)).await);
        drop(call(port, SNAPSHOT, [ids.cluster, from, to], bytes).await);
    }
    // Files outside of the directory, and more of them than there is space.
    for (name, bytes) in [
        ("../../escape", 1),
        ("/escape", 1),
        ("huge", u64::MAX),
        ("large", 1 << 60),
    ] {
        let announced = message(7, term);
        let file = [field(1, name.as_bytes()), number(2, bytes)].concat();
        let id = 7u64.to_le_bytes();
        let parts = [&id[..], &announced, name.as_bytes(), &u64::to_le_bytes(bytes)];
        let begin = [
            number(1, 7),
            field(2, &announced),
            field(3, &file),
            sum(4, &parts),
        ]
        .concat();
        drop(call(port, SNAPSHOT, [ids.cluster, from, to], &field(1, &begin)).await);
    }
    // Terms as high as they get: they force elections, no more.
    for high in [term + 100, 1 << 40, (1 << 62) - 1] {
        for kind in [4, 6, 8, 9, 18] {
            drop(call(port, RAFT, [ids.cluster, from, to], &batch(&message(kind, high))).await);
        }
    }
    println!("{sent} messages sent");
    assert_sound(&mut cluster);
    eventually(PATIENCE, async || {
        let mut client = cluster.client().await;
        client.put("after", "1", None).await?;
        anyhow::ensure!(
            !client.get("before", None).await?.kvs().is_empty(),
            "a write is lost"
        );
        Ok(())
    })
    .await;
    cluster.assert_same_hash().await;
    assert_sound(&mut cluster);
}

/// Whoever only connects, or speaks politely and is nobody, must not keep members out.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_keep_no_member_out() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let witness = Witness::start(cluster.members[leader].endpoint()).await;
    let (one, two) = ((leader + 1) % 3, (leader + 2) % 3);
    let [before, _] = cluster.members[leader].memory();
    let mut silent = Vec::new();
    let mut polite = Vec::new();
    for member in 0..3 {
        let port = cluster.members[member].peer_port;
        for n in 0..400 {
            match n % 2 {
                0 => {
                    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
                        let word: &[u8] =
                            [b"".as_slice(), b"GET /ver", &[0x16, 3, 1, 2, 0], b"PRI * HT"][n / 2 % 4];
                        let _ = stream.write_all(word).await;
                        silent.push(stream);
                    }
                }
                // Says hello, reads and answers nothing more.
                _ => polite.extend(Wire::open(port, WINDOW).await),
            }
        }
    }
    // All connections of this one are new.
    cluster.members[one].kill();
    cluster.members[one].start();
    cluster.wait_serving(one).await;
    cluster.members[two].kill();
    let mut client = cluster.client_of(one).await;
    eventually(PATIENCE, async || {
        client.clone().put("with", "two of three", None).await?;
        Ok(())
    })
    .await;
    cluster.members[two].start();
    cluster.wait_serving(two).await;
    client.put("with", "three of three", None).await.expect("a put");
    let [_, most] = cluster.members[leader].memory();
    assert!(most < before + 100, "{most} MiB, {before} before");
    println!("{} silent and {} polite strangers", silent.len(), polite.len());
    let report = witness.finish().await;
    assert!(report.served > 10, "{report:?}");
    assert_sound(&mut cluster);
    cluster.assert_same_hash().await;
}
