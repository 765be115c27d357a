//! The configuration: settings read once into plain data, and checked once.

use crate::address::{Address, texts};
use crate::discover;
use crate::feature::Features;
use crate::flag::{FLAGS, Support};
use crate::security::Security;
use crate::settings::{Settings, SettingsError};
use crate::value;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a member needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this member; need not be unique.
    pub name: String,
    /// Root of all files, created where it is missing.
    pub data_dir: PathBuf,
    /// Directory of the raft log where it is not inside `data_dir`.
    pub wal_dir: Option<PathBuf>,
    /// Where peers reach us, by what we bind.
    pub listen_peer: Vec<Address>,
    /// Where clients reach us, by what we bind.
    pub listen_client: Vec<Address>,
    /// HTTP apart from gRPC; where it is given, `listen_client` serves gRPC only.
    pub listen_client_http: Vec<Address>,
    /// Further listeners for metrics and health.
    pub listen_metrics: Vec<Address>,
    /// Where peers are told to reach us.
    pub advertise_peer: Vec<Address>,
    /// Where clients are told to reach us.
    pub advertise_client: Vec<Address>,
    /// Where the first members are found.
    pub discovery: discover::Source,
    /// `name=url,…` of the first members, where they are found here.
    pub initial_cluster: String,
    /// Hashed into the ids of the first members.
    pub initial_cluster_token: String,
    /// Whether we join a cluster that runs, rather than found one.
    pub join: bool,
    /// Raft's tick and heartbeat.
    pub heartbeat: Duration,
    /// A follower that hears nothing for so long starts an election.
    pub election_timeout: Duration,
    /// Skip most of the first election timeout after a start.
    pub election_tick_advance: bool,
    /// Ask for votes before raising the term.
    pub pre_vote: bool,
    /// Applied entries between releases of the log.
    pub snapshot_count: u64,
    /// Entries kept for followers that lag.
    pub catchup_entries: u64,
    /// Bytes the store may take; `None` for no limit.
    pub quota_bytes: Option<u64>,
    /// Operations of one transaction.
    pub txn_ops_max: usize,
    /// Bytes of one request in the log.
    pub request_bytes_max: usize,
    /// Streams of one HTTP/2 connection.
    pub concurrent_streams_max: u32,
    /// Time between the server's pings on a quiet connection; zero for none.
    pub keepalive_interval: Duration,
    /// How long a ping may stay unanswered.
    pub keepalive_timeout: Duration,
    /// Refuse changes of membership that endanger the quorum.
    pub strict_reconfig_check: bool,
    /// Learners at a time.
    pub learners_max: usize,
    /// Compaction that the leader starts by itself.
    pub auto_compaction: AutoCompaction,
    /// Rows that physical compaction removes before it pauses.
    pub compaction_batch: usize,
    /// The pause.
    pub compaction_pause: Duration,
    /// Time between comparisons of all data with the other members; zero for none.
    pub corrupt_check_interval: Duration,
    /// Time between comparisons of what compactions found.
    pub compact_hash_check_interval: Duration,
    /// Logical bytes that a defragmentation after the start must be able to free; `None` for no such defragmentation.
    pub reclaim_at_start: Option<u64>,
    /// Time between progress notifications of quiet watches.
    pub progress_interval: Duration,
    /// Cost of hashing a password: the base-2 logarithm of its rounds.
    pub bcrypt_cost: u32,
    /// Tokens: `simple`, or `jwt,…`.
    pub auth_token: String,
    /// Life of a simple token without use.
    pub auth_token_ttl: Duration,
    /// Applies slower than this are logged.
    pub warn_apply: Duration,
    /// Requests slower than this are logged.
    pub warn_request: Duration,
    /// Histograms of request durations, too.
    pub extensive_metrics: bool,
    /// JSON on the client port.
    pub json_gateway: bool,
    /// Origins that browsers may call from.
    pub cors: Vec<String>,
    /// Hosts that unencrypted HTTP requests may name.
    pub hosts: Vec<String>,
    /// TLS.
    pub security: Security,
    /// Let several processes bind one port.
    pub reuse_port: bool,
    /// Leave out fsync: for tests only, a crash may lose everything.
    pub unsafe_no_fsync: bool,
    /// Start alone with the data at hand: every other member is forgotten.
    pub force_new_cluster: bool,
    /// Gates.
    pub features: Features,
    /// Which engine keeps the data.
    pub storage: Storage,
    /// Threads that serve clients; 0 lets the server choose.
    pub rpc_threads: usize,
    /// Logging.
    pub log: crate::logging::Options,
    /// What should be said once logging is up.
    pub warnings: Vec<String>,
}

