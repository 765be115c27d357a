//! Who this member is: found in its data directory, computed for a new cluster, or asked of a running one.

use crate::address::Address;
use crate::command_line::ETCD_VERSION;
use crate::config::Config;
use crate::{discover, identity};
use anyhow::{Context, bail};
use futures::StreamExt;
use futures::stream::BoxStream;
use membership::{Cluster, Member, Version};
use model::{ClusterId, MemberId};
use node::Bootstrap;
use peer::{Accepting, Connector, members_of, version_of};
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

/// etcd's limit for asking whether a member is known already.
const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(1);

/// Identity, and what the node is to do where its data directory is empty.
pub struct Start {
    /// This member.
    pub member: MemberId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Ignored where the data directory holds a member.
    pub bootstrap: Bootstrap,
}

/// Closes what comes in while this member does not know yet who it is. Members that start together ask each other, and
/// a socket that takes the question and gives no answer would have each of them wait for the others' timeouts.
pub async fn decline(incoming: &mut BoxStream<'static, io::Result<Accepting>>) {
    /// After an error such as too many open files, which would be there again at once.
    const PAUSE: Duration = Duration::from_millis(100);
    while let Some(accepted) = incoming.next().await {
        if accepted.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Finds out; a joining member asks its peers.
pub async fn find(config: &Config, connector: &dyn Connector) -> anyhow::Result<Start> {
    if let Some((member, cluster)) = identity::stored(&config.log_dir())? {
        let bootstrap = Bootstrap::New {
            member,
            cluster,
            members: Vec::new(),
        };
        return Ok(Start {
            member,
            cluster,
            bootstrap,
        });
    }
    let found = discover::first_members(config).await?;
    found.members.verify(&config.name, found.advertised.as_deref())?;
    let local = Cluster::bootstrap(&found.members, &found.token)?;
    let own = local
        .member_by_name(&config.name)
        .context("--initial-cluster lacks this member")?
        .clone();
    let others: Vec<String> = local
        .members()
        .filter(|member| member.id != own.id)
        .flat_map(|member| member.peer_urls.clone())
        .collect();
    if config.join {
        return join(&local, &own, &others, connector).await;
    }
    refuse_second_bootstrap(&own, &others, connector).await?;
    let members = local.members().map(Member::to_pb).collect();
    let bootstrap = Bootstrap::New {
        member: own.id,
        cluster: local.id(),
        members,
    };
    Ok(Start {
        member: own.id,
        cluster: local.id(),
        bootstrap,
    })
}

/// A member whose data is gone must not found its cluster again: the others know it as somebody who remembers what it
/// voted for (etcd server/etcdserver/bootstrap.go).
async fn refuse_second_bootstrap(
    own: &Member,
    others: &[String],
    connector: &dyn Connector,
) -> anyhow::Result<()> {
    // All at once, and not for long: hosts may be switched off.
    let asked = others
        .iter()
        .map(|url| tokio::time::timeout(BOOTSTRAP_TIMEOUT, members_of(connector, url)));
    for running in futures::future::join_all(asked).await {
        let Ok(Ok(running)) = running else {
            continue;
        };
        let known = running.members.iter().find(|member| member.id == own.id.0);
        if known.is_some_and(|member| !member.client_urls.is_empty()) {
            bail!(
                "member {} has already been bootstrapped: its data directory is lost or wrong; remove the member from \
                 the cluster, add it again, and start it with --initial-cluster-state existing",
                own.id
            );
        }
    }
    Ok(())
}

async fn join(
    local: &Cluster,
    own: &Member,
    others: &[String],
    connector: &dyn Connector,
) -> anyhow::Result<Start> {
    let mut last = None;
    for url in others {
        match members_of(connector, url).await {
            Ok(running) => {
                check_version(url, connector).await?;
                let members = running.members.iter().map(known).collect();
                let theirs = Cluster::from_members(running.cluster, members);
                let joined = membership::assign_ids(local, &theirs, resolve)
                    .with_context(|| format!("error validating peerURLs of the cluster at {url}"))?;
                let own = joined
                    .member_by_name(&own.name)
                    .context("the cluster does not know this member")?;
                let member = own.id;
                let bootstrap = Bootstrap::Join {
                    member,
                    cluster: running.cluster,
                    members: running.members.clone(),
                };
                return Ok(Start {
                    member,
                    cluster: running.cluster,
                    bootstrap,
                });
            }
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => {
            let urls = others.join(",");
            Err(error).with_context(|| format!("cannot fetch cluster info from peer urls: {urls}"))
        }
        None => bail!("cannot fetch cluster info from peer urls: --initial-cluster names no other member"),
    }
}

fn known(member: &model::pb::etcdserverpb::Member) -> Member {
    Member {
        id: MemberId(member.id),
        name: member.name.clone(),
        peer_urls: member.peer_urls.clone(),
        client_urls: member.client_urls.clone(),
        is_learner: member.is_learner,
    }
}

async fn check_version(url: &str, connector: &dyn Connector) -> anyhow::Result<()> {
    let versions = version_of(connector, url).await?;
    let ours: Version = ETCD_VERSION.parse()?;
    // Not decided yet: then nothing can be too new.
    let Ok(cluster) = versions.cluster.parse::<Version>() else {
        return Ok(());
    };
    if !membership::may_join(ours, cluster, membership::Downgrade::Off) {
        bail!("incompatible with current running cluster: it has version {cluster}, this server {ours}");
    }
    Ok(())
}

/// The URL with an address in place of a name, where the name has one.
fn resolve(url: &str) -> String {
    let resolved = Address::parse(url)
        .ok()
        .filter(|address| !address.is_unix())
        .and_then(|address| {
            let found = address.socket().to_socket_addrs().ok()?.next()?;
            let scheme = if address.scheme.is_tls() { "https" } else { "http" };
            Some(format!("{scheme}://{found}"))
        });
    resolved.unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::BoxFuture;
    use membership::InitialCluster;
    use std::future::pending;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::Instant;

    /// Takes connections and never says anything on them.
    struct Silent;

    impl Connector for Silent {
        fn connect(&self, _: url::Url) -> BoxFuture<'static, io::Result<peer::BoxIo>> {
            Box::pin(pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_members_cost_one_timeout_together() {
        let cluster = "a=http://h1:1,b=http://h2:1,c=http://h3:1,d=http://h4:1,e=http://h5:1";
        let initial = InitialCluster::parse(cluster).unwrap();
        let local = Cluster::bootstrap(&initial, "token").unwrap();
        let own = local.member_by_name("a").unwrap();
        let others: Vec<String> = (2..=5).map(|host| format!("http://h{host}:1")).collect();
        let began = Instant::now();
        refuse_second_bootstrap(own, &others, &Silent).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn whoever_asks_before_there_is_an_answer_is_told_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = peer::accept_tcp(listener);
        let asking = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The end, or a reset: either ends the wait.
            let _ = stream.read(&mut [0]).await;
        };
        tokio::select! {
            () = decline(&mut incoming) => panic!("a listener does not end"),
            asked = tokio::time::timeout(Duration::from_secs(20), asking) => asked.unwrap(),
        }
    }
}
