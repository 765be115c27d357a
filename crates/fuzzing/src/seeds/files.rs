//! Files and rows of a store.

use super::requests::history;
use super::{put_piece, with};
use apply::Machine;
use model::{Command, LogIndex, Term};
use std::ops::Bound;
use std::sync::Arc;
use storage::memory::MemoryBackend;
use storage::{Backend, Family};
use wal::{Dir, MemoryDir, Record, Wal};

type Seeds = Vec<(&'static str, Vec<u8>)>;

/// A store after the small history.
fn machine() -> (Arc<MemoryBackend>, Machine) {
    let backend = Arc::new(MemoryBackend::new());
    let mut machine = Machine::open(backend.clone(), crate::store::options()).expect("an empty store opens");
    let initial = membership::InitialCluster::parse("one=http://10.0.0.1:2380").expect("a sound list");
    let cluster = membership::Cluster::bootstrap(&initial, "token").expect("a sound list");
    let mut index = 0;
    for member in cluster.members() {
        index += 1;
        let change = membership::Change::Add(member.clone());
        let added = machine.change_members(LogIndex(index), Term(1), &change, Default::default());
        added.expect("no fault").expect("a first member");
    }
    for request in history() {
        index += 1;
        let applied = machine.apply(LogIndex(index), Term(1), &Command::new(index, request), true);
        applied.expect("no fault").result.expect("no refusal");
    }
    machine.commit().expect("memory does not fail");
    (backend, machine)
}

fn family_rows(backend: &MemoryBackend, family: Family) -> Vec<(Vec<u8>, Vec<u8>)> {
    let snapshot = backend.snapshot().expect("memory does not fail");
    let mut cursor = snapshot
        .scan(family, (Bound::Unbounded, Bound::Unbounded))
        .expect("memory does not fail");
    let mut rows = Vec::new();
    while let Some((key, value)) = cursor.next().expect("memory does not fail") {
        rows.push((key.to_vec(), value.to_vec()));
    }
    rows
}

pub(super) fn store() -> Seeds {
    let (backend, _) = machine();
    let mut rows = vec![1];
    for family in Family::ALL {
        for (key, value) in family_rows(&backend, family) {
            rows.push(family as u8);
            put_piece(&mut rows, &key);
            put_piece(&mut rows, &value);
        }
    }
    let dir = crate::scratch::directory();
    let copy = dir.path().join("copy");
    backend.checkpoint(&copy).expect("a directory of our own");
    let file = std::fs::read(copy.join("rows")).expect("the copy was written");
    vec![("rows", rows), ("file", with(0, file))]
}

pub(super) fn rows() -> Seeds {
    let (backend, _) = machine();
    let rows = |kind: u8, families: &[Family]| {
        let mut out = vec![kind];
        for family in families {
            for (key, value) in family_rows(&backend, *family) {
                put_piece(&mut out, &key);
                put_piece(&mut out, &value);
            }
        }
        out
    };
    let cluster: Vec<u8> = {
        let mut out = rows(2, &[Family::Members]);
        for (key, value) in family_rows(&backend, Family::Meta) {
            if key.starts_with(membership::Cluster::META_PREFIX) {
                put_piece(&mut out, &key);
                put_piece(&mut out, &value);
            }
        }
        out
    };
    vec![
        ("leases", rows(0, &[Family::Lease, Family::LeaseKeys])),
        ("users", rows(1, &[Family::Auth])),
        ("members", cluster),
        ("attachments", rows(3, &[Family::LeaseKeys])),
    ]
}

pub(super) fn backup() -> Seeds {
    let (_, machine) = machine();
    let view = machine.shared().store.view();
    let source = backup::Source {
        view: &view,
        applied: (LogIndex(20), Term(1)),
        configuration: &[],
        version: "3.7.0",
    };
    let plan = backup::plan(&source).expect("memory does not fail");
    let mut file = Vec::new();
    backup::write(&source, plan, &mut file).expect("memory does not fail");
    vec![("database", crate::backup::short(&file))]
}

pub(super) fn wal() -> Seeds {
    let dir = Arc::new(MemoryDir::new());
    let mut log =
        Wal::create_in(dir.clone(), b"metadata", crate::wal::options()).expect("memory does not fail");
    let entry = |index, data| Record::Entry {
        kind: 0,
        index,
        term: 1,
        data,
    };
    log.append(&[entry(1, b"one"), entry(2, b"two"), Record::State(&[8, 1, 24, 2])])
        .and_then(|()| log.sync())
        .and_then(|()| {
            log.append(&[
                entry(3, b"three"),
                entry(2, b"other"),
                Record::State(&[8, 2, 24, 2]),
            ])
        })
        .and_then(|()| log.sync())
        .expect("memory does not fail");
    drop(log);
    let mut names = dir.list().expect("memory does not fail");
    names.retain(|name| name.ends_with(".wal"));
    names.sort();
    let mut file = dir.read(&names[0]).expect("the log has a segment");
    file.truncate(file.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 17));
    let mut summed = vec![1];
    let mut record = |kind: u8, data: &[u8]| {
        summed.push(kind);
        put_piece(&mut summed, data);
    };
    record(4, b"");
    record(1, b"metadata");
    record(5, b"\x08\x00\x10\x00");
    for index in 1..4 {
        record(2, &[8, 0, 16, 1, 24, index, 34, 1, b'x']);
    }
    record(3, &[8, 1, 24, 2]);
    // The next segment, which begins with the fourth entry.
    record(7, &[4]);
    record(1, b"metadata");
    record(3, &[8, 1, 24, 2]);
    record(2, &[8, 0, 16, 2, 24, 4, 34, 1, b'y']);
    vec![("segment", with(254, file)), ("records", summed)]
}

pub(super) fn certificates() -> Seeds {
    let names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "*.example.com".to_owned(),
    ];
    let mut parameters = rcgen::CertificateParams::new(names).expect("sound names");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        rcgen::KeyUsagePurpose::CrlSign,
        rcgen::KeyUsagePurpose::KeyCertSign,
    ];
    let key = rcgen::KeyPair::generate().expect("the system has random bytes");
    let certificate = parameters.self_signed(&key).expect("a sound certificate");
    let issuer = rcgen::Issuer::from_params(&parameters, &key);
    let date = rcgen::date_time_ymd;
    let list = rcgen::CertificateRevocationListParams {
        this_update: date(2024, 1, 1),
        next_update: date(2044, 1, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from(77),
            revocation_time: date(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list
        .signed_by(&issuer)
        .expect("a sound list")
        .pem()
        .expect("text");
    vec![
        ("der", with(0, certificate.der())),
        ("revoked", with(1, list)),
        ("authority", with(2, certificate.pem())),
        ("pair", with(3, certificate.pem() + &key.serialize_pem())),
    ]
}