/// The storage engine and its budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Storage {
    /// The engine.
    pub engine: Engine,
    /// Caches and unflushed writes together.
    pub memory_bytes: u64,
}

/// Engines that can be chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// The default.
    RocksDb,
    /// Rust alone.
    Fjall,
    /// Nothing survives: for tests and throw-away clusters.
    Memory,
}

/// When the leader compacts by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AutoCompaction {
    /// Never.
    Off,
    /// Keep this much time.
    Periodic(Duration),
    /// Keep this many revisions.
    Revisions(i64),
}

const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;
/// Above it etcd warns; Quorate has no such limit.
const REQUEST_BYTES_WARN: usize = 10 << 20;
const ELECTION_MS_MAX: u64 = 50_000;

impl Config {
    /// Where the raft log is.
    pub fn log_dir(&self) -> PathBuf {
        self.wal_dir
            .clone()
            .unwrap_or_else(|| self.data_dir.join("member/wal"))
    }

    /// Reads and checks.
    pub fn from_settings(settings: &Settings) -> Result<Config, SettingsError> {
        refuse_missing(settings)?;
        let text = |name: &str| settings.get(name).to_owned();
        let flag = |name: &str| value::boolean(settings.get(name)).unwrap_or_default();
        let number = |name: &str| settings.get(name).parse::<u64>().unwrap_or_default();
        let duration = |name: &str| value::duration(settings.get(name)).unwrap_or_default();
        let urls = |name: &str| Address::parse_list(settings.get(name));

        let mut warnings = Vec::new();
        let name = text("name");
        let data_dir = match settings.get("data-dir") {
            "" => PathBuf::from(format!("{name}.etcd")),
            dir => PathBuf::from(dir),
        };
        let advertise_peer = urls("initial-advertise-peer-urls")?;
        let initial_cluster = match settings.get("initial-cluster") {
            "" => {
                let urls = texts(&advertise_peer);
                urls.iter()
                    .map(|url| format!("{name}={url}"))
                    .collect::<Vec<_>>()
                    .join(",")
            }
            given => given.to_owned(),
        };
        let request_bytes_max = number("max-request-bytes") as usize;
        if request_bytes_max > REQUEST_BYTES_WARN {
            warnings.push(format!(
                "exceeded recommended request limit of {REQUEST_BYTES_WARN} bytes"
            ));
        }
        let quota: i64 = settings.get("quota-backend-bytes").parse().unwrap_or_default();
        let or = |given: Duration, otherwise: Duration| if given.is_zero() { otherwise } else { given };

        let config = Config {
            data_dir,
            wal_dir: Some(settings.get("wal-dir"))
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from),
            listen_peer: urls("listen-peer-urls")?,
            listen_client: urls("listen-client-urls")?,
            listen_client_http: urls("listen-client-http-urls")?,
            listen_metrics: urls("listen-metrics-urls")?,
            advertise_client: urls("advertise-client-urls")?,
            advertise_peer,
            initial_cluster,
            initial_cluster_token: text("initial-cluster-token"),
            discovery: discover::Source::from_settings(settings)?,
            join: settings.get("initial-cluster-state") == "existing",
            heartbeat: Duration::from_millis(number("heartbeat-interval")),
            election_timeout: Duration::from_millis(number("election-timeout")),
            election_tick_advance: flag("initial-election-tick-advance"),
            pre_vote: flag("pre-vote"),
            snapshot_count: match number("snapshot-count") {
                0 => 10_000,
                count => count,
            },
            catchup_entries: number("snapshot-catchup-entries"),
            quota_bytes: match quota {
                0 => Some(DEFAULT_QUOTA_BYTES),
                negative if negative < 0 => None,
                bytes => Some(bytes as u64),
            },
            txn_ops_max: number("max-txn-ops") as usize,
            request_bytes_max,
            concurrent_streams_max: number("max-concurrent-streams").min(u64::from(u32::MAX)) as u32,
            keepalive_interval: duration("grpc-keepalive-interval"),
            keepalive_timeout: duration("grpc-keepalive-timeout"),
            strict_reconfig_check: flag("strict-reconfig-check"),
            learners_max: number("max-learners") as usize,
            auto_compaction: auto_compaction(
                settings.get("auto-compaction-mode"),
                settings.get("auto-compaction-retention"),
            )?,
            compaction_batch: match number("compaction-batch-limit") {
                0 => 1000,
                rows => rows as usize,
            },
            corrupt_check_interval: duration("corrupt-check-time"),
            compact_hash_check_interval: duration("compact-hash-check-time"),
            compaction_pause: or(duration("compaction-sleep-interval"), Duration::from_millis(10)),
            reclaim_at_start: match number("bootstrap-defrag-threshold-megabytes") {
                0 => None,
                megabytes => Some(megabytes.saturating_mul(1 << 20)),
            },
            progress_interval: or(
                duration("watch-progress-notify-interval"),
                Duration::from_secs(600),
            )
            .max(Duration::from_millis(100)),
            bcrypt_cost: match number("bcrypt-cost") {
                cost @ 4..=31 => cost as u32,
                cost => {
                    warnings.push(format!("bcrypt-cost {cost} is outside 4..31, using 10"));
                    10
                }
            },
            auth_token: text("auth-token"),
            auth_token_ttl: Duration::from_secs(match number("auth-token-ttl") {
                0 => 300,
                seconds => seconds,
            }),
            warn_apply: duration("warning-apply-duration"),
            warn_request: or(
                duration("warning-unary-request-duration"),
                Duration::from_millis(300),
            ),
            extensive_metrics: settings.get("metrics") == "extensive",
            json_gateway: flag("enable-grpc-gateway"),
            cors: value::list(settings.get("cors")),
            hosts: value::list(settings.get("host-whitelist")),
            security: Security::new(settings)?,
            reuse_port: flag("socket-reuse-port"),
            unsafe_no_fsync: flag("unsafe-no-fsync"),
            force_new_cluster: flag("force-new-cluster"),
            features: Features::parse(settings.get("feature-gates"))?,
            storage: Storage {
                engine: match settings.get("storage-backend") {
                    "fjall" => Engine::Fjall,
                    "memory" => Engine::Memory,
                    _ => Engine::RocksDb,
                },
                memory_bytes: number("storage-memory-bytes"),
            },
            rpc_threads: number("rpc-threads") as usize,
            log: log(settings)?,
            warnings,
            name,
        };
        config.check(settings)?;
        Ok(config.with_warnings(settings))
    }

    fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        let wrong = |reason: String| Err(SettingsError(reason));
        let bound = [
            &self.listen_peer,
            &self.listen_client,
            &self.listen_client_http,
            &self.listen_metrics,
        ];
        for address in bound.into_iter().flatten() {
            address.check_bindable()?;
        }
        self.check_certificates()?;
        for (name, list) in [
            ("listen-peer-urls", &self.listen_peer),
            ("listen-client-urls", &self.listen_client),
        ] {
            if list.is_empty() {
                return wrong(format!("--{name} must name at least one URL"));
            }
        }
        for (name, list) in [
            ("initial-advertise-peer-urls", &self.advertise_peer),
            ("advertise-client-urls", &self.advertise_client),
        ] {
            if let Some(url) = list.iter().find(|url| url.host.is_empty()) {
                return wrong(format!(
                    "--{name} {:?} must be \"host:port\" (unexpected empty host ({url}))",
                    url.to_string()
                ));
            }
        }
        if let Some(url) = self.listen_client.iter().find(|url| {
            self.listen_client_http
                .iter()
                .any(|http| http.place() == url.place())
        }) {
            return wrong(format!(
                "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {url}"
            ));
        }
        if settings.is_set("listen-client-urls") && !settings.is_set("advertise-client-urls") {
            return wrong(
                "--advertise-client-urls is required when --listen-client-urls is set explicitly".to_owned(),
            );
        }
        if settings.get("discovery-fallback") == "proxy" {
            return wrong(
                "v2 proxy is deprecated, and --discovery-fallback can't be configured as \"proxy\""
                    .to_owned(),
            );
        }
        let (heartbeat, election) = (
            self.heartbeat.as_millis() as u64,
            self.election_timeout.as_millis() as u64,
        );
        if heartbeat == 0 {
            return wrong("--heartbeat-interval must be >0 (set to 0ms)".to_owned());
        }
        if election == 0 {
            return wrong("--election-timeout must be >0 (set to 0ms)".to_owned());
        }
        if self.compact_hash_check_interval.is_zero() {
            return wrong("--compact-hash-check-time must be >0 (set to 0s)".to_owned());
        }
        if heartbeat.saturating_mul(5) > election {
            return wrong(format!(
                "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
            ));
        }
        if election > ELECTION_MS_MAX {
            return wrong(format!(
                "--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_MS_MAX}ms"
            ));
        }
        if self.request_bytes_max == 0 || self.txn_ops_max == 0 {
            return wrong("--max-request-bytes and --max-txn-ops must be >0".to_owned());
        }
        Ok(())
    }

    /// Listeners with TLS need a certificate to show.
    fn check_certificates(&self) -> Result<(), SettingsError> {
        let first = |addresses: &[Address]| addresses.iter().find(|url| url.scheme.is_tls()).cloned();
        if !self.security.client.has_certificate() {
            let client = first(&self.listen_client).or_else(|| first(&self.listen_client_http));
            if let Some(url) = client {
                return Err(SettingsError(format!(
                    "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
                )));
            }
            if first(&self.listen_metrics).is_some() {
                return Err(SettingsError(
                    "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url"
                        .to_owned(),
                ));
            }
        }
        if !self.security.peer.has_certificate()
            && let Some(url) = first(&self.listen_peer)
        {
            return Err(SettingsError(format!(
                "cannot listen on TLS for {url}: KeyFile and CertFile are not presented \
                 (--peer-cert-file, --peer-key-file)"
            )));
        }
        Ok(())
    }

    fn with_warnings(mut self, settings: &Settings) -> Config {
        if settings.is_set("max-snapshots") {
            self.warnings
                .push("--max-snapshots is deprecated in 3.6 and will be decommissioned in 3.8".to_owned());
        }
        if settings.is_set("v2-deprecation") {
            self.warnings.push(
                "--v2-deprecation is deprecated and scheduled for removal in v3.8. The default value is enforced, \
                 ignoring user input"
                    .to_owned(),
            );
        }
        for variable in &settings.unknown_environment {
            self.warnings
                .push(format!("unrecognized environment variable {variable}"));
        }
        for named in &settings.ignored {
            self.warnings.push(format!("{named} has no effect any more"));
        }
        for (name, _) in settings.iter() {
            let no_effect = FLAGS
                .iter()
                .any(|flag| flag.name == name && flag.support == Support::NoEffect);
            if no_effect && !matches!(name, "max-snapshots" | "v2-deprecation") {
                self.warnings.push(format!(
                    "flag --{name} has no effect: Quorate has nothing that it would tune"
                ));
            }
        }
        self
    }
}

