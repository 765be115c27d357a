//! The table format, and the rows that the simple format shows too.

use super::{Health, Report, unsupported};
use crate::exit::Result;
use crate::go;
use client::pb::etcdserverpb::{HashKvResponse, MemberListResponse, StatusResponse};

/// Titles and rows.
pub(super) type Rows = (&'static [&'static str], Vec<Vec<String>>);

pub(super) fn render(report: &Report) -> Result<String> {
    let (titles, rows) = match report {
        Report::MemberList(response) => members(response),
        Report::Health(found) => health(found),
        Report::Status(found) => statuses(found),
        Report::HashKv(found) => hashes(found),
        _ => return Err(unsupported("table")),
    };
    Ok(go::table(titles, &rows))
}

pub(super) fn members(response: &MemberListResponse) -> Rows {
    let titles = &["ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner"];
    let row = |member: &client::pb::etcdserverpb::Member| {
        let status = if member.name.is_empty() {
            "unstarted"
        } else {
            "started"
        };
        vec![
            format!("{:x}", member.id),
            status.to_owned(),
            member.name.clone(),
            member.peer_urls.join(","),
            member.client_urls.join(","),
            member.is_learner.to_string(),
        ]
    };
    (titles, response.members.iter().map(row).collect())
}

fn health(found: &[Health]) -> Rows {
    let titles = &["endpoint", "health", "took", "error"];
    let row = |health: &Health| {
        vec![
            health.endpoint.clone(),
            health.error.is_empty().to_string(),
            took(health),
            health.error.clone(),
        ]
    };
    (titles, found.iter().map(row).collect())
}

pub(super) fn took(health: &Health) -> String {
    health.took.map_or(String::new(), go::format_duration)
}

pub(super) fn statuses(found: &[(String, StatusResponse)]) -> Rows {
    let titles = &[
        "endpoint",
        "ID",
        "version",
        "storage version",
        "db size",
        "in use",
        "percentage not in use",
        "quota",
        "is leader",
        "is learner",
        "raft term",
        "raft index",
        "raft applied index",
        "errors",
        "downgrade target version",
        "downgrade enabled",
    ];
    let row = |(endpoint, status): &(String, StatusResponse)| {
        let member = status.header.as_ref().map_or(0, |header| header.member_id);
        let size = |size: i64| go::bytes(size.max(0) as u64);
        // A server that reports no size at all has nothing that is not in use.
        let used = (i128::from(status.db_size_in_use) * 100)
            .checked_div(i128::from(status.db_size))
            .unwrap_or(100);
        let downgrade = status.downgrade_info.clone().unwrap_or_default();
        vec![
            endpoint.clone(),
            format!("{member:x}"),
            status.version.clone(),
            status.storage_version.clone(),
            size(status.db_size),
            size(status.db_size_in_use),
            format!("{}%", 100 - used),
            size(status.db_size_quota),
            (status.leader == member).to_string(),
            status.is_learner.to_string(),
            status.raft_term.to_string(),
            status.raft_index.to_string(),
            status.raft_applied_index.to_string(),
            status.errors.join(", "),
            downgrade.target_version,
            downgrade.enabled.to_string(),
        ]
    };
    (titles, found.iter().map(row).collect())
}

pub(super) fn hashes(found: &[(String, HashKvResponse)]) -> Rows {
    let titles = &["endpoint", "hash", "hash_revision"];
    let row = |(endpoint, hash): &(String, HashKvResponse)| {
        vec![
            endpoint.clone(),
            hash.hash.to_string(),
            hash.hash_revision.to_string(),
        ]
    };
    (titles, found.iter().map(row).collect())
}
