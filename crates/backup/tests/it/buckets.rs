//! Every other row: a state made by commands, as the crates that own the rows store it.

use crate::database::{Database, back_up_with};
use apply::{Machine, Options};
use auth::Tokens;
use bytes::Bytes;
use membership::{Change, Member};
use model::pb::etcdserverpb as pb;
use model::pb::membershippb;
use model::{ClusterId, Command, LogIndex, MemberId, Request, Term};
use std::sync::Arc;
use std::time::Duration;
use storage::memory::MemoryBackend;

struct Fixture {
    machine: Machine,
}

impl Fixture {
    fn new() -> Fixture {
        let options = Options {
            cluster: ClusterId(1),
            quota_bytes: None,
            mvcc: mvcc::Options::default(),
            lease: lease::Options::default(),
            tokens: Arc::new(Tokens::open("simple", Duration::from_secs(300)).unwrap()),
        };
        Fixture {
            machine: Machine::open(Arc::new(MemoryBackend::new()), options).unwrap(),
        }
    }

    fn next(&self) -> LogIndex {
        LogIndex(self.machine.applied().index.0 + 1)
    }

    fn apply(&mut self, request: Request) {
        let command = Command::new(0, request);
        let outcome = self.machine.apply(self.next(), Term(1), &command, true).unwrap();
        outcome.result.unwrap();
        self.machine.commit().unwrap();
    }

    fn change(&mut self, change: Change) {
        let configuration = Bytes::from_static(b"\x08\x07\x28\x00");
        let result = self
            .machine
            .change_members(self.next(), Term(1), &change, configuration);
        result.unwrap().unwrap();
        self.machine.commit().unwrap();
    }

    fn back_up(&self) -> Database {
        let configuration = self.machine.applied().configuration.clone();
        back_up_with(&self.machine.shared().store.view(), &configuration)
    }
}

fn member(id: u64, learner: bool) -> Member {
    Member {
        id: MemberId(id),
        peer_urls: vec![format!("http://10.0.0.{id}:2380")],
        is_learner: learner,
        name: String::new(),
        client_urls: Vec::new(),
    }
}

#[test]
fn members_stand_under_their_ids() {
    let mut fixture = Fixture::new();
    for id in [7, 0x10, 0xff, 9] {
        fixture.change(Change::Add(member(id, id == 9)));
    }
    fixture.change(Change::Remove(MemberId(0xff)));
    fixture.apply(Request::ClusterMemberAttrSet(
        membershippb::ClusterMemberAttrSetRequest {
            member_id: 7,
            member_attributes: Some(membershippb::Attributes {
                name: "n1".into(),
                client_urls: vec!["http://10.0.0.7:2379".into()],
            }),
        },
    ));
    fixture.apply(Request::ClusterVersionSet(
        membershippb::ClusterVersionSetRequest { ver: "3.7.0".into() },
    ));
    fixture.apply(Request::DowngradeInfoSet(membershippb::DowngradeInfoSetRequest {
        enabled: true,
        ver: "3.6.0".into(),
    }));
    let database = fixture.back_up();
    let expected = [
        r#"10 = {\"id\":16,\"peerURLs\":[\"http://10.0.0.16:2380\"]}"#,
        r#"7 = {\"id\":7,\"peerURLs\":[\"http://10.0.0.7:2380\"],\"name\":\"n1\",\"clientURLs\":[\"http://10.0.0.7:2379\"]}"#,
        r#"9 = {\"id\":9,\"peerURLs\":[\"http://10.0.0.9:2380\"],\"isLearner\":true}"#,
    ];
    assert_eq!(database.text("members"), expected);
    assert_eq!(database.text("members_removed"), ["ff = removed"]);
    let expected = [
        r#"clusterVersion = 3.7.0"#,
        r#"downgrade = {\"target-version\":\"3.6.0\",\"enabled\":true}"#,
    ];
    assert_eq!(database.text("cluster"), expected);
    let expected = r#"confState = {\"voters\":[7],\"auto_leave\":false}"#;
    assert_eq!(database.text("meta")[0], expected);
}

#[test]
fn leases_users_roles_and_alarms_are_stored_as_etcd_stores_them() {
    let mut fixture = Fixture::new();
    for (id, ttl) in [(5, 60), (-2, 10)] {
        fixture.apply(Request::LeaseGrant(pb::LeaseGrantRequest { id, ttl }));
    }
    let activate = pb::alarm_request::AlarmAction::Activate as i32;
    for (member_id, alarm) in [(300, 1), (7, 2)] {
        fixture.apply(Request::Alarm(pb::AlarmRequest {
            action: activate,
            member_id,
            alarm,
        }));
    }
    for name in ["root", "reader"] {
        fixture.apply(Request::AuthRoleAdd(pb::AuthRoleAddRequest { name: name.into() }));
    }
    fixture.apply(Request::AuthUserAdd(pb::AuthUserAddRequest {
        name: "root".into(),
        hashed_password: "aGFzaA==".into(),
        ..Default::default()
    }));
    fixture.apply(Request::AuthUserGrantRole(pb::AuthUserGrantRoleRequest {
        user: "root".into(),
        role: "root".into(),
    }));
    fixture.apply(Request::AuthEnable(pb::AuthEnableRequest {}));

    let database = fixture.back_up();
    let expected = [
        r"\x00\x00\x00\x00\x00\x00\x00\x05 = \x08\x05\x10<",
        r"\xff\xff\xff\xff\xff\xff\xff\xfe = \x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\n",
    ];
    assert_eq!(database.text("lease"), expected);
    assert_eq!(
        database.text("alarm"),
        [r"\x08\x07\x10\x02 = ", r"\x08\xac\x02\x10\x01 = "]
    );
    let expected = [
        r"authEnabled = \x01",
        r"authRevision = \x00\x00\x00\x00\x00\x00\x00\x05",
    ];
    assert_eq!(database.text("auth"), expected);
    assert_eq!(
        database.text("authRoles"),
        [r"reader = \n\x06reader", r"root = \n\x04root"]
    );
    assert_eq!(
        database.text("authUsers"),
        [r#"root = \n\x04root\x12\x04hash\x1a\x04root\"\x00"#]
    );
}
