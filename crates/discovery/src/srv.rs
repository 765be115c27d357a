//! SRV records.

use crate::{Error, Result};
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Asks the name servers that the system is configured with.
pub struct Resolver(TokioResolver);

/// Where a service is offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host, without the dot at its end.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Lower ones are used first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
}

impl Record {
    /// `host:port`.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// `scheme://host:port`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }
}

impl Resolver {
    /// Reads the system's configuration (`/etc/resolv.conf`).
    pub fn of_system() -> Result<Resolver> {
        TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map(Resolver)
            .map_err(|error| Error::Service(format!("no name server is known: {error}")))
    }

    /// With another resolver, for tests.
    pub fn with(resolver: TokioResolver) -> Resolver {
        Resolver(resolver)
    }

    /// First members of a cluster as `name=url,…`, from `_etcd-server-ssl._tcp.DOMAIN` and `_etcd-server._tcp.DOMAIN`
    /// (with `-SUFFIX` behind the service where a suffix is given). The record that resolves to an address of
    /// `advertised` is this member's and gets `name`; the others are numbered.
    ///
    /// Fails if neither service has a record that can be used.
    pub async fn initial_cluster(
        &self,
        domain: &str,
        suffix: &str,
        name: &str,
        advertised: &[String],
    ) -> Result<String> {
        let mut own = HashMap::new();
        for url in advertised {
            if let Some(address) = url.split_once("://").map(|(_, address)| address) {
                for resolved in resolve(address).await {
                    own.insert(resolved, url.clone());
                }
            }
        }
        let mut found = Vec::new();
        let mut failures = Vec::new();
        for (service, scheme) in [("etcd-server-ssl", "https"), ("etcd-server", "http")] {
            let service = with_suffix(service, suffix);
            match self.named(&service, scheme, domain, name, &own).await {
                Ok(members) => found.extend(members),
                Err(error) => failures.push(error),
            }
        }
        for error in &failures {
            tracing::warn!(%error, "failed to resolve during SRV discovery");
        }
        match (found.is_empty(), failures.pop()) {
            (true, Some(error)) => Err(error),
            _ => Ok(found.join(",")),
        }
    }

    async fn named(
        &self,
        service: &str,
        scheme: &'static str,
        domain: &str,
        name: &str,
        own: &HashMap<SocketAddr, String>,
    ) -> Result<Vec<String>> {
        let mut members = Vec::new();
        let mut failure = None;
        let mut number = 0;
        for record in self.lookup(service, scheme, domain).await? {
            let addresses = resolve(&record.address()).await;
            let ours = addresses.iter().find_map(|address| own.get(address));
            match ours {
                _ if addresses.is_empty() => {
                    failure = Some(dns_error(
                        service,
                        domain,
                        &format!("{} has no address", record.host),
                    ));
                }
                Some(url) if !url.starts_with(&format!("{scheme}://")) => {
                    failure = Some(Error::Scheme {
                        found: record.url(),
                        service: service.to_owned(),
                        expected: url.clone(),
                    });
                }
                Some(_) => members.push(format!("{name}={}", record.url())),
                None => {
                    members.push(format!("{number}={}", record.url()));
                    number += 1;
                }
            }
        }
        match failure {
            Some(error) if members.is_empty() => Err(error),
            _ => Ok(members),
        }
    }

    /// Client endpoints of a cluster, from `_etcd-client-ssl._tcp.DOMAIN` and `_etcd-client._tcp.DOMAIN`.
    pub async fn clients(&self, domain: &str, suffix: &str) -> Result<Vec<Record>> {
        let mut found = Vec::new();
        let mut failures = Vec::new();
        for (service, scheme) in [("etcd-client-ssl", "https"), ("etcd-client", "http")] {
            match self.lookup(&with_suffix(service, suffix), scheme, domain).await {
                Ok(records) => found.extend(records),
                Err(error) => failures.push(error),
            }
        }
        match (found.is_empty(), failures.pop()) {
            (true, Some(error)) => Err(error),
            _ => Ok(found),
        }
    }

    async fn lookup(&self, service: &str, scheme: &'static str, domain: &str) -> Result<Vec<Record>> {
        // A dot at the end: the system's search list is not for services.
        let name = format!("_{service}._tcp.{}.", domain.trim_end_matches('.'));
        let answer = self
            .0
            .srv_lookup(name.as_str())
            .await
            .map_err(|error| dns_error(service, domain, &error.to_string()))?;
        let mut records: Vec<Record> = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(Record {
                    scheme,
                    host: srv.target.to_utf8().trim_end_matches('.').to_owned(),
                    port: srv.port,
                    priority: srv.priority,
                    weight: srv.weight,
                }),
                _ => None,
            })
            .collect();
        records.sort_by(|a, b| (a.priority, &a.host, a.port).cmp(&(b.priority, &b.host, b.port)));
        Ok(records)
    }
}

fn with_suffix(service: &str, suffix: &str) -> String {
    match suffix.is_empty() {
        true => service.to_owned(),
        false => format!("{service}-{suffix}"),
    }
}

fn dns_error(service: &str, domain: &str, reason: &str) -> Error {
    Error::Dns {
        service: service.to_owned(),
        name: format!("_{service}._tcp.{domain}"),
        reason: reason.to_owned(),
    }
}

/// Addresses as the system knows them, its hosts file included.
async fn resolve(address: &str) -> Vec<SocketAddr> {
    match tokio::net::lookup_host(address).await {
        Ok(addresses) => addresses.collect(),
        Err(_) => Vec::new(),
    }
}
