//! Who is let in, and what who is not is told.

use crate::pki::{Authority, Leaf, self_made};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};
use std::io;
use tls::{Allowed, Client, Options, Pair, Protocol, Server};

/// Both sides' errors, if there are any, in the words that are logged.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub server: Option<String>,
    pub client: Option<String>,
}

pub fn handshake(server: &Server, client: &Client, host: &str) -> Outcome {
    let mut server = ServerConnection::new(server.config()).unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.config().unwrap(), name).unwrap();
    let mut outcome = Outcome::default();
    let words = |error| Some(tls::explain(io::Error::other::<rustls::Error>(error)).to_string());
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| server.read_tls(bytes));
        if outcome.server.is_none() {
            outcome.server = server.process_new_packets().err().and_then(words);
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        feed(&wire, |bytes| client.read_tls(bytes));
        if outcome.client.is_none() {
            outcome.client = client.process_new_packets().err().and_then(words);
        }
    }
    if outcome == Outcome::default() {
        assert!(!server.is_handshaking() && !client.is_handshaking());
    }
    outcome
}

fn feed(mut bytes: &[u8], mut read: impl FnMut(&mut &[u8]) -> io::Result<usize>) {
    while !bytes.is_empty() && read(&mut bytes).unwrap() > 0 {}
}

struct Rig {
    authority: Authority,
    server: Options,
}

fn rig() -> Rig {
    let authority = Authority::new();
    let server = Options {
        certificate: Some(authority.issue(&Leaf::new("server"))),
        authorities: Some(authority.file()),
        ..Options::default()
    };
    Rig { authority, server }
}

impl Rig {
    fn client(&self, pair: Option<Pair>) -> Options {
        Options {
            client_certificate: pair,
            authorities: Some(self.authority.file()),
            ..Options::default()
        }
    }

    /// What the server says of a client with this certificate.
    fn judge(&self, leaf: &Leaf) -> Outcome {
        let pair = self.authority.issue(leaf);
        self.meet(&self.client(Some(pair)))
    }

    fn meet(&self, client: &Options) -> Outcome {
        let server = Server::new(self.server.clone()).unwrap();
        handshake(&server, &Client::new(client.clone()).unwrap(), "localhost")
    }
}

fn refused(server: &str, client: &str) -> Outcome {
    Outcome {
        server: Some(server.to_owned()),
        client: Some(client.to_owned()),
    }
}

#[test]
fn who_has_a_signed_certificate_is_let_in_by_both_versions() {
    let mut rig = rig();
    for version in ["TLS1.2", "TLS1.3"] {
        rig.server.protocol = Protocol::new(version, version, &[]).unwrap();
        assert_eq!(rig.judge(&Leaf::new("ada")), Outcome::default());
    }
}

/// Go's own tools make such certificates, and OpenSSL signs them with any hash.
#[test]
fn certificates_on_p521_are_used_and_checked() {
    let file = |name: &str| format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR")).into();
    let pair = |certificate: &str| {
        Some(Pair {
            certificate: file(certificate),
            key: file("leaf521.key"),
        })
    };
    for version in ["TLS1.2", "TLS1.3"] {
        for certificate in ["leaf521.crt", "leaf521_sha384.crt"] {
            let server = Options {
                certificate: pair(certificate),
                authorities: Some(file("ca521.crt")),
                protocol: Protocol::new(version, version, &[]).unwrap(),
                ..Options::default()
            };
            let client = Options {
                certificate: None,
                client_certificate: pair(certificate),
                ..server.clone()
            };
            let (server, client) = (Server::new(server).unwrap(), Client::new(client).unwrap());
            assert_eq!(handshake(&server, &client, "localhost"), Outcome::default());
            // One that somebody else has signed is refused.
            let rig = rig();
            let foreign = rig.client(Some(rig.authority.issue(&Leaf::new("eve"))));
            let foreign = Options {
                authorities: Some(file("ca521.crt")),
                ..foreign
            };
            let outcome = handshake(&server, &Client::new(foreign).unwrap(), "localhost");
            assert!(outcome.server.is_some(), "{outcome:?}");
        }
    }
}

#[test]
fn an_authority_alone_makes_certificates_mandatory() {
    let rig = rig();
    assert_eq!(
        rig.meet(&rig.client(None)),
        refused(
            "tls: client didn't provide a certificate",
            "remote error: tls: certificate required"
        )
    );
}

#[test]
fn strangers_are_told_what_is_wrong() {
    let rig = rig();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = self_made(elsewhere.path(), &Leaf::new("foreign"));
    assert_eq!(
        rig.meet(&rig.client(Some(foreign))),
        refused(
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "remote error: tls: unknown certificate authority"
        )
    );
    let namesake = Authority::new();
    let foreign = rig.meet(&rig.client(Some(namesake.issue(&Leaf::new("foreign")))));
    assert!(
        foreign
            .server
            .unwrap()
            .contains("x509: certificate signed by unknown authority")
    );
    let expired = rig.judge(&Leaf {
        from: -3,
        until: -1,
        ..Leaf::new("old")
    });
    assert!(
        expired
            .server
            .unwrap()
            .contains("x509: certificate has expired or is not yet valid")
    );
    assert_eq!(expired.client.unwrap(), "remote error: tls: expired certificate");
    let servers_only = rig.judge(&Leaf {
        client: false,
        ..Leaf::new("server-only")
    });
    assert!(servers_only.server.unwrap().contains("incompatible key usage"));
}

