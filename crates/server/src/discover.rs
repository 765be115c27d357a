//! First members that nobody has listed: found in DNS, in a cluster that runs already, or under a discovery URL.

use crate::address::texts;
use crate::config::Config;
use crate::settings::{Settings, SettingsError};
use crate::value;
use anyhow::{Context, bail};
use client::{Client, Tls};
use discovery::{Registry, Resolver};
use membership::{Cluster, InitialCluster};
use std::path::PathBuf;
use std::time::Duration;
use tracing::{info, warn};

/// Where the first members are found.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    /// In `--initial-cluster`.
    Flag,
    /// In DNS.
    Srv {
        /// The domain.
        domain: String,
        /// What follows the services' names, without the hyphen; may be empty.
        suffix: String,
    },
    /// In keys of a cluster that runs already: etcd's v3 discovery.
    Registry(Box<RegistryOptions>),
    /// Under a URL that a running cluster gave out.
    Url(String),
}

/// The discovery cluster, and how to speak with it.
#[derive(Clone, PartialEq, Debug)]
pub struct RegistryOptions {
    /// Name of the cluster to be.
    pub token: String,
    /// Where the discovery cluster is.
    pub endpoints: Vec<String>,
    dial_timeout: Duration,
    request_timeout: Duration,
    keepalive: (Duration, Duration),
    credentials: Option<(String, String)>,
    authorities: Option<PathBuf>,
    identity: Option<(PathBuf, PathBuf)>,
    tls: bool,
    skip_verify: bool,
}

impl Source {
    /// Reads the flags; the errors are etcd's.
    pub fn from_settings(settings: &Settings) -> Result<Source, SettingsError> {
        let wrong = |reason: &str| Err(SettingsError(reason.to_owned()));
        let text = |name: &str| settings.get(name).to_owned();
        if !settings.get("discovery-proxy").is_empty() {
            return wrong(
                "--discovery-proxy is not available: reach the discovery service directly, or list the members in \
                 --initial-cluster",
            );
        }
        let endpoints = settings.get("discovery-endpoints");
        let (url, domain) = (text("discovery"), text("discovery-srv"));
        let ways = [
            settings.is_set("initial-cluster") && !settings.get("initial-cluster").is_empty(),
            !domain.is_empty(),
            !endpoints.is_empty(),
            !url.is_empty(),
        ];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return wrong(
                "multiple discovery or bootstrap flags are set. Choose one of \"initial-cluster\", \
                 \"discovery-endpoints\" or \"discovery-srv\"",
            );
        }
        if endpoints.is_empty() != settings.get("discovery-token").is_empty() {
            return wrong("both --discovery-token and --discovery-endpoints must be set");
        }
        if !url.is_empty() {
            return Ok(Source::Url(url));
        }
        if !domain.is_empty() {
            let suffix = text("discovery-srv-name");
            return Ok(Source::Srv { domain, suffix });
        }
        if endpoints.is_empty() {
            return Ok(Source::Flag);
        }
        if endpoints.split(',').any(|endpoint| endpoint.trim().is_empty()) {
            return wrong("--discovery-endpoints must not contain empty endpoints");
        }
        RegistryOptions::from_settings(settings).map(|options| Source::Registry(Box::new(options)))
    }

    /// Whether the members come from somebody else than the flags and DNS.
    pub fn is_service(&self) -> bool {
        matches!(self, Source::Registry(_) | Source::Url(_))
    }
}

impl RegistryOptions {
    fn from_settings(settings: &Settings) -> Result<RegistryOptions, SettingsError> {
        let flag = |name: &str| value::boolean(settings.get(name)).unwrap_or_default();
        let duration = |name: &str| value::duration(settings.get(name)).unwrap_or_default();
        let file = |name: &str| {
            Some(settings.get(name))
                .filter(|file| !file.is_empty())
                .map(PathBuf::from)
        };
        let identity = match (file("discovery-cert"), file("discovery-key")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => {
                return Err(SettingsError(
                    "--discovery-cert and --discovery-key go together".to_owned(),
                ));
            }
        };
        let authorities = file("discovery-cacert");
        let skip_verify = flag("discovery-insecure-skip-tls-verify");
        let plain = flag("discovery-insecure-transport");
        let endpoints = value::list(settings.get("discovery-endpoints"));
        let credentials = match (settings.get("discovery-user"), settings.get("discovery-password")) {
            ("", _) => None,
            (user, "") => user
                .split_once(':')
                .map(|(user, password)| (user.to_owned(), password.to_owned())),
            (user, password) => Some((user.to_owned(), password.to_owned())),
        };
        if credentials.is_none() && !settings.get("discovery-user").is_empty() {
            return Err(SettingsError(
                "--discovery-user needs a password: --discovery-password, or user:password".to_owned(),
            ));
        }
        Ok(RegistryOptions {
            token: settings.get("discovery-token").to_owned(),
            dial_timeout: duration("discovery-dial-timeout"),
            request_timeout: duration("discovery-request-timeout"),
            keepalive: (
                duration("discovery-keepalive-time"),
                duration("discovery-keepalive-timeout"),
            ),
            credentials,
            tls: authorities.is_some() || identity.is_some() || skip_verify || !plain,
            authorities,
            identity,
            skip_verify,
            endpoints,
        })
    }

