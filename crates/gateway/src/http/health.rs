//! Health: `/health` for etcd's old clients, `/livez` and `/readyz` for Kubernetes.

use super::query;
use crate::body::ResponseBody;
use crate::shared::Shared;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use model::pb::etcdserverpb::{AlarmType, RangeRequest};
use std::fmt::Write;

/// Whether clients should use this member: no alarm, a leader, and a range that is answered.
pub(super) async fn health(shared: &Shared, method: &Method, uri: &Uri) -> Response<ResponseBody> {
    if method != Method::GET {
        return super::method_not_allowed();
    }
    let serializable = query(uri, "serializable").next() == Some("true");
    match reason_against(shared, uri, serializable).await {
        None => {
            shared.metrics.health_success.inc();
            super::text(StatusCode::OK, r#"{"health":"true","reason":""}"#)
        }
        Some(reason) => {
            shared.metrics.health_failures.inc();
            tracing::warn!(reason, "/health error");
            let body = serde_json::json!({ "health": "false", "reason": reason });
            super::text(StatusCode::SERVICE_UNAVAILABLE, format!("{body}\n"))
        }
    }
}

async fn reason_against(shared: &Shared, uri: &Uri, serializable: bool) -> Option<String> {
    let excluded: Vec<&str> = query(uri, "exclude").collect();
    for alarm in shared.node.alarms().list(0) {
        let kind = alarm.alarm();
        if !excluded.contains(&kind.as_str_name()) {
            let kind = if kind == AlarmType::None {
                "UNKNOWN"
            } else {
                kind.as_str_name()
            };
            return Some(format!("ALARM {kind}"));
        }
    }
    if !serializable && shared.node.leader().is_none() {
        return Some("RAFT NO LEADER".into());
    }
    read(shared, serializable)
        .await
        .err()
        .map(|error| format!("RANGE ERROR:{error}"))
}

async fn read(shared: &Shared, serializable: bool) -> Result<(), String> {
    let request = RangeRequest {
        key: Bytes::from_static(&[0]),
        limit: 1,
        keys_only: true,
        serializable,
        ..Default::default()
    };
    let caller = shared.node.root();
    let answer = async {
        shared.node.range(request, &caller).await?;
        match serializable {
            true => Ok(()),
            false => shared.node.log_answers().await,
        }
    };
    answer.await.map_err(|error: node::Error| error.to_string())
}

/// One of the questions behind `/livez` and `/readyz`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, shared: &Shared) -> Result<(), String> {
        match self {
            Check::DataCorruption if shared.node.alarms().corrupt() => Err("alarm activated: CORRUPT".into()),
            Check::DataCorruption => Ok(()),
            Check::SerializableRead => read(shared, true).await,
            Check::LinearizableRead => read(shared, false).await,
            Check::NonLearner if shared.node.is_learner() => Err("not supported for learner".into()),
            Check::NonLearner => Ok(()),
        }
    }
}

const LIVE: &[Check] = &[Check::SerializableRead];
const READY: &[Check] = &[
    Check::DataCorruption,
    Check::SerializableRead,
    Check::LinearizableRead,
    Check::NonLearner,
];

/// `/livez`, `/readyz`, or one check of theirs.
pub(super) async fn probe(shared: &Shared, method: &Method, uri: &Uri) -> Response<ResponseBody> {
    let (kind, rest) = match uri.path().get(1..).and_then(|path| path.split_once('/')) {
        Some((kind, rest)) => (kind, Some(rest)),
        None => (uri.path().trim_start_matches('/'), None),
    };
    let checks = match kind {
        "livez" => LIVE,
        "readyz" => READY,
        _ => return super::not_found(),
    };
    let checks: Vec<Check> = match rest {
        Some(name) => checks
            .iter()
            .copied()
            .filter(|check| check.name() == name)
            .collect(),
        None => {
            let excluded: Vec<&str> = query(uri, "exclude").collect();
            checks
                .iter()
                .copied()
                .filter(|check| !excluded.contains(&check.name()))
                .collect()
        }
    };
    if rest.is_some() && checks.is_empty() {
        return super::not_found();
    }
    if method != Method::GET {
        return super::method_not_allowed();
    }
    let (healthy, report) = run(shared, kind, &checks).await;
    if !healthy {
        tracing::warn!(path = uri.path(), reason = report, "Health check error");
        return super::text(StatusCode::SERVICE_UNAVAILABLE, report + "\n");
    }
    let verbose = query(uri, "verbose").next().is_some();
    let report = if verbose {
        report + "ok\n"
    } else {
        "ok\n".to_owned()
    };
    let mut response = super::text(StatusCode::OK, report);
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

async fn run(shared: &Shared, kind: &str, checks: &[Check]) -> (bool, String) {
    let mut healthy = true;
    let mut report = String::new();
    for check in checks {
        let name = check.name();
        let result = check.run(shared).await;
        let status = if result.is_ok() { "success" } else { "error" };
        shared
            .metrics
            .check
            .with_label_values(&[kind, name])
            .set(i64::from(result.is_ok()));
        shared
            .metrics
            .checks
            .with_label_values(&[kind, name, status])
            .inc();
        // Writing to a string does not fail.
        let _ = match result {
            Ok(()) => writeln!(report, "[+]{name} ok"),
            Err(error) => {
                healthy = false;
                writeln!(report, "[-]{name} failed: {error}")
            }
        };
    }
    (healthy, report)
}