#[test]
fn a_revoked_serial_is_refused_though_the_list_has_run_out() {
    let mut rig = rig();
    rig.server.revoked = Some(rig.authority.revoke(&[3, 9]));
    let with_serial = |serial| {
        rig.judge(&Leaf {
            serial,
            ..Leaf::new("ada")
        })
    };
    assert_eq!(with_serial(8), Outcome::default());
    assert_eq!(
        with_serial(9),
        refused(
            "transport: certificate revoked",
            "remote error: tls: revoked certificate"
        )
    );
}

#[test]
fn a_certificate_may_be_its_own_authority() {
    // etcd's users do this; webpki alone refuses an authority's certificate from whoever uses it himself.
    let dir = tempfile::tempdir().unwrap();
    let leaf = Leaf {
        authority: true,
        ..Leaf::new("root")
    };
    let pair = self_made(dir.path(), &leaf);
    let options = Options {
        authorities: Some(pair.certificate.clone()),
        certificate: Some(pair),
        ..Options::default()
    };
    let (server, client) = (
        Server::new(options.clone()).unwrap(),
        Client::new(options).unwrap(),
    );
    assert_eq!(handshake(&server, &client, "localhost"), Outcome::default());
    let wrong = handshake(&server, &client, "example.com");
    assert!(
        wrong
            .client
            .unwrap()
            .contains("certificate is valid for localhost, 127.0.0.1, not example.com")
    );

    let old = Leaf {
        authority: true,
        from: -3,
        until: -1,
        ..Leaf::new("old")
    };
    let pair = self_made(dir.path(), &old);
    let options = Options {
        authorities: Some(pair.certificate.clone()),
        certificate: Some(pair),
        ..Options::default()
    };
    let (server, client) = (
        Server::new(options.clone()).unwrap(),
        Client::new(options).unwrap(),
    );
    let expired = handshake(&server, &client, "localhost");
    assert!(
        expired.client.unwrap().contains("has expired"),
        "being named does not make it young"
    );
}

#[test]
fn only_allowed_names_are_let_in_from_either_side() {
    let mut rig = rig();
    rig.server.allowed = Allowed::CommonNames(vec!["ada".into(), "bob".into()]);
    assert_eq!(rig.judge(&Leaf::new("bob")), Outcome::default());
    assert_eq!(
        rig.judge(&Leaf::new("eve")),
        refused(
            "client certificate authentication failed",
            "remote error: tls: bad certificate"
        )
    );
    rig.server.allowed = Allowed::Hosts(vec!["m.members.example".into()]);
    let member = Leaf {
        hosts: vec!["*.members.example".into()],
        ..Leaf::new("member")
    };
    assert_eq!(rig.judge(&member), Outcome::default());
    assert_eq!(
        rig.judge(&Leaf::new("ada")).server.unwrap(),
        "client certificate authentication failed"
    );

    rig.server.allowed = Allowed::Any;
    let client = Options {
        allowed: Allowed::CommonNames(vec!["other".into()]),
        ..rig.client(Some(rig.authority.issue(&Leaf::new("ada"))))
    };
    assert_eq!(
        rig.meet(&client).client.unwrap(),
        "client certificate authentication failed"
    );
}

#[test]
fn versions_that_do_not_meet_are_named() {
    let mut rig = rig();
    rig.server.protocol = Protocol::new("TLS1.3", "", &[]).unwrap();
    let client = Options {
        protocol: Protocol::new("", "TLS1.2", &[]).unwrap(),
        ..rig.client(None)
    };
    let outcome = rig.meet(&client);
    assert_eq!(
        outcome.server.unwrap(),
        "tls: client offered only unsupported versions"
    );
    assert_eq!(
        outcome.client.unwrap(),
        "remote error: tls: protocol version not supported"
    );
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let rig = rig();
    let message = |options: Options| Server::new(options).unwrap_err().to_string();
    assert_eq!(
        message(Options::default()),
        "KeyFile and CertFile are not presented"
    );
    let missing = Options {
        certificate: Some(Pair {
            certificate: "/no/such.pem".into(),
            key: "/no/such.key".into(),
        }),
        ..Options::default()
    };
    assert!(message(missing).starts_with("cannot read /no/such.pem: No such file"));
    let other = rig.authority.issue(&Leaf::new("other"));
    let own = rig.server.certificate.clone().unwrap();
    let mixed = Options {
        certificate: Some(Pair {
            key: other.key.clone(),
            ..own.clone()
        }),
        ..Options::default()
    };
    assert!(message(mixed).contains("does not belong to the certificate in"));
    let swapped = Options {
        certificate: Some(Pair {
            certificate: own.key,
            key: own.certificate,
        }),
        ..Options::default()
    };
    assert!(message(swapped).contains("no usable certificate in it"));
    let garbage = Options {
        revoked: Some(other.certificate),
        ..rig.server.clone()
    };
    assert!(message(garbage).contains("no usable list of revoked certificates"));
}
