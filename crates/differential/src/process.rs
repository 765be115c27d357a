//! Two servers, started alike.

use crate::endpoint::Endpoint;
use crate::step::Step;
use anyhow::{Context, bail};
use bytes::Bytes;
use model::pb::etcdserverpb::{MemberListRequest, PutRequest};
use prost::Message;
use prost_reflect::DynamicMessage;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Attempts at a start: another process may take the port in between.
const STARTS_MAX: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// Ports of servers. Below those that the system hands out: a connection of a client may not take one in between.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port that nobody listens on; no other caller in this process gets it for a long time.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places.
    let start = std::process::id() as u16;
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(start) % (PORTS.end - PORTS.start);
        let port = PORTS.start + offset;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// One server process; ends with this value.
pub(crate) struct Server {
    process: Child,
    pub(crate) endpoint: Endpoint,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ours and theirs, both empty.
pub struct Pair {
    pub(crate) ours: Server,
    pub(crate) theirs: Server,
    // After the servers: it is removed when they have ended.
    _dir: tempfile::TempDir,
}

impl Pair {
    /// Starts both in a directory of their own below `dir`, and waits until they take requests.
    pub async fn start(ours: &Path, theirs: &Path, dir: &Path) -> anyhow::Result<Pair> {
        let dir = tempfile::Builder::new().prefix("quorate-diff-").tempdir_in(dir)?;
        let (ours, theirs) = tokio::try_join!(
            Server::start(
                ours,
                dir.path().join("ours"),
                &["--feature-gates=CompactHashCheck=true"]
            ),
            Server::start(theirs, dir.path().join("theirs"), &[]),
        )?;
        Ok(Pair {
            ours,
            theirs,
            _dir: dir,
        })
    }
}

impl Server {
    async fn start(binary: &Path, dir: PathBuf, extra: &[&str]) -> anyhow::Result<Server> {
        let mut last = None;
        for attempt in 0..STARTS_MAX {
            let dir = dir.join(attempt.to_string());
            std::fs::create_dir_all(&dir)?;
            match Server::try_start(binary, &dir, extra).await {
                Ok(server) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there was an attempt"))
    }

    async fn try_start(binary: &Path, dir: &Path, extra: &[&str]) -> anyhow::Result<Server> {
        let (client, peer) = (free_port(), free_port());
        let path = dir.join("log");
        let log = File::create(&path)?;
        let process = Command::new(binary)
            .arg(format!("--data-dir={}", dir.join("data").display()))
            .arg(format!("--listen-client-urls=http://127.0.0.1:{client}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .args([
                // Ids are computed from these: the same for both, and nobody ever calls there.
                "--name=member",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--initial-advertise-peer-urls=http://127.0.0.1:2380",
                "--initial-cluster=member=http://127.0.0.1:2380",
                // A single member waits for its own election.
                "--heartbeat-interval=10",
                "--election-timeout=100",
                // What is compared is answers; nothing here survives anyway.
                "--unsafe-no-fsync",
                "--bcrypt-cost=4",
                "--log-level=error",
            ])
            .args(extra)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut server = Server {
            process,
            endpoint: Endpoint::new(format!("http://127.0.0.1:{client}"))?,
            log: path,
        };
        tokio::time::timeout(PATIENCE, server.ready())
            .await
            .with_context(|| format!("{} is not ready after {PATIENCE:?}", binary.display()))??;
        Ok(server)
    }

    /// Takes writes, and has published its name.
    async fn ready(&mut self) -> anyhow::Result<()> {
        // Waits for a leader, and is refused: the first revision stays the first.
        let no_put = Step::new(
            "KV/Put",
            &PutRequest {
                ignore_value: true,
                key: Bytes::from_static(b"k"),
                ..PutRequest::default()
            },
        );
        let list = Step::new("Cluster/MemberList", &MemberListRequest { linearizable: true });
        loop {
            if let Some(status) = self.process.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the server ended with {status}\n{log}");
            }
            let _ = self.ask(&no_put).await;
            if let Ok(members) = self.ask(&list).await
                && members.to_string().contains("2379")
                && self.process.try_wait()?.is_none()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ask(&self, step: &Step) -> anyhow::Result<DynamicMessage> {
        let request = Bytes::from(step.request.encode_to_vec());
        let mut answers = self
            .endpoint
            .call(&step.method, None, futures::stream::iter([request]))
            .await?;
        let answer = answers.message().await?.context("no answer")?;
        Ok(DynamicMessage::decode(step.method.output(), answer)?)
    }
}
