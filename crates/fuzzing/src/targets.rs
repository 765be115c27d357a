//! All of them, by name.

/// A decoder and what surrounds it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Of the program in `fuzz/`, and of the directory of seeds.
    pub name: &'static str,
    /// Feeds the bytes to it; whether they were taken for sound, at least in part.
    pub run: fn(&[u8]) -> bool,
}

/// Every target, in order of names.
pub const TARGETS: &[Target] = &[
    of("answers", crate::answers::run),
    of("apply", crate::apply::run),
    of("backup", crate::backup::run),
    of("certificates", crate::certificates::run),
    of("dns", crate::dns::run),
    of("flags", crate::flags::run),
    of("gateway", crate::http::gateway),
    of("json", crate::json::run),
    of("link", crate::http::link),
    of("peer", crate::peer::run),
    of("raft", crate::raft::run),
    of("requests", crate::requests::run),
    of("rows", crate::rows::run),
    of("store", crate::store::run),
    of("tokens", crate::tokens::run),
    of("wal", crate::wal::run),
    of("words", crate::words::run),
    of("yaml", crate::yaml::run),
];

const fn of(name: &'static str, run: fn(&[u8]) -> bool) -> Target {
    Target { name, run }
}

/// The target of this name.
///
/// # Panics
///
/// Where there is none.
pub fn target(name: &str) -> &'static Target {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name}"))
}
