//! How long things take.

use crate::methods::Method;
use prometheus::{Histogram, HistogramOpts, HistogramVec, Registry, exponential_buckets};
use std::sync::OnceLock;

/// `etcd_server_request_duration_seconds`: requests to the state machine by type.
pub(super) struct Durations {
    vec: HistogramVec,
    /// By method, failed ones first; a series begins with its first request, as in etcd.
    series: Vec<[OnceLock<Histogram>; 2]>,
}

impl Durations {
    pub fn register(registry: &Registry) -> prometheus::Result<Durations> {
        let options = HistogramOpts::new(
            "etcd_server_request_duration_seconds",
            "Response latency distribution in seconds for each type.",
        );
        let vec = HistogramVec::new(
            options.buckets(exponential_buckets(0.001, 2.0, 14)?),
            &["type", "success"],
        )?;
        registry.register(Box::new(vec.clone()))?;
        // One that is always there: a family without series is not shown at all.
        vec.with_label_values(&["Put", "true"]);
        Ok(Durations {
            vec,
            series: Method::ALL.iter().map(|_| Default::default()).collect(),
        })
    }

    pub fn observe(&self, method: Method, seconds: f64, answered: bool) {
        let Some(kind) = kind(method) else {
            return;
        };
        self.series[method as usize][usize::from(answered)]
            .get_or_init(|| {
                self.vec
                    .with_label_values(&[kind, if answered { "true" } else { "false" }])
            })
            .observe(seconds);
    }
}

/// etcd's name for what a method asks of the state machine; `None` for what is not asked of it.
fn kind(method: Method) -> Option<&'static str> {
    Some(match method {
        Method::Range => "Range",
        Method::Put => "Put",
        Method::DeleteRange => "DeleteRange",
        Method::Txn => "Txn",
        Method::Compact => "Compaction",
        Method::LeaseGrant => "LeaseGrant",
        Method::LeaseRevoke => "LeaseRevoke",
        Method::Alarm => "Alarm",
        Method::Authenticate => "Authenticate",
        Method::AuthEnable => "AuthEnable",
        Method::AuthDisable => "AuthDisable",
        Method::AuthStatus => "AuthStatus",
        Method::UserAdd => "AuthUserAdd",
        Method::UserDelete => "AuthUserDelete",
        Method::UserChangePassword => "AuthUserChangePassword",
        Method::UserGrantRole => "AuthUserGrantRole",
        Method::UserGet => "AuthUserGet",
        Method::UserRevokeRole => "AuthUserRevokeRole",
        Method::UserList => "AuthUserList",
        Method::RoleAdd => "AuthRoleAdd",
        Method::RoleGrantPermission => "AuthRoleGrantPermission",
        Method::RoleGet => "AuthRoleGet",
        Method::RoleRevokePermission => "AuthRoleRevokePermission",
        Method::RoleDelete => "AuthRoleDelete",
        Method::RoleList => "AuthRoleList",
        _ => return None,
    })
}

/// Time from a watch response being ready to its stream asking for the next: what the client and the network make
/// the stream wait.
pub(crate) struct WatchSend {
    /// Responses with events.
    pub events: Histogram,
    /// The same, divided by their events.
    pub per_event: Histogram,
    /// Announcements and ends of watchers.
    pub control: Histogram,
    /// Reports of progress.
    pub progress: Histogram,
}

impl WatchSend {
    pub fn register(registry: &Registry) -> prometheus::Result<WatchSend> {
        let histogram = |name: &str, help: &str| -> prometheus::Result<Histogram> {
            let name = format!("etcd_debugging_server_watch_send_loop_{name}_seconds");
            let options = HistogramOpts::new(name, help).buckets(exponential_buckets(0.001, 2.0, 14)?);
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        Ok(WatchSend {
            events: histogram(
                "watch_stream_duration",
                "The total duration in seconds of running through the send loop watch stream response.",
            )?,
            per_event: histogram(
                "watch_stream_duration_per_event",
                "The average duration per event in seconds of running through the send loop watch stream response.",
            )?,
            control: histogram(
                "control_stream_duration",
                "The total duration in seconds of running through the send loop control stream response.",
            )?,
            progress: histogram(
                "progress_duration",
                "The total duration in seconds of running through the progress loop control stream response.",
            )?,
        })
    }
}
