//! Every flag: its name, the kind of value it takes, its default, and where it stands in a configuration file.
//!
//! Names, defaults and file keys are etcd's (etcd server/embed/config.go), so that a unit file written for etcd starts
//! Quorate; the last group is our own.

/// What a flag's value must look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Go's ParseBool words; `--flag` alone means true.
    Bool,
    /// Any text.
    Text,
    /// Texts between commas; a YAML list in a file.
    List,
    /// Decimal, not negative.
    Unsigned,
    /// Decimal with sign.
    Signed,
    /// Go's duration form (`1h2m`, `300ms`); a bare number in a file counts nanoseconds.
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// How far a flag is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// Does what it says.
    Full,
    /// Accepted; tunes something that Quorate does not have, such as bbolt's free list.
    NoEffect,
    /// Part of etcd, not of this version: refused where it is set, for ignoring it could be dangerous.
    Missing,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Without dashes.
    pub name: &'static str,
    /// Form of its value.
    pub kind: Kind,
    /// Value where nobody sets it.
    pub default: &'static str,
    /// Place in a configuration file, levels between dots; empty for flags that have none.
    pub key: &'static str,
    /// How far it is served.
    pub support: Support,
}

/// The flag of that name.
pub fn find(name: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.name == name)
}

/// The flag that a file's key sets.
pub fn find_key(key: &str) -> Option<&'static Flag> {
    FLAGS.iter().find(|flag| flag.key == key)
}

/// Flags of etcd's first years that are still accepted and do nothing.
pub const IGNORED: &[&str] = &[
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
];

/// Keys of configuration files that etcd's own sample still shows and that mean nothing to etcd 3.7 either.
pub const IGNORED_KEYS: &[&str] = &[
    "discovery",
    "discovery-fallback",
    "discovery-proxy",
    "proxy",
    "proxy-dial-timeout",
    "proxy-failure-wait",
    "proxy-read-timeout",
    "proxy-refresh-interval",
    "proxy-write-timeout",
];

macro_rules! flags {
    ($($name:literal $kind:expr, $default:literal $(at $key:literal)? => $support:ident;)*) => {
        /// All flags, in the order in which help prints them.
        pub const FLAGS: &[Flag] = &[
            $(Flag {
                name: $name,
                kind: $kind,
                default: $default,
                key: flags!(@key $name $($key)?),
                support: Support::$support,
            },)*
        ];
    };
    (@key $name:literal) => { $name };
    (@key $name:literal $key:literal) => { $key };
}

use Kind::{Bool, Duration, List, Signed, Text, Unsigned, Word};

