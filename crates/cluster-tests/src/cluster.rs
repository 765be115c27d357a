//! Several members that belong together.

use crate::{Member, eventually};
use anyhow::{Context, ensure};
use etcd_client::{Client, ConnectOptions, GetOptions, StatusResponse};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything in a test may take before it counts as broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Members of one cluster, some of them perhaps stopped. Everything is gone when it is dropped.
pub struct Cluster {
    /// The members, in the order in which they came.
    pub members: Vec<Member>,
    extra: Vec<String>,
    root: TempDir,
}

/// What a cluster should be like.
#[derive(Clone, Default)]
pub struct Setup {
    /// Flags for every member.
    pub flags: Vec<String>,
    /// Flags for one member.
    pub own_flags: Vec<(usize, String)>,
    /// URLs for clients and for peers begin with https.
    pub secure: [bool; 2],
}

impl Setup {
    /// Adds a flag for every member.
    pub fn flag(mut self, flag: &str) -> Setup {
        self.flags.push(flag.to_owned());
        self
    }

    /// Adds a flag for one member.
    pub fn own_flag(mut self, member: usize, flag: &str) -> Setup {
        self.own_flags.push((member, flag.to_owned()));
        self
    }

    /// Says where TLS is spoken: with clients, between members. The flags for it are the caller's.
    pub fn secure(mut self, clients: bool, peers: bool) -> Setup {
        self.secure = [clients, peers];
        self
    }

    /// Starts `size` members and waits until all of them serve.
    pub async fn start(self, size: usize) -> Cluster {
        let cluster = self.launch(size);
        cluster.wait_ready().await;
        cluster
    }

    /// Starts `size` members and waits for nothing.
    pub fn launch(self, size: usize) -> Cluster {
        let mut cluster = self.prepare(size);
        cluster.start_all();
        cluster
    }

    /// Everything but the start: for members whose data or flags come from elsewhere.
    pub fn prepare(self, size: usize) -> Cluster {
        let root = TempDir::with_prefix("quorate-").expect("a directory for the cluster");
        let mut members: Vec<Member> = free_ports(size)
            .into_iter()
            .enumerate()
            .map(|(i, ports)| {
                let mut member = Member::new(&format!("m{i}"), root.path(), ports);
                member.schemes = self.secure.map(|secure| if secure { "https" } else { "http" });
                member
            })
            .collect();
        for (i, member) in members.iter_mut().enumerate() {
            let own = self.own_flags.iter().filter(|(owner, _)| *owner == i);
            let own = own.map(|(_, flag)| flag.clone());
            member.flags = self.flags.iter().cloned().chain(own).collect();
        }
        let mut cluster = Cluster {
            members,
            extra: self.flags,
            root,
        };
        cluster.introduce();
        cluster
    }
}

/// Ports that nobody holds at the moment. Another process might take one before its server binds it; the server then
/// says so and the test fails, which has to be rarer than the trouble of passing sockets on.
fn free_ports(count: usize) -> Vec<[u16; 2]> {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let held: Vec<[TcpListener; 2]> = (0..count).map(|_| [bind(), bind()]).collect();
    held.iter()
        .map(|pair| {
            pair.each_ref()
                .map(|socket| socket.local_addr().expect("it is bound").port())
        })
        .collect()
}

fn initial_cluster(members: &[Member]) -> String {
    members
        .iter()
        .map(|member| format!("{}={}", member.name, member.peer_url()))
        .collect::<Vec<_>>()
        .join(",")
}

impl Cluster {
    /// A cluster with defaults.
    pub async fn start(size: usize) -> Cluster {
        Setup::default().start(size).await
    }

    /// Tells the members of a new cluster of each other.
    fn introduce(&mut self) {
        let initial = self.initial_cluster();
        for member in &mut self.members {
            let flags = member.flags.clone();
            member.set_args(&initial, "new", &flags);
        }
    }

