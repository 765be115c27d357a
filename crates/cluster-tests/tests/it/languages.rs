//! Programs in other languages, with the clients their users have.

use cluster_tests::Cluster;
use std::path::Path;
use std::process::Command;

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&text)
    );
}

fn programs() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/programs"))
}

/// Go's clientv3 with its Mutex, Election and STM: what Kubernetes and most services use.
#[tokio::test(flavor = "multi_thread")]
async fn go_programs_lock_elect_and_transact() {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no Go on this machine");
        return;
    }
    let cluster = Cluster::start(3).await;
    run(Command::new("go")
        .args(["run", "-mod=mod", "."])
        .current_dir(programs().join("go"))
        .env("GOFLAGS", "-modcacherw")
        .env("ENDPOINTS", cluster.endpoints().join(",")));
}

/// Python over gRPC with messages generated from our own proto files: whatever a protobuf library of another language
/// makes of them must work.
#[tokio::test(flavor = "multi_thread")]
async fn python_programs_put_watch_and_lock() {
    let Some(python) = std::env::var_os("QUORATE_PYTHON") else {
        eprintln!("skipped: QUORATE_PYTHON names no interpreter with the client installed");
        return;
    };
    let cluster = Cluster::start(3).await;
    let members = &cluster.members;
    run(Command::new(python)
        .arg(programs().join("python/story.py"))
        .env("PORT", members[0].client_port.to_string()));
}
