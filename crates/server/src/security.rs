//! Settings of TLS: which files, for which listeners, and what contradicts itself.

use crate::settings::{Settings, SettingsError};
use crate::value;
use std::path::PathBuf;
use tls::{Allowed, Options, Pair, Protocol};

/// Both sides of a member.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// Connections of clients.
    pub client: Side,
    /// Connections between members.
    pub peer: Side,
    /// For how many years certificates are valid that are made by themselves.
    pub years: u32,
}

/// One side.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// What the flags name.
    pub tls: Options,
    /// Make a certificate if none is named.
    pub auto: bool,
    /// Peers need not come from an address that their certificate names.
    pub any_origin: bool,
}

/// Names of one side's flags.
struct Names {
    certificate: &'static str,
    key: &'static str,
    client_certificate: &'static str,
    client_key: &'static str,
    authorities: &'static str,
    require: &'static str,
    revoked: &'static str,
    common_names: &'static str,
    hosts: &'static str,
    auto: &'static str,
}

const CLIENT: Names = Names {
    certificate: "cert-file",
    key: "key-file",
    client_certificate: "client-cert-file",
    client_key: "client-key-file",
    authorities: "trusted-ca-file",
    require: "client-cert-auth",
    revoked: "client-crl-file",
    common_names: "client-cert-allowed-cn",
    hosts: "client-cert-allowed-hostname",
    auto: "auto-tls",
};

const PEER: Names = Names {
    certificate: "peer-cert-file",
    key: "peer-key-file",
    client_certificate: "peer-client-cert-file",
    client_key: "peer-client-key-file",
    authorities: "peer-trusted-ca-file",
    require: "peer-client-cert-auth",
    revoked: "peer-crl-file",
    common_names: "peer-cert-allowed-cn",
    hosts: "peer-cert-allowed-hostname",
    auto: "peer-auto-tls",
};

impl Security {
    /// Reads the flags of both sides; the errors are etcd's.
    pub fn new(settings: &Settings) -> Result<Security, SettingsError> {
        let protocol = Protocol::new(
            settings.get("tls-min-version"),
            settings.get("tls-max-version"),
            &value::list(settings.get("cipher-suites")),
        )
        .map_err(|error| SettingsError(error.to_string()))?;
        let mut peer = side(settings, &PEER, &protocol)?;
        peer.any_origin =
            value::boolean(settings.get("peer-skip-client-san-verification")).unwrap_or_default();
        Ok(Security {
            client: side(settings, &CLIENT, &protocol)?,
            peer,
            years: settings.get("self-signed-cert-validity").parse().unwrap_or(1),
        })
    }
}

impl Side {
    /// Whether connections can be encrypted.
    pub fn has_certificate(&self) -> bool {
        self.tls.certificate.is_some() || self.auto
    }

    /// Whether a client's certificate says which user it is.
    pub fn has_users(&self) -> bool {
        self.tls.require_certificate && self.tls.certificate.is_some()
    }

    /// What a server has from its flags, as etcd shows it in its log.
    pub fn summary(&self) -> String {
        let show = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
        let pair = |pair: &Option<Pair>| match pair {
            Some(pair) => (show(Some(&pair.certificate)), show(Some(&pair.key))),
            None => Default::default(),
        };
        let (certificate, key) = pair(&self.tls.certificate);
        let (client_certificate, client_key) = pair(&self.tls.client_certificate);
        format!(
            "cert = {certificate}, key = {key}, client-cert={client_certificate}, client-key={client_key}, \
             trusted-ca = {}, client-cert-auth = {}, crl-file = {}",
            show(self.tls.authorities.as_ref()),
            self.tls.require_certificate,
            show(self.tls.revoked.as_ref()),
        )
    }
}

fn side(settings: &Settings, names: &Names, protocol: &Protocol) -> Result<Side, SettingsError> {
    let flag = |name| value::boolean(settings.get(name)).unwrap_or_default();
    let file = |name| {
        Some(settings.get(name))
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let texts = |name| value::list(settings.get(name));
    let pair = |certificate, key, wrong: fn(&str, &str) -> String| match (file(certificate), file(key)) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Pair { certificate, key })),
        _ => Err(SettingsError(wrong(settings.get(certificate), settings.get(key)))),
    };
    let certificate = pair(names.certificate, names.key, |certificate, key| {
        format!("KeyFile and CertFile must both be present[key: {key}, cert: {certificate}]")
    })?;
    let client_certificate = pair(names.client_certificate, names.client_key, |certificate, key| {
        format!(
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {certificate}]"
        )
    })?;
    let allowed = match (texts(names.common_names), texts(names.hosts)) {
        (common_names, hosts) if !common_names.is_empty() && !hosts.is_empty() => {
            return Err(SettingsError(format!(
                "AllowedCNs and AllowedHostnames are mutually exclusive (cns={common_names:?}, hostnames={hosts:?})"
            )));
        }
        (common_names, _) if !common_names.is_empty() => Allowed::CommonNames(common_names),
        (_, hosts) if !hosts.is_empty() => Allowed::Hosts(hosts),
        _ => Allowed::Any,
    };
    Ok(Side {
        tls: Options {
            certificate,
            client_certificate,
            authorities: file(names.authorities),
            require_certificate: flag(names.require),
            revoked: file(names.revoked),
            allowed,
            believe_all: false,
            protocol: protocol.clone(),
        },
        auto: flag(names.auto),
        any_origin: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn security(line: &str) -> Result<Security, String> {
        let (settings, _) = Settings::from_args(line.split_whitespace().map(str::to_owned)).unwrap();
        Security::new(&settings).map_err(|error| error.0)
    }

    #[test]
    fn each_side_has_its_own_files() {
        let line = "--cert-file a --key-file b --peer-cert-file c --peer-key-file d --peer-client-cert-auth \
                    --peer-cert-allowed-cn x,y";
        let security = security(line).unwrap();
        let pair = security.client.tls.certificate.unwrap();
        assert_eq!((pair.certificate, pair.key), ("a".into(), "b".into()));
        assert!(!security.client.tls.require_certificate && security.peer.tls.require_certificate);
        let names = vec!["x".to_owned(), "y".to_owned()];
        assert_eq!(security.peer.tls.allowed, Allowed::CommonNames(names));
    }

    #[test]
    fn contradictions_are_refused_in_etcds_words() {
        let message = |line| security(line).unwrap_err();
        assert_eq!(
            message("--cert-file a"),
            "KeyFile and CertFile must both be present[key: , cert: a]"
        );
        assert!(
            message("--peer-client-key-file a").starts_with("ClientKeyFile and ClientCertFile must both")
        );
        assert_eq!(
            message("--peer-cert-allowed-cn a --peer-cert-allowed-hostname b"),
            "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\"], hostnames=[\"b\"])"
        );
        assert_eq!(
            message("--tls-min-version TLS1.3 --tls-max-version TLS1.2"),
            "min version (TLS1.3) is greater than max version (TLS1.2)"
        );
        assert_eq!(message("--cipher-suites X"), "unexpected TLS cipher suite \"X\"");
    }
}
