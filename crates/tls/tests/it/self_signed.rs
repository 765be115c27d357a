//! Certificates of a member's own making, and where connections may come from.

use crate::handshakes::{Outcome, handshake};
use crate::pki::{Authority, Leaf, now};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tls::{Certificate, Client, Resolver, Server, self_signed};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[test]
fn it_is_made_once_and_made_anew_when_it_has_run_out() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("fixtures/peer");
    let hosts = ["localhost".to_owned(), "10.0.0.1".to_owned(), String::new()];
    let options = self_signed(&dir, &hosts, 1, now()).unwrap();
    let (server, client) = (
        Server::new(options.clone()).unwrap(),
        Client::new(options).unwrap(),
    );
    assert_eq!(handshake(&server, &client, "not.its.name"), Outcome::default());

    let key = dir.join("key.pem");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let first = std::fs::read(&key).unwrap();
    self_signed(&dir, &hosts, 1, now() + YEAR / 2).unwrap();
    assert_eq!(std::fs::read(&key).unwrap(), first);
    self_signed(&dir, &hosts, 1, now() + YEAR * 2).unwrap();
    assert_ne!(std::fs::read(&key).unwrap(), first);
}

/// Knows one host.
struct Hosts;

const MEMBER: &str = "10.0.0.7";

impl Resolver for Hosts {
    fn names(&self, address: IpAddr) -> io::Result<Vec<String>> {
        match address == MEMBER.parse::<IpAddr>().unwrap() {
            true => Ok(vec!["m7.members.example".into()]),
            false => Err(io::Error::other("no such host")),
        }
    }

    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        match name {
            "alias.example" => Ok(vec![MEMBER.parse().unwrap()]),
            _ => Ok(Vec::new()),
        }
    }
}

#[test]
fn a_peer_must_come_from_where_its_certificate_says() {
    let authority = Authority::new();
    let check = |hosts: &[&str], origin: &str| {
        let leaf = Leaf {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..Leaf::new("member")
        };
        let pair = authority.issue(&leaf);
        let der = CertificateDer::from_pem_file(pair.certificate).unwrap();
        let certificate = Certificate::parse(&der).unwrap();
        certificate.check_origin(origin.parse().unwrap(), &Hosts)
    };
    assert_eq!(check(&[], MEMBER), Ok(()));
    assert_eq!(check(&[MEMBER], MEMBER), Ok(()));
    assert_eq!(check(&[MEMBER], "::ffff:10.0.0.7"), Ok(()));
    assert_eq!(
        check(&["127.0.0.1"], MEMBER),
        Err("x509: certificate is valid for 127.0.0.1, not 10.0.0.7".into())
    );
    assert_eq!(check(&["m7.members.example"], MEMBER), Ok(()), "by its name");
    assert_eq!(check(&["*.members.example"], MEMBER), Ok(()), "by a wildcard");
    assert_eq!(
        check(&["alias.example"], MEMBER),
        Ok(()),
        "by the addresses of a name"
    );
    assert_eq!(
        check(&["*.other.example", "other.example"], "10.0.0.8"),
        Err("tls: \"10.0.0.8\" does not match any of DNSNames [\"*.other.example\" \"other.example\"] (no such host)".into())
    );
}
