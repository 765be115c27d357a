//! The API as descriptors.

use prost_reflect::{DescriptorPool, MethodDescriptor};
use std::sync::LazyLock;

/// Every message and service of proto/.
pub static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(api::DESCRIPTORS).expect("the build compiled the descriptors"));

/// The method that a script calls `KV/Range`; `None` if there is none.
pub fn method(name: &str) -> Option<MethodDescriptor> {
    let (service, method) = name.split_once('/')?;
    let service = POOL.get_service_by_name(&format!("etcdserverpb.{service}"))?;
    service.methods().find(|candidate| candidate.name() == method)
}

/// Whether a request of this method changes nothing, so that neighbours may be under way at once.
pub(crate) fn only_reads(method: &MethodDescriptor) -> bool {
    matches!(
        method.name(),
        "Range"
            | "RangeStream"
            | "LeaseTimeToLive"
            | "LeaseLeases"
            | "MemberList"
            | "HashKV"
            | "Status"
            | "AuthStatus"
            | "UserGet"
            | "UserList"
            | "RoleGet"
            | "RoleList"
    )
}
