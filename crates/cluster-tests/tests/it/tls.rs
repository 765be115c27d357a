//! Clusters that encrypt: who is let in, what others are told, and that nothing need be restarted for new files.

use cluster_tests::{Authority, Cluster, Identity, Member, Setup, eventually};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a client, and gives whether it succeeded and all it printed.
fn run(binary: impl Into<PathBuf>, args: &[String]) -> (bool, String) {
    let binary = binary.into();
    let mut command = Command::new(&binary);
    if binary.as_os_str() == "etcdctl" {
        command.env("ETCDCTL_API", "3");
    }
    let output = command.args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// How a cluster is talked to.
struct Caller {
    endpoints: String,
    flags: Vec<String>,
}

impl Caller {
    fn new(endpoints: &[String], authority: &Authority, identity: Option<&Identity>) -> Caller {
        let mut flags = vec![format!("--cacert={}", authority.file())];
        flags.extend(identity.into_iter().flat_map(Identity::flags));
        Caller {
            endpoints: endpoints.join(","),
            flags,
        }
    }

    fn with(&self, binary: impl Into<PathBuf>, args: &[&str]) -> (bool, String) {
        let mut all = vec![format!("--endpoints={}", self.endpoints)];
        all.extend(self.flags.iter().cloned());
        all.extend(words(args.iter().copied()));
        run(binary, &all)
    }

    /// With our client; panics if it fails.
    fn ok(&self, args: &[&str]) -> String {
        let (success, text) = self.with(quoratectl(), args);
        assert!(success, "{args:?}: {text}");
        text
    }

    async fn eventually_ok(&self, args: &[&str]) -> String {
        eventually(PATIENCE, async || {
            let (success, text) = self.with(quoratectl(), args);
            anyhow::ensure!(success, "{args:?}: {text}");
            Ok(text)
        })
        .await
    }

    async fn refused(&self, because: &str) {
        let (success, text) = self.with(quoratectl(), &["--command-timeout=2s", "get", "a"]);
        assert!(
            !success && text.contains(because),
            "{because:?} is not in {text:?}"
        );
    }
}

fn quoratectl() -> PathBuf {
    match std::env::var_os("QUORATECTL_BIN") {
        Some(path) => path.into(),
        None => cluster_tests::server_binary().with_file_name("quoratectl"),
    }
}

fn curl(args: &[&str]) -> (bool, String) {
    run(
        "curl",
        &words(
            ["-sS", "--max-time", "10"]
                .into_iter()
                .chain(args.iter().copied()),
        ),
    )
}

/// Files of both sides from one authority, all of whose certificates are let in.
fn mutual(authority: &Authority) -> Setup {
    let server = authority.issue("server", 1);
    let mut setup = Setup::default().secure(true, true);
    for prefix in ["", "peer-"] {
        setup = setup
            .flag(&format!("--{prefix}cert-file={}", server.certificate))
            .flag(&format!("--{prefix}key-file={}", server.key))
            .flag(&format!("--{prefix}trusted-ca-file={}", authority.file()));
    }
    setup.flag("--client-cert-auth").flag("--peer-client-cert-auth")
}

async fn logged(member: &Member, text: &str) {
    eventually(PATIENCE, async || {
        anyhow::ensure!(
            member.log().contains(text),
            "{text:?} is not in the log of {}",
            member.name
        );
        Ok(())
    })
    .await;
}

/// Everything that goes over the wire between members and to clients does so through TLS: elections, writes through
/// followers, forwarded keep-alives, a snapshot, a new member and its promotion.
#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_all_clients_are_served_and_members_do_everything_they_do_without() {
    let authority = Authority::new();
    let setup = mutual(&authority)
        .flag("--snapshot-count=50")
        .flag("--snapshot-catchup-entries=10");
    let mut cluster = setup.launch(3);
    let ada = authority.issue("ada", 2);
    let caller = Caller::new(&cluster.endpoints(), &authority, Some(&ada));
    caller.eventually_ok(&["endpoint", "health"]).await;

    assert_eq!(caller.with("etcdctl", &["put", "a", "1"]), (true, "OK\n".into()));
    assert_eq!(caller.ok(&["get", "a"]), "a\n1\n");
    let base = cluster.members[0].endpoint();
    let with_files = [
        "--cacert",
        &authority.file(),
        "--cert",
        &ada.certificate,
        "--key",
        &ada.key,
    ];
    let get = |args: &[&str]| curl(&[&with_files, args].concat());
    for version in ["--http1.1", "--http2"] {
        let (_, health) = get(&[version, &format!("{base}/health")]);
        assert_eq!(health, r#"{"health":"true","reason":""}"#, "{version}");
    }
    assert!(
        get(&[&format!("{base}/metrics")])
            .1
            .contains("etcd_server_has_leader 1")
    );
    let range = get(&[&format!("{base}/v3/kv/range"), "-d", r#"{"key":"YQ=="}"#]).1;
    assert!(range.contains(r#""value":"MQ==""#), "{range}");

    for member in &cluster.members {
        let one = Caller::new(&[member.endpoint()], &authority, Some(&ada));
        one.ok(&["put", "through", &member.name]);
        let lease = one.ok(&["lease", "grant", "600"]);
        let lease = lease.split(' ').nth(1).expect("an id").to_owned();
        assert!(
            one.ok(&["lease", "keep-alive", "--once", &lease])
                .contains("keepalived")
        );
    }

    cluster.members[2].stop().await;
    let others = Caller::new(&cluster.endpoints()[..2], &authority, Some(&ada));
    for n in 0..120 {
        others.eventually_ok(&["put", &format!("n/{n}"), "x"]).await;
    }
    cluster.members[2].start();
    logged(&cluster.members[2], "ready to serve client requests").await;
    let third = Caller::new(&cluster.endpoints()[2..], &authority, Some(&ada));
    assert_eq!(
        third.eventually_ok(&["get", "n/119", "--print-value-only"]).await,
        "x\n"
    );

    let mut known: Vec<String> = cluster
        .members
        .iter()
        .map(|member| format!("{}={}", member.name, member.peer_url()))
        .collect();
    let new = cluster.place_member(|member| {
        known.push(format!("{}={}", member.name, member.peer_url()));
        known.join(",")
    });
    let url = format!("--peer-urls={}", cluster.members[new].peer_url());
    let added = caller
        .eventually_ok(&["member", "add", "m3", "--learner", &url])
        .await;
    let id = added.split_whitespace().nth(1).expect("an id").to_owned();
    cluster.members[new].start();
    caller.eventually_ok(&["member", "promote", &id]).await;
    let all = Caller::new(&cluster.endpoints(), &authority, Some(&ada));
    all.eventually_ok(&["endpoint", "health"]).await;
    let hashes = all.ok(&["endpoint", "hashkv"]);
    let hash = |line: &str| line.split(", ").nth(1).map(str::to_owned);
    let first = hashes.lines().next().and_then(hash);
    assert!(
        first.is_some() && hashes.lines().all(|line| hash(line) == first),
        "{hashes}"
    );
}

/// Each stranger is refused by the handshake, is told why, and the log says so, too.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_and_told_why() {
    let authority = Authority::new();
    let list = authority.revoke(&[13]);
    let setup = mutual(&authority).flag(&format!("--client-crl-file={list}"));
    let cluster = setup.launch(1);
    let member = &cluster.members[0];
    let endpoints = cluster.endpoints();
    let ada = authority.issue("ada", 2);
    let caller = |identity| Caller::new(&endpoints, &authority, identity);
    caller(Some(&ada)).eventually_ok(&["put", "a", "1"]).await;

    let elsewhere = Authority::new();
    let foreign = elsewhere.issue("foreign", 2);
    let expired = authority.issue_expired("old");
    let revoked = authority.issue("eve", 13);
    for (identity, told, noted) in [
        (
            None,
            "CertificateRequired",
            "tls: client didn't provide a certificate",
        ),
        (
            Some(&foreign),
            "DecryptError",
            "x509: certificate signed by unknown authority",
        ),
        (
            Some(&expired),
            "CertificateExpired",
            "x509: certificate has expired or is not yet valid",
        ),
        (
            Some(&revoked),
            "CertificateRevoked",
            "transport: certificate revoked",
        ),
    ] {
        caller(identity).refused(told).await;
        logged(member, noted).await;
        let (success, text) = caller(identity).with("etcdctl", &["--command-timeout=1s", "get", "a"]);
        assert!(!success, "{text}");
    }
    logged(member, "rejected connection on client endpoint").await;
    let (_, text) = curl(&[&format!("http://127.0.0.1:{}/health", member.client_port)]);
    assert!(!text.contains("true"), "nothing is served in plain text: {text}");
    logged(member, "tls: first record does not look like a TLS handshake").await;

    let (_, text) = curl(&["-k", &format!("https://127.0.0.1:{}/members", member.peer_port)]);
    assert!(!text.contains("peerURLs"), "{text}");
    logged(member, "rejected connection on peer endpoint").await;
    assert_eq!(caller(Some(&ada)).ok(&["get", "a"]), "a\n1\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificates_common_name_is_the_user() {
    let authority = Authority::new();
    let cluster = mutual(&authority).launch(1);
    let endpoints = cluster.endpoints();
    let [root, ada, nobody] = ["root", "ada", "nobody"].map(|name| authority.issue(name, 5));
    let caller = |identity| Caller::new(&endpoints, &authority, Some(identity));
    let as_root = caller(&root);
    as_root.eventually_ok(&["endpoint", "health"]).await;
    for args in [
        &["user", "add", "root", "--no-password"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "ada", "--no-password"],
        &["role", "add", "reader"],
        &[
            "role",
            "grant-permission",
            "reader",
            "readwrite",
            "a/",
            "--prefix",
        ],
        &["user", "grant-role", "ada", "reader"],
        &["auth", "enable"],
    ] {
        as_root.ok(args);
    }
    assert_eq!(caller(&ada).with("etcdctl", &["put", "a/1", "x"]).1, "OK\n");
    caller(&ada).ok(&["get", "a/1"]);
    let (_, text) = caller(&ada).with(quoratectl(), &["put", "b", "x"]);
    assert!(text.contains("permission denied"), "{text}");
    let (success, text) = caller(&nobody).with(quoratectl(), &["get", "a/1"]);
    assert!(!success, "a name without user is nobody: {text}");
    as_root.ok(&["put", "b", "x"]);

    // A browser would show its certificate for any page: over JSON it is no proof.
    let url = format!("{}/v3/kv/range", endpoints[0]);
    let (_, text) = curl(&[
        "--cacert",
        &authority.file(),
        "--cert",
        &root.certificate,
        "--key",
        &root.key,
        &url,
        "-d",
        r#"{"key":"YQ=="}"#,
    ]);
    assert!(
        text.contains("CommonName of client sending a request against gateway"),
        "{text}"
    );
}

/// Certificate, authority and list are read again when they change, for clients and for peers.
#[tokio::test(flavor = "multi_thread")]
async fn new_files_count_without_a_restart() {
    let authority = Authority::new();
    let list = authority.revoke(&[]);
    let setup = mutual(&authority)
        .flag(&format!("--client-crl-file={list}"))
        .flag(&format!("--peer-crl-file={list}"));
    let mut cluster = setup.launch(3);
    let endpoints = cluster.endpoints();
    let ada = authority.issue("ada", 2);
    let caller = Caller::new(&endpoints, &authority, Some(&ada));
    caller.eventually_ok(&["put", "a", "1"]).await;

    // A new authority beside the old one; then members and clients change over to it, one after the other.
    let next = Authority::new();
    let both =
        [&authority, &next].map(|authority| std::fs::read_to_string(authority.file()).expect("a file"));
    std::fs::write(authority.file(), both.concat()).expect("a file");
    let bob = next.issue("bob", 3);
    Caller::new(&endpoints, &authority, Some(&bob))
        .eventually_ok(&["get", "a"])
        .await;
    let server = next.issue("server", 4);
    for (new, old) in [(&server.key, "server.key"), (&server.certificate, "server.pem")] {
        std::fs::rename(new, authority.path(old)).expect("a file");
    }
    std::fs::write(authority.file(), &both[1]).expect("a file");
    // Only the new authority is believed: what is shown now must be its.
    let caller = Caller::new(&endpoints, &next, Some(&bob));
    caller.eventually_ok(&["put", "a", "2"]).await;
    cluster.members[1].kill();
    cluster.members[1].start();
    let restarted = Caller::new(&endpoints[1..2], &next, Some(&bob));
    restarted.eventually_ok(&["endpoint", "health"]).await;
    Caller::new(&endpoints, &next, Some(&ada)).refused("").await;

    let revoked = next.revoke(&[3]);
    std::fs::rename(revoked, &list).expect("a file");
    caller.refused("CertificateRevoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_tls_encrypts_a_cluster_without_any_files() {
    let setup = Setup::default()
        .secure(true, true)
        .flag("--auto-tls")
        .flag("--peer-auto-tls");
    let mut cluster = setup.launch(3);
    let caller = Caller {
        endpoints: cluster.endpoints().join(","),
        flags: words(["--insecure-skip-tls-verify"]),
    };
    caller.eventually_ok(&["endpoint", "health"]).await;
    // etcd's client takes an https URL without any files for one to be verified, unless it is told twice.
    let put = caller.with("etcdctl", &["--insecure-transport=false", "put", "a", "1"]);
    assert_eq!(put.1, "OK\n");
    let shown =
        |member: &Member| std::fs::read(member.data_dir().join("fixtures/client/cert.pem")).expect("a file");
    let before = shown(&cluster.members[0]);
    assert!(
        cluster.members[0]
            .data_dir()
            .join("fixtures/peer/key.pem")
            .exists()
    );
    // Its own certificate is also a good authority for clients that are told of it.
    let (_, health) = curl(&[
        "--cacert",
        &cluster.members[0]
            .data_dir()
            .join("fixtures/client/cert.pem")
            .display()
            .to_string(),
        &format!("{}/health", cluster.members[0].endpoint()),
    ]);
    assert!(health.contains(r#""health":"true""#), "{health}");
    cluster.members[0].stop().await;
    cluster.members[0].start();
    caller.eventually_ok(&["endpoint", "health"]).await;
    assert_eq!(shown(&cluster.members[0]), before, "made once");
}

/// Whoever only connects holds a socket for a while, and nothing else: members find their way in past 300 of them.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_speak_tie_nothing_up() {
    let authority = Authority::new();
    let mut cluster = mutual(&authority).launch(3);
    let ada = authority.issue("ada", 2);
    let caller = Caller::new(&cluster.endpoints(), &authority, Some(&ada));
    caller.eventually_ok(&["endpoint", "health"]).await;
    let mut silent = Vec::new();
    for member in &cluster.members[1..] {
        for port in [member.peer_port, member.client_port] {
            silent.extend((0..300).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("accepted")));
        }
    }
    cluster.members[0].kill();
    cluster.members[0].start();
    caller.eventually_ok(&["endpoint", "health"]).await;
    caller.ok(&["put", "a", "1"]);
    drop(silent);
}

/// An http and an https URL may share a port, and HTTP may have one of its own.
#[tokio::test(flavor = "multi_thread")]
async fn one_port_speaks_both_where_both_are_asked_for() {
    let authority = Authority::new();
    let server = authority.issue("server", 1);
    let port = |_| {
        std::net::TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("bound")
            .port()
    };
    let [grpc, http, metrics, peer] = [0; 4].map(port);
    let dir = authority.path("data");
    let mut member = Command::new(cluster_tests::server_binary())
        .args([
            format!("--data-dir={dir}"),
            format!("--listen-client-urls=http://127.0.0.1:{grpc},https://127.0.0.1:{grpc}"),
            format!("--advertise-client-urls=https://127.0.0.1:{grpc}"),
            format!(
                "--listen-client-http-urls=https://127.0.0.1:{http},unixs://{}",
                authority.path("http.sock")
            ),
            format!("--listen-metrics-urls=https://127.0.0.1:{metrics}"),
            format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
            format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
            format!("--cert-file={}", server.certificate),
            format!("--key-file={}", server.key),
        ])
        .stdout(std::fs::File::create(authority.path("log")).expect("a log"))
        .stderr(std::fs::File::create(authority.path("log2")).expect("a log"))
        .spawn()
        .expect("it starts");
    let secure = Caller::new(&[format!("https://127.0.0.1:{grpc}")], &authority, None);
    secure.eventually_ok(&["put", "a", "1"]).await;
    let plain = Caller {
        endpoints: format!("http://127.0.0.1:{grpc}"),
        flags: Vec::new(),
    };
    assert_eq!(plain.ok(&["get", "a"]), "a\n1\n");
    for place in [
        format!("https://127.0.0.1:{http}"),
        format!("https://127.0.0.1:{metrics}"),
    ] {
        let (_, health) = curl(&["--cacert", &authority.file(), &format!("{place}/health")]);
        assert!(health.contains(r#""health":"true""#), "{place}: {health}");
    }
    let (_, health) = curl(&[
        "--cacert",
        &authority.file(),
        "--unix-socket",
        &authority.path("http.sock"),
        "https://localhost/health",
    ]);
    assert!(health.contains(r#""health":"true""#), "{health}");
    let (_, refused) = curl(&[
        "--cacert",
        &authority.file(),
        &format!("https://127.0.0.1:{grpc}/health"),
    ]);
    assert!(
        !refused.contains("health"),
        "only gRPC is served there: {refused}"
    );
    member.kill().expect("it runs");
    member.wait().expect("it ran");
}

/// A member with a good certificate but another name is kept out, and can read in its own log why.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_a_name_that_is_not_allowed_is_kept_out() {
    let authority = Authority::new();
    let mut setup = Setup::default()
        .secure(false, true)
        .flag("--peer-client-cert-auth")
        .flag(&format!("--peer-trusted-ca-file={}", authority.file()));
    for (member, name) in ["inside", "inside", "outside"].into_iter().enumerate() {
        let identity = authority.issue(name, 1);
        setup = setup
            .own_flag(member, &format!("--peer-cert-file={}", identity.certificate))
            .own_flag(member, &format!("--peer-key-file={}", identity.key))
            .own_flag(member, &format!("--peer-cert-allowed-cn={name},other"));
    }
    let cluster: Cluster = setup.launch(3);
    cluster.wait_serving(0).await;
    cluster.wait_serving(1).await;
    logged(&cluster.members[2], "remote error: tls: bad certificate").await;
    logged(&cluster.members[0], "client certificate authentication failed").await;
    assert!(
        !cluster.members[2]
            .log()
            .contains("ready to serve client requests")
    );
}

#[test]
fn contradicting_flags_are_refused_in_etcds_words() {
    let refusal = |args: &[&str]| {
        let outcome = Member::run_to_end(args);
        assert_eq!(outcome.status.code(), Some(1), "{}", outcome.output);
        outcome.output
    };
    let text = refusal(&[
        "--listen-client-urls=https://127.0.0.1:0",
        "--advertise-client-urls=https://127.0.0.1:0",
    ]);
    assert!(
        text.contains("TLS key/cert (--cert-file, --key-file) must be provided for client url"),
        "{text}"
    );
    let text = refusal(&["--listen-metrics-urls=https://127.0.0.1:0"]);
    assert!(text.contains("must be provided for metrics secure url"), "{text}");
    let text = refusal(&["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"]);
    assert!(
        text.contains("min version (TLS1.3) is greater than max version (TLS1.2)"),
        "{text}"
    );
    let text = refusal(&["--cipher-suites=TLS_RSA_WITH_RC4_128_SHA"]);
    assert!(text.contains("TLS_RSA_WITH_RC4_128_SHA"), "{text}");
}
