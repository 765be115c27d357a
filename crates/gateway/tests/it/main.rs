//! The gateway in front of a real node of one member, driven by generated clients and by the `etcd-client` crate.

mod auth;
mod cluster;
mod discovery;
mod drain;
mod fairness;
mod http;
mod json;
mod kv;
mod lease;
mod maintenance;
mod policy;
mod queue;
mod rules;
mod secure;
mod support;
mod watch;
mod websocket;
