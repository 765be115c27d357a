//! Files that change while a server runs.

use crate::handshakes::{Outcome, handshake};
use crate::pki::{Authority, Leaf};
use tls::{Client, Options, Server};

struct Running {
    authority: Authority,
    server: Server,
    client: Options,
}

fn running() -> Running {
    let authority = Authority::new();
    let options = Options {
        certificate: Some(authority.issue(&Leaf::new("server"))),
        authorities: Some(authority.file()),
        revoked: Some(authority.revoke(&[])),
        ..Options::default()
    };
    let client = Options {
        client_certificate: Some(authority.issue(&Leaf::new("ada"))),
        authorities: Some(authority.file()),
        ..Options::default()
    };
    Running {
        authority,
        server: Server::new(options).unwrap(),
        client,
    }
}

impl Running {
    fn meet(&self, host: &str) -> Outcome {
        handshake(&self.server, &Client::new(self.client.clone()).unwrap(), host)
    }
}

#[test]
fn a_new_certificate_is_shown_at_the_next_handshake() {
    let running = running();
    assert_eq!(running.meet("localhost"), Outcome::default());
    let renamed = Leaf {
        hosts: vec!["renamed.example".into()],
        ..Leaf::new("server")
    };
    running.authority.issue(&renamed);
    assert_eq!(running.meet("renamed.example"), Outcome::default());
}

#[test]
fn a_new_list_counts_at_the_next_handshake_and_a_lost_one_keeps_all_out() {
    let running = running();
    assert_eq!(running.meet("localhost"), Outcome::default());
    let list = running.authority.revoke(&[7]);
    let revoked = running.meet("localhost");
    assert_eq!(revoked.server.unwrap(), "transport: certificate revoked");
    std::fs::remove_file(&list).unwrap();
    let lost = running.meet("localhost").server.unwrap();
    assert!(lost.contains("revoked certificates are not known"), "{lost}");
    running.authority.revoke(&[8]);
    assert_eq!(running.meet("localhost"), Outcome::default());
}

#[test]
fn a_new_authority_counts_at_the_next_handshake() {
    let mut running = running();
    let new = Authority::new();
    let both = [running.authority.file(), new.file()].map(|file| std::fs::read_to_string(file).unwrap());
    running.client.client_certificate = Some(new.issue(&Leaf::new("bob")));
    assert!(
        running
            .meet("localhost")
            .server
            .unwrap()
            .contains("unknown authority")
    );
    std::fs::write(running.authority.file(), both.concat()).unwrap();
    assert_eq!(running.meet("localhost"), Outcome::default());
}

#[test]
fn half_a_pair_changes_nothing_until_the_other_half_is_there() {
    let running = running();
    let pair = running.authority.issue_as(
        "next",
        &Leaf {
            hosts: vec!["next.example".into()],
            ..Leaf::new("next")
        },
    );
    let dir = running.authority.dir.path();
    std::fs::rename(&pair.certificate, dir.join("server.pem")).unwrap();
    assert_eq!(
        running.meet("localhost"),
        Outcome::default(),
        "the one of before goes on"
    );
    std::fs::rename(&pair.key, dir.join("server.key")).unwrap();
    assert_eq!(running.meet("next.example"), Outcome::default());
}
