//! Bodies of the JSON gateway.

const PATHS: &[&str] = &[
    "/v3/kv/range",
    "/v3/kv/put",
    "/v3/kv/txn",
    "/v3/watch",
    "/v3/lease/grant",
    "/v3/auth/role/grant",
    "/v3/cluster/member/add",
    "/v3/maintenance/alarm",
];

/// Largest object.
const BYTES_MAX: usize = 64 << 10;

/// The first byte says which call.
pub(crate) fn run(data: &[u8]) -> bool {
    let Some((path, body)) = data.split_first() else {
        return false;
    };
    let path = PATHS[usize::from(*path) % PATHS.len()];
    match gateway::json_requests(path, body, BYTES_MAX) {
        Ok(messages) => {
            let bytes: usize = messages.iter().map(Vec::len).sum();
            assert!(
                bytes <= 4 * body.len() + 64,
                "{bytes} bytes out of {}",
                body.len()
            );
            !messages.is_empty()
        }
        Err(_) => false,
    }
}
