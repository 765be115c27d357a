//! The counters of all RPC threads together.

use super::{Counters, labels};
use crate::methods::Method;
use crate::status::{CODES, code_name};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntCounterVec, Opts};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tonic::Code;

/// Adds the threads' counters up at each scrape.
pub(super) struct Sum {
    threads: Vec<Arc<Counters>>,
    started: IntCounterVec,
    handled: IntCounterVec,
    received: IntCounterVec,
    sent: IntCounterVec,
    received_bytes: IntCounter,
    sent_bytes: IntCounter,
}

const ALL_CODES: [Code; CODES] = [
    Code::Ok,
    Code::Cancelled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

impl Sum {
    pub fn new(threads: Vec<Arc<Counters>>) -> prometheus::Result<Sum> {
        let vec = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let labels = ["grpc_method", "grpc_service", "grpc_type"];
        Ok(Sum {
            threads,
            started: vec(
                "grpc_server_started_total",
                "Total number of RPCs started on the server.",
                &labels,
            )?,
            handled: vec(
                "grpc_server_handled_total",
                "Total number of RPCs completed on the server, regardless of success or failure.",
                &["grpc_code", "grpc_method", "grpc_service", "grpc_type"],
            )?,
            received: vec(
                "grpc_server_msg_received_total",
                "Total number of RPC stream messages received on the server.",
                &labels,
            )?,
            sent: vec(
                "grpc_server_msg_sent_total",
                "Total number of gRPC stream messages sent by the server.",
                &labels,
            )?,
            received_bytes: IntCounter::new(
                "etcd_network_client_grpc_received_bytes_total",
                "The total number of bytes received from grpc clients.",
            )?,
            sent_bytes: IntCounter::new(
                "etcd_network_client_grpc_sent_bytes_total",
                "The total number of bytes sent to grpc clients.",
            )?,
        })
    }

    fn total(&self, of: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        self.threads.iter().map(|thread| of(thread).load(Relaxed)).sum()
    }

    fn add_up(&self) {
        raise(&self.received_bytes, self.total(|thread| &thread.received_bytes));
        raise(&self.sent_bytes, self.total(|thread| &thread.sent_bytes));
        for method in Method::ALL {
            let started = self.total(|thread| &thread.methods[*method as usize].started);
            if started == 0 && !method.is_counted_from_start() {
                continue;
            }
            let labels = labels(*method);
            raise(&self.started.with_label_values(&labels), started);
            let received = self.total(|thread| &thread.methods[*method as usize].received);
            raise(&self.received.with_label_values(&labels), received);
            let sent = self.total(|thread| &thread.methods[*method as usize].sent);
            raise(&self.sent.with_label_values(&labels), sent);
            for code in ALL_CODES {
                let handled = self.total(|thread| &thread.methods[*method as usize].handled[code as usize]);
                let labels = [code_name(code), labels[0], labels[1], labels[2]];
                raise(&self.handled.with_label_values(&labels), handled);
            }
        }
    }
}

/// Two scrapes at once may see different totals: a counter only ever goes up.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

impl Collector for Sum {
    fn desc(&self) -> Vec<&Desc> {
        let vecs = [&self.started, &self.handled, &self.received, &self.sent];
        let mut desc: Vec<_> = vecs.iter().flat_map(|vec| vec.desc()).collect();
        desc.extend(self.received_bytes.desc());
        desc.extend(self.sent_bytes.desc());
        desc
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.add_up();
        let vecs = [&self.started, &self.handled, &self.received, &self.sent];
        let mut families: Vec<_> = vecs.iter().flat_map(|vec| vec.collect()).collect();
        families.extend(self.received_bytes.collect());
        families.extend(self.sent_bytes.collect());
        families
    }
}