    /// Gives members that were never started other addresses, and commands to start them with.
    pub(crate) fn move_to(&mut self, places: impl Iterator<Item = (String, Vec<String>)>) {
        for (member, (host, prefix)) in self.members.iter_mut().zip(places) {
            member.host = host;
            let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
            member.set_prefix(&prefix);
        }
        self.introduce();
    }

    /// Members that were never started are reached by their peers at these ports, one for each: whoever listens there
    /// passes on what he gets.
    pub fn put_behind(&mut self, ports: &[u16]) {
        let urls = ports.iter().map(|port| format!("http://127.0.0.1:{port}"));
        let urls: Vec<String> = urls.collect();
        let initial: Vec<String> = self
            .members
            .iter()
            .zip(&urls)
            .map(|(member, url)| format!("{}={url}", member.name))
            .collect();
        for (member, url) in self.members.iter_mut().zip(&urls) {
            let name = "initial-advertise-peer-urls";
            member.replace_flag(name, &[format!("--{name}={url}")]);
            member.replace_flag(
                "initial-cluster",
                &[format!("--initial-cluster={}", initial.join(","))],
            );
        }
    }

    /// Starts every member and returns at once.
    pub fn start_all(&mut self) {
        self.members.iter_mut().for_each(Member::start);
    }

    /// A directory that goes with the cluster.
    pub fn dir(&self) -> &std::path::Path {
        self.root.path()
    }

    /// `name=url,…` of all members.
    pub fn initial_cluster(&self) -> String {
        initial_cluster(&self.members)
    }