flags! {
    // Member and storage.
    "name" Text, "default" => Full;
    "data-dir" Text, "" => Full;
    "wal-dir" Text, "" => Full;
    "snapshot-count" Unsigned, "10000" => Full;
    "snapshot-catchup-entries" Unsigned, "5000" => Full;
    "heartbeat-interval" Unsigned, "100" => Full;
    "election-timeout" Unsigned, "1000" => Full;
    "initial-election-tick-advance" Bool, "true" => Full;
    "listen-peer-urls" List, "http://localhost:2380" => Full;
    "listen-client-urls" List, "http://localhost:2379" => Full;
    "listen-client-http-urls" List, "" => Full;
    "max-snapshots" Unsigned, "5" => NoEffect;
    "max-wals" Unsigned, "5" => NoEffect;
    "memory-mlock" Bool, "false" => NoEffect;
    "quota-backend-bytes" Signed, "0" => Full;
    "backend-bbolt-freelist-type" Text, "" => NoEffect;
    "backend-batch-interval" Duration, "0s" => NoEffect;
    "backend-batch-limit" Signed, "0" => NoEffect;
    "max-txn-ops" Unsigned, "128" => Full;
    "max-request-bytes" Unsigned, "1572864" => Full;
    "max-concurrent-streams" Unsigned, "4294967295" => Full;
    "grpc-keepalive-min-time" Duration, "5s" => NoEffect;
    "grpc-keepalive-interval" Duration, "2h" => Full;
    "grpc-keepalive-timeout" Duration, "20s" => Full;
    "socket-reuse-port" Bool, "false" at "socket-options.reuse-port" => Full;
    "socket-reuse-address" Bool, "false" at "socket-options.reuse-address" => NoEffect;
    "enable-grpc-gateway" Bool, "true" => Full;
    "raft-read-timeout" Duration, "5s" at "" => NoEffect;
    "raft-write-timeout" Duration, "5s" at "" => NoEffect;
    "feature-gates" Text, "" => Full;

    // Clustering.
    "initial-advertise-peer-urls" List, "http://localhost:2380" => Full;
    "initial-cluster" Text, "" => Full;
    "initial-cluster-state" Word(&["new", "existing"]), "new" => Full;
    "initial-cluster-token" Text, "etcd-cluster" => Full;
    "advertise-client-urls" List, "http://localhost:2379" => Full;
    "discovery-endpoints" List, "" at "discovery-config.client.endpoints" => Full;
    "discovery-token" Text, "" at "discovery-config.token" => Full;
    "discovery-dial-timeout" Duration, "2s" at "discovery-config.client.dial-timeout" => Full;
    "discovery-request-timeout" Duration, "5s" at "discovery-config.client.request-timeout" => Full;
    "discovery-keepalive-time" Duration, "2s" at "discovery-config.client.keepalive-time" => Full;
    "discovery-keepalive-timeout" Duration, "6s" at "discovery-config.client.keepalive-timeout" => Full;
    "discovery-insecure-transport" Bool, "true" at "discovery-config.client.secure.insecure-transport" => Full;
    "discovery-insecure-skip-tls-verify" Bool, "false" at "discovery-config.client.secure.insecure-skip-tls-verify" => Full;
    "discovery-cert" Text, "" at "discovery-config.client.secure.cert" => Full;
    "discovery-key" Text, "" at "discovery-config.client.secure.key" => Full;
    "discovery-cacert" Text, "" at "discovery-config.client.secure.cacert" => Full;
    "discovery-user" Text, "" at "discovery-config.client.auth.username" => Full;
    "discovery-password" Text, "" at "discovery-config.client.auth.password" => Full;
    "discovery" Text, "" => Full;
    "discovery-proxy" Text, "" at "" => Full;
    "discovery-srv" Text, "" => Full;
    "discovery-srv-name" Text, "" => Full;
    "discovery-fallback" Word(&["exit", "proxy"]), "exit" at "" => Full;
    "strict-reconfig-check" Bool, "true" => Full;
    "pre-vote" Bool, "true" => Full;
    "auto-compaction-retention" Text, "0" => Full;
    "auto-compaction-mode" Word(&["periodic", "revision"]), "periodic" => Full;
    "v2-deprecation" Word(&["write-only", "write-only-skip-check", "write-only-drop-data", "gone"]), "write-only" => NoEffect;
    "max-learners" Unsigned, "1" => Full;

    // Security of client connections.
    "cert-file" Text, "" at "client-transport-security.cert-file" => Full;
    "key-file" Text, "" at "client-transport-security.key-file" => Full;
    "client-cert-file" Text, "" at "client-transport-security.client-cert-file" => Full;
    "client-key-file" Text, "" at "client-transport-security.client-key-file" => Full;
    "client-cert-auth" Bool, "false" at "client-transport-security.client-cert-auth" => Full;
    "client-crl-file" Text, "" at "client-transport-security.crl-file" => Full;
    "client-cert-allowed-hostname" List, "" at "client-transport-security.allowed-hostname" => Full;
    "client-cert-allowed-cn" List, "" at "client-transport-security.allowed-cn" => Full;
    "trusted-ca-file" Text, "" at "client-transport-security.trusted-ca-file" => Full;
    "auto-tls" Bool, "false" at "client-transport-security.auto-tls" => Full;

    // Security of peer connections.
    "peer-cert-file" Text, "" at "peer-transport-security.cert-file" => Full;
    "peer-key-file" Text, "" at "peer-transport-security.key-file" => Full;
    "peer-client-cert-file" Text, "" at "peer-transport-security.client-cert-file" => Full;
    "peer-client-key-file" Text, "" at "peer-transport-security.client-key-file" => Full;
    "peer-client-cert-auth" Bool, "false" at "peer-transport-security.client-cert-auth" => Full;
    "peer-trusted-ca-file" Text, "" at "peer-transport-security.trusted-ca-file" => Full;
    "peer-auto-tls" Bool, "false" at "peer-transport-security.auto-tls" => Full;
    "peer-crl-file" Text, "" at "peer-transport-security.crl-file" => Full;
    "peer-cert-allowed-cn" List, "" at "peer-transport-security.allowed-cn" => Full;
    "peer-cert-allowed-hostname" List, "" at "peer-transport-security.allowed-hostname" => Full;
    "peer-skip-client-san-verification" Bool, "false" at "peer-transport-security.skip-client-san-verification" => Full;
    "self-signed-cert-validity" Unsigned, "1" => Full;
    "cipher-suites" List, "" => Full;
    "tls-min-version" Text, "TLS1.2" => Full;
    "tls-max-version" Text, "" => Full;
    "cors" List, "*" => Full;
    "host-whitelist" List, "*" => Full;

    // Authentication.
    "auth-token" Text, "simple" => Full;
    "bcrypt-cost" Unsigned, "10" => Full;
    "auth-token-ttl" Unsigned, "300" => Full;

    // Logging.
    "logger" Word(&["zap"]), "zap" => Full;
    "log-outputs" List, "default" => Full;
    "log-level" Word(&["debug", "info", "warn", "error", "dpanic", "panic", "fatal"]), "info" => Full;
    "log-format" Word(&["json", "console"]), "json" => Full;
    "enable-log-rotation" Bool, "false" => Full;
    "log-rotation-config-json" Text, r#"{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}"# => Full;
    "warning-apply-duration" Duration, "100ms" => Full;
    "warning-unary-request-duration" Duration, "300ms" => Full;

    // Monitoring and tracing.
    "enable-pprof" Bool, "false" => NoEffect;
    "metrics" Word(&["basic", "extensive"]), "basic" => Full;
    "listen-metrics-urls" List, "" => Full;
    "enable-distributed-tracing" Bool, "false" => Missing;
    "distributed-tracing-address" Text, "localhost:4317" => Missing;
    "distributed-tracing-service-name" Text, "etcd" => Missing;
    "distributed-tracing-instance-id" Text, "" => Missing;
    "distributed-tracing-sampling-rate" Unsigned, "0" => Missing;

    // Features.
    "corrupt-check-time" Duration, "0s" => Full;
    "compact-hash-check-time" Duration, "1m0s" => Full;
    "compaction-batch-limit" Unsigned, "0" => Full;
    "compaction-sleep-interval" Duration, "0s" => Full;
    "watch-progress-notify-interval" Duration, "0s" => Full;
    "downgrade-check-time" Duration, "5s" => NoEffect;
    "bootstrap-defrag-threshold-megabytes" Unsigned, "0" => Full;

    // Unsafe, and the process itself.
    "unsafe-no-fsync" Bool, "false" => Full;
    "force-new-cluster" Bool, "false" => Full;
    "config-file" Text, "" at "" => Full;
    "version" Bool, "false" at "" => Full;

    // Quorate's own.
    "storage-backend" Word(&["rocksdb", "fjall", "memory"]), "rocksdb" at "storage.backend" => Full;
    "storage-memory-bytes" Unsigned, "100663296" at "storage.memory-bytes" => Full;
    "rpc-threads" Unsigned, "0" => Full;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_name_and_no_key_stands_twice() {
        let mut names = HashSet::new();
        let mut keys = HashSet::new();
        for flag in FLAGS {
            assert!(names.insert(flag.name), "{}", flag.name);
            assert!(flag.key.is_empty() || keys.insert(flag.key), "{}", flag.key);
        }
    }

    #[test]
    fn every_default_has_the_form_its_flag_asks_for() {
        for flag in FLAGS {
            crate::value::check(flag, flag.default).unwrap_or_else(|error| panic!("{}: {error}", flag.name));
        }
    }
}