fn log(settings: &Settings) -> Result<crate::logging::Options, SettingsError> {
    let options = crate::logging::Options::new(
        settings.get("log-level"),
        settings.get("log-format"),
        value::list(settings.get("log-outputs")),
    )?;
    match settings.get("enable-log-rotation") {
        rotated if value::boolean(rotated) == Some(true) => {
            options.rotated(settings.get("log-rotation-config-json"))
        }
        _ => Ok(options),
    }
}

/// A flag of etcd that this version lacks is an error where it asks for something: silence could cost safety.
fn refuse_missing(settings: &Settings) -> Result<(), SettingsError> {
    for (name, value) in settings.iter() {
        let missing = FLAGS
            .iter()
            .find(|flag| flag.name == name && flag.support == Support::Missing);
        if missing.is_some_and(|flag| value != flag.default && !value.is_empty()) {
            return Err(SettingsError(format!(
                "--{name} is known from etcd but not available in this version of Quorate: remove it to go on without"
            )));
        }
    }
    Ok(())
}

fn auto_compaction(mode: &str, retention: &str) -> Result<AutoCompaction, SettingsError> {
    let unreadable = || SettingsError(format!("error parsing CompactionRetention: {retention:?}"));
    if mode == "revision" {
        let revisions: i64 = retention.parse().map_err(|_| unreadable())?;
        return Ok(if revisions > 0 {
            AutoCompaction::Revisions(revisions)
        } else {
            AutoCompaction::Off
        });
    }
    // A bare number counts hours.
    let period = match retention.parse::<u64>() {
        Ok(hours) => Duration::from_secs(hours.saturating_mul(3600)),
        Err(_) => value::duration(retention).ok_or_else(unreadable)?,
    };
    Ok(if period.is_zero() {
        AutoCompaction::Off
    } else {
        AutoCompaction::Periodic(period)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &str) -> Result<Config, SettingsError> {
        let (settings, _) = Settings::from_args(line.split_whitespace().map(str::to_owned)).unwrap();
        Config::from_settings(&settings)
    }

    #[test]
    fn without_flags_one_member_runs_as_etcd_would() {
        let config = config("").unwrap();
        assert_eq!(config.initial_cluster, "default=http://localhost:2380");
        assert_eq!(config.data_dir, PathBuf::from("default.etcd"));
        assert_eq!(config.quota_bytes, Some(2 << 30));
        assert_eq!(config.auto_compaction, AutoCompaction::Off);
    }

    #[test]
    fn retention_counts_hours_durations_or_revisions() {
        let mode = |line| config(line).unwrap().auto_compaction;
        assert_eq!(
            mode("--auto-compaction-retention 2"),
            AutoCompaction::Periodic(Duration::from_secs(7200))
        );
        assert_eq!(
            mode("--auto-compaction-retention 5m"),
            AutoCompaction::Periodic(Duration::from_secs(300))
        );
        let revisions = mode("--auto-compaction-mode revision --auto-compaction-retention 1000");
        assert_eq!(revisions, AutoCompaction::Revisions(1000));
    }

    #[test]
    fn contradictions_are_refused_with_etcds_words() {
        let message = |line| config(line).unwrap_err().0;
        assert_eq!(
            message("--listen-client-urls http://127.0.0.1:1"),
            "--advertise-client-urls is required when --listen-client-urls is set explicitly"
        );
        assert_eq!(
            message("--heartbeat-interval 300"),
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]"
        );
        assert_eq!(
            message("--election-timeout 60000"),
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms"
        );
        assert!(
            message("--listen-peer-urls http://example.com:1").contains("expected IP in URL for binding")
        );
        let missing = FLAGS
            .iter()
            .find(|flag| flag.support == Support::Missing && flag.kind == crate::flag::Kind::Text);
        if let Some(flag) = missing {
            let line = format!("--{} x", flag.name);
            assert!(
                config(&line)
                    .unwrap_err()
                    .0
                    .contains("known from etcd but not available")
            );
        }
        assert!(message("--auto-compaction-retention x").contains("error parsing CompactionRetention"));
        assert!(message("--feature-gates NoSuch=true").contains("unrecognized feature gate: NoSuch"));
    }
}