    /// URLs of all members.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(Member::endpoint).collect()
    }

    /// A client of all members.
    pub async fn client(&self) -> Client {
        connect(&self.endpoints()).await
    }

    /// A client of one member.
    pub async fn client_of(&self, member: usize) -> Client {
        connect(&[self.members[member].endpoint()]).await
    }

    /// Waits until every running member answers a linearizable read.
    pub async fn wait_ready(&self) {
        for member in &self.members {
            wait_serving(member).await;
        }
    }

    /// Waits until this member answers a linearizable read.
    pub async fn wait_serving(&self, member: usize) {
        wait_serving(&self.members[member]).await;
    }

    /// Status of one member.
    pub async fn status(&self, member: usize) -> anyhow::Result<StatusResponse> {
        let mut client = connect(&[self.members[member].endpoint()]).await;
        Ok(tokio::time::timeout(Duration::from_secs(3), client.status()).await??)
    }

    /// Index of the member that leads; all running members agree on it.
    pub async fn leader(&mut self) -> usize {
        let running: Vec<usize> = (0..self.members.len())
            .filter(|i| self.members[*i].is_running())
            .collect();
        let cluster = &*self;
        eventually(PATIENCE, || async {
            let mut leaders = BTreeSet::new();
            let mut found = None;
            for &i in &running {
                let status = cluster.status(i).await?;
                leaders.insert(status.leader());
                let id = status.header().context("a header")?.member_id();
                if id == status.leader() {
                    found = Some(i);
                }
            }
            ensure!(leaders.len() == 1, "members name different leaders: {leaders:?}");
            found.context("the leader is not among the running members")
        })
        .await
    }

    /// Puts a member beside the others that they know already under this list, and gives its place. It is not started.
    pub fn place_member(&mut self, initial_cluster: impl FnOnce(&Member) -> String) -> usize {
        let mut member = Member::new(
            &format!("m{}", self.members.len()),
            self.root.path(),
            free_ports(1)[0],
        );
        member.schemes = self.members[0].schemes;
        let initial = initial_cluster(&member);
        member.set_args(&initial, "existing", &self.extra);
        self.members.push(member);
        self.members.len() - 1
    }

    /// Adds a member that is not started yet, and gives its place. `learner` as the client API has it.
    pub async fn add_member(&mut self, learner: bool) -> usize {
        let name = format!("m{}", self.members.len());
        let ports = free_ports(1)[0];
        let mut member = Member::new(&name, self.root.path(), ports);
        let url = member.peer_url();
        let mut client = self.client().await;
        let options = etcd_client::MemberAddOptions::new();
        let options = if learner {
            options.with_is_learner()
        } else {
            options
        };
        let added = member_change(&mut client, async |client| {
            client.member_add([url.clone()], Some(options.clone())).await
        })
        .await;
        let known: Vec<String> = added
            .member_list()
            .iter()
            .map(|known| {
                let url = known.peer_urls().first().cloned().unwrap_or_default();
                let owner = self.members.iter().find(|member| member.peer_url() == url);
                format!(
                    "{}={url}",
                    owner.map_or(name.as_str(), |member| member.name.as_str())
                )
            })
            .collect();
        member.set_args(&known.join(","), "existing", &self.extra);
        self.members.push(member);
        self.members.len() - 1
    }

    /// Removes a member from the cluster by its id, stops its process and forgets it.
    pub async fn remove_member(&mut self, member: usize) {
        let id = self.member_id(member).await;
        let others: Vec<String> = self
            .endpoints()
            .into_iter()
            .enumerate()
            .filter(|(i, _)| *i != member)
            .map(|(_, url)| url)
            .collect();
        let mut client = connect(&others).await;
        member_change(&mut client, async |client| client.member_remove(id).await).await;
        let mut removed = self.members.remove(member);
        removed.kill();
    }

    /// Makes a learner a voter, as soon as it has caught up.
    pub async fn promote(&mut self, member: usize) {
        let id = self.member_id(member).await;
        let mut client = self.client().await;
        member_change(&mut client, async |client| client.member_promote(id).await).await;
    }

    /// Id of a member that runs.
    pub async fn member_id(&self, member: usize) -> u64 {
        eventually(PATIENCE, || async {
            let status = self.status(member).await?;
            Ok(status.header().context("a header")?.member_id())
        })
        .await
    }

    /// Waits until all members have the same hash of all keys at the same revision; gives the revision.
    pub async fn assert_same_hash(&self) -> i64 {
        let mut client = self.client().await;
        let revision = eventually(PATIENCE, async || {
            let mut client = client.clone();
            let options = GetOptions::new().with_limit(1);
            let answer = client.get("0", Some(options)).await?;
            Ok(answer.header().context("a header")?.revision())
        })
        .await;
        let mut hashes = Vec::new();
        for member in &self.members {
            let endpoint = member.endpoint();
            let hash = eventually(PATIENCE, || async {
                let mut client = connect(std::slice::from_ref(&endpoint)).await;
                let answer = client.hash_kv(revision).await?;
                Ok((answer.hash(), answer.compact_version()))
            })
            .await;
            hashes.push(hash);
        }
        // A member may compact physically a moment later; what it hashes stays the same.
        assert!(
            hashes.windows(2).all(|pair| pair[0] == pair[1]),
            "hashes differ at {revision}: {hashes:x?}"
        );
        let _ = &mut client;
        revision
    }
}

/// Membership changes are refused for a while after the last one: members must have been connected for five seconds.
async fn member_change<T>(
    client: &mut Client,
    change: impl AsyncFn(&mut Client) -> Result<T, etcd_client::Error>,
) -> T {
    eventually(PATIENCE, async || Ok(change(&mut client.clone()).await?)).await
}

async fn wait_serving(member: &Member) {
    let endpoint = member.endpoint();
    eventually(PATIENCE, || async {
        let mut client = connect(std::slice::from_ref(&endpoint)).await;
        tokio::time::timeout(Duration::from_secs(3), client.get("0", None)).await??;
        Ok(())
    })
    .await;
}

/// A client of these endpoints, which need not answer yet.
pub async fn connect(endpoints: &[String]) -> Client {
    let options = ConnectOptions::new()
        .with_connect_timeout(Duration::from_secs(1))
        .with_keep_alive(Duration::from_secs(1), Duration::from_secs(2))
        .with_timeout(Duration::from_secs(8));
    Client::connect(endpoints, Some(options))
        .await
        .expect("connections are made lazily")
}
