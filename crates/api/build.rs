//! Generates tonic services from proto/; their messages are those of the model crate.

use prost::Message;
use std::path::PathBuf;

const FILES: &[&str] = &["rpc.proto", "v3lock.proto", "v3election.proto", "peer.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../proto";
    println!("cargo:rerun-if-changed={proto}");
    let set = protox::compile(FILES.iter().map(|file| format!("{proto}/{file}")), [proto])?;

    // Whole and unchanged, for reflection and the JSON gateway.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;

    let mut generator = tonic_prost_build::configure()
        .bytes(".")
        .include_file("services.rs");
    for package in [
        "mvccpb",
        "authpb",
        "etcdserverpb",
        "membershippb",
        "leasepb",
        "v3lockpb",
        "v3electionpb",
    ] {
        generator = generator.extern_path(format!(".{package}"), format!("::model::pb::{package}"));
    }
    generator.compile_fds(set)?;
    Ok(())
}
