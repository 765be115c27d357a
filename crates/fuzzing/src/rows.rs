//! Rows of leases, users and roles, members, alarms: as a store or a snapshot of another member has them.

use crate::wire::Input;
use bytes::Bytes;
use lease::Lessor;
use membership::{Cluster, RowFamily};
use model::ClusterId;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static TOKENS: LazyLock<Arc<auth::Tokens>> = LazyLock::new(|| {
    let tokens = auth::Tokens::open("simple", Duration::ZERO);
    Arc::new(tokens.expect("simple tokens need no file"))
});

/// The first byte says of what; then keys and values behind their lengths.
pub(crate) fn run(data: &[u8]) -> bool {
    let mut input = Input(data);
    let Some(kind) = input.byte() else {
        return false;
    };
    let mut rows: Vec<(Bytes, Bytes)> = Vec::new();
    while let (Some(key), Some(value)) = (input.bytes(), input.bytes()) {
        rows.push((key, value));
    }
    match kind % 4 {
        0 => leases(rows),
        1 => users(rows),
        2 => members(rows),
        _ => rows.iter().any(|(key, value)| {
            lease::rows::decode_attachment(key).is_ok() | mvcc::Kv::decode(value.clone()).is_ok()
        }),
    }
}

fn leases(rows: Vec<(Bytes, Bytes)>) -> bool {
    // What a lease is followed by with another length is what hangs on it.
    let (leases, attachments): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(key, _)| key.len() == 8);
    let attachments = attachments.into_iter().map(|(key, _)| key);
    let Ok(mut lessor) = Lessor::load(lease::Options::default(), leases, attachments) else {
        return false;
    };
    lessor.promote(Duration::from_secs(1), Duration::from_secs(1));
    let _ = lessor.next_wakeup(Duration::from_secs(2));
    let _ = lessor.leases(Duration::from_secs(2));
    let _ = lessor.expired(Duration::from_secs(u64::from(u32::MAX)), 100);
    true
}

fn users(rows: Vec<(Bytes, Bytes)>) -> bool {
    let names: Vec<String> = rows
        .iter()
        .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
        .collect();
    let Ok(store) = auth::AuthStore::load(rows, TOKENS.clone()) else {
        return false;
    };
    let rules = store.rules();
    for name in &names {
        let name = name.rsplit('/').next().unwrap_or_default();
        let _ = (rules.is_root(name), rules.credentials(name).is_ok());
    }
    true
}

fn members(rows: Vec<(Bytes, Bytes)>) -> bool {
    let meta = |key: &Bytes| key.starts_with(Cluster::META_PREFIX);
    let (meta, members): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(key, _)| meta(key));
    let Ok(cluster) = Cluster::load(ClusterId(1), members, meta) else {
        return false;
    };
    for member in cluster.members() {
        let _ = member.to_pb();
    }
    let rows = |family| {
        let rows = cluster.rows().into_iter().filter(move |row| row.family == family);
        rows.filter_map(|row| Some((row.key, row.value?)))
    };
    let (members, meta) = (rows(RowFamily::Members), rows(RowFamily::Meta));
    let again = Cluster::load(ClusterId(1), members, meta).expect("what was loaded is loaded again");
    assert_eq!(again, cluster);
    true
}
