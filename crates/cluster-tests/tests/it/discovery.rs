//! Members that do not know each other find one another through a cluster that runs already.

use cluster_tests::{Cluster, Member, Setup, get};
use std::time::Duration;

/// Members that are told nothing of each other but these flags.
fn strangers(count: usize, flags: &[String]) -> Cluster {
    let mut cluster = Setup::default().prepare(count);
    for member in &mut cluster.members {
        member.replace_flag("initial-cluster", flags);
        member.replace_flag("initial-cluster-token", &[]);
    }
    cluster
}

async fn assert_one_cluster(cluster: &Cluster) {
    cluster.wait_ready().await;
    let mut client = cluster.client().await;
    let mut names: Vec<String> = client
        .member_list()
        .await
        .unwrap()
        .members()
        .iter()
        .map(|member| member.name().to_owned())
        .collect();
    names.sort();
    let expected: Vec<String> = cluster.members.iter().map(|member| member.name.clone()).collect();
    assert_eq!(names, expected);
    client.put("key", "value", None).await.unwrap();
    cluster.assert_same_hash().await;
}

/// One more than there are places does not get in, and says why.
async fn assert_full(flags: &[String]) {
    let mut late = strangers(1, flags);
    late.start_all();
    let member: &mut Member = &mut late.members[0];
    let status = member.wait(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(1));
    assert!(
        member.log().contains("discovery: cluster is full"),
        "{}",
        member.log_tail()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_brings_three_members_together_and_refuses_a_fourth() {
    let service = Cluster::start(1).await;
    let mut client = service.client().await;
    client
        .put("/_etcd/registry/token/_config/size", "3", None)
        .await
        .unwrap();
    let flags = [
        "--discovery-token=token".to_owned(),
        format!("--discovery-endpoints={}", service.endpoints().join(",")),
    ];
    let mut cluster = strangers(3, &flags);
    cluster.start_all();
    assert_one_cluster(&cluster).await;
    assert_full(&flags).await;

    // A restart asks nobody.
    drop(service);
    cluster.members[0].stop().await;
    cluster.members[0].start();
    cluster.wait_serving(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_brings_three_members_together_and_refuses_a_fourth() {
    let service = Cluster::start(1).await;
    let port = service.members[0].client_port;
    let (status, url) = get(port, "/new?size=3").await.unwrap();
    assert_eq!(status, 200);
    let flags = [format!(
        "--discovery={}",
        url.replace("localhost", &format!("127.0.0.1:{port}"))
    )];
    let mut cluster = strangers(3, &flags);
    // The first one waits for the others.
    cluster.members[0].start();
    let first = &cluster.members[0];
    cluster_tests::eventually(Duration::from_secs(20), || async {
        anyhow::ensure!(first.log().contains("waiting for peers"), "it does not wait yet");
        Ok(())
    })
    .await;
    cluster.members[1].start();
    cluster.members[2].start();
    assert_one_cluster(&cluster).await;
    assert_full(&flags).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_and_a_bad_size_are_refused() {
    let service = Cluster::start(1).await;
    let port = service.members[0].client_port;
    let endpoint = service.members[0].endpoint();
    let refused = |flag: String, says: &'static str| async move {
        let mut stranger = strangers(1, &[flag]);
        stranger.start_all();
        let status = stranger.members[0].wait(Duration::from_secs(20)).await;
        assert_eq!(status.code(), Some(1));
        let log = stranger.members[0].log();
        assert!(log.contains(says), "{says}: {log}");
    };
    refused(
        format!("--discovery={endpoint}/discovery/nobody"),
        "discovery: size key not found",
    )
    .await;
    refused(format!("--discovery={endpoint}"), "it has no token").await;
    refused(
        "--discovery-proxy=http://127.0.0.1:1".to_owned(),
        "--discovery-proxy is not available",
    )
    .await;
    assert_eq!(get(port, "/new?size=0").await.unwrap().0, 400);
    assert_eq!(get(port, "/new?size=many").await.unwrap().0, 400);
    assert_eq!(get(port, "/discovery/nobody").await.unwrap().0, 404);
}