    async fn connect(&self) -> Result<Client, client::Error> {
        Client::connect(client::Options {
            endpoints: self.endpoints.clone(),
            dial_timeout: self.dial_timeout,
            timeout: Some(self.request_timeout),
            keep_alive: Some(self.keepalive).filter(|(time, _)| !time.is_zero()),
            credentials: self.credentials.clone(),
            tls: self.tls.then(|| Tls {
                authorities: self.authorities.clone(),
                identity: self.identity.clone(),
                server_name: None,
                insecure_skip_verify: self.skip_verify,
            }),
            ..client::Options::default()
        })
        .await
    }
}

/// First members.
pub struct Found {
    /// Who they are.
    pub members: InitialCluster,
    /// What tells clusters with the same URLs apart: the discovery token where there is one.
    pub token: String,
    /// What this member has to advertise to be one of them; `None` where that was seen to already.
    pub advertised: Option<Vec<String>>,
}

/// Finds the first members. Where others have to come first, it waits for them.
pub async fn first_members(config: &Config) -> anyhow::Result<Found> {
    let advertised = texts(&config.advertise_peer);
    let (found, token) = match &config.discovery {
        Source::Flag => {
            return Ok(Found {
                members: InitialCluster::parse(&config.initial_cluster)?,
                token: config.initial_cluster_token.clone(),
                advertised: (!config.join).then_some(advertised),
            });
        }
        service if service.is_service() && config.join => {
            bail!("discovery URL should not be set when joining existing initial cluster");
        }
        Source::Srv { domain, suffix } => {
            let found = Resolver::of_system()?
                .initial_cluster(domain, suffix, &config.name, &advertised)
                .await
                .with_context(|| format!("SRV discovery of {domain}"))?;
            for member in found.split(',') {
                info!(node = member, "got bootstrap from DNS for etcd-server");
            }
            let members = InitialCluster::parse(&found)?;
            if !members.members.contains_key(&config.name) {
                bail!(
                    "cannot find local etcd member {:?} in SRV records: none leads to an address of \
                     --initial-advertise-peer-urls {}",
                    config.name,
                    advertised.join(",")
                );
            }
            return Ok(Found {
                members,
                token: config.initial_cluster_token.clone(),
                // A record may name a host where the flag has its address.
                advertised: None,
            });
        }
        Source::Registry(options) => {
            let (id, member) = introduce(config, &advertised, &options.token)?;
            let mut pause = Duration::from_secs(2);
            let client = loop {
                match options.connect().await {
                    Ok(client) => break client,
                    Err(error @ (client::Error::Endpoint { .. } | client::Error::Certificate { .. })) => {
                        return Err(error).context("discovery");
                    }
                    Err(error) => {
                        warn!(%error, backoff = ?pause, "retry connecting to discovery service");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(256));
                    }
                }
            };
            let registry = Registry::new(client, &options.token);
            (registry.join(&id, &member).await, options.token.clone())
        }
        Source::Url(url) => {
            let (id, member) = introduce(config, &advertised, url)?;
            (discovery::join_public(url, &id, &member).await, url.clone())
        }
    };
    let cluster = found.inspect_err(|error| {
        if matches!(error, discovery::Error::Full | discovery::Error::DuplicateId) {
            warn!("do not reuse discovery token; generate a new one to bootstrap a cluster");
        }
    })?;
    info!(cluster, "discovery joined cluster successfully");
    Ok(Found {
        members: InitialCluster::parse(&cluster).context("discovery: invalid peer URL")?,
        token,
        advertised: Some(advertised),
    })
}

/// Id and entry under which this member registers.
fn introduce(config: &Config, advertised: &[String], token: &str) -> anyhow::Result<(String, String)> {
    let own = InitialCluster {
        members: [(config.name.clone(), membership::check_urls(advertised)?)].into(),
    };
    let cluster = Cluster::bootstrap(&own, token)?;
    let member = cluster
        .members()
        .next()
        .context("a cluster of one has a member")?;
    Ok((member.id.to_string(), own.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(line: &str) -> Result<Source, SettingsError> {
        let (settings, _) = Settings::from_args(line.split_whitespace().map(str::to_owned)).unwrap();
        Source::from_settings(&settings)
    }

    #[test]
    fn members_come_from_one_place() {
        assert_eq!(source("--initial-cluster a=http://a:1"), Ok(Source::Flag));
        let Ok(Source::Registry(registry)) =
            source("--discovery-token t --discovery-endpoints http://a:1,http://b:1")
        else {
            panic!("a registry")
        };
        assert_eq!((registry.token.as_str(), registry.endpoints.len()), ("t", 2));
        assert!(!registry.tls);
        assert_eq!(
            source("--discovery-srv example.com --discovery-srv-name x"),
            Ok(Source::Srv {
                domain: "example.com".into(),
                suffix: "x".into()
            })
        );
        assert_eq!(
            source("--discovery http://a:1/discovery/t"),
            Ok(Source::Url("http://a:1/discovery/t".into()))
        );
    }

    #[test]
    fn contradictions_are_refused_with_etcds_words() {
        let message = |line| source(line).unwrap_err().0;
        assert!(
            message("--initial-cluster a=http://a:1 --discovery-srv example.com")
                .starts_with("multiple discovery or bootstrap flags are set")
        );
        assert_eq!(
            message("--discovery-token t"),
            "both --discovery-token and --discovery-endpoints must be set"
        );
        assert_eq!(
            message("--discovery-token t --discovery-endpoints http://a:1,"),
            "--discovery-endpoints must not contain empty endpoints"
        );
        assert!(message("--discovery-proxy http://a:1").contains("--discovery-proxy is not available"));
    }
}
