//! `quorate gateway`: one address in front of a cluster.

use cluster_tests::{Cluster, eventually, server_binary};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Gateway {
    process: Child,
    address: String,
}

impl Gateway {
    fn start(endpoints: &[String]) -> Gateway {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let process = Command::new(server_binary())
            .args(["gateway", "start", "--retry-delay=100ms"])
            .arg(format!("--endpoints={}", endpoints.join(",")))
            .arg(format!("--listen-addr={address}"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Gateway { process, address }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_gateway_outlives_the_members() {
    let mut cluster = Cluster::start(3).await;
    let gateway = Gateway::start(&cluster.endpoints());
    let url = format!("http://{}", gateway.address);
    for round in 0..3 {
        eventually(Duration::from_secs(30), || async {
            let mut client = cluster_tests::connect(std::slice::from_ref(&url)).await;
            client.put("round", round.to_string(), None).await?;
            Ok(())
        })
        .await;
        cluster.members[round].kill();
        // Without one member the others go on; it comes back before the next one goes.
        eventually(Duration::from_secs(30), || async {
            let mut client = cluster_tests::connect(std::slice::from_ref(&url)).await;
            client.put("without", round.to_string(), None).await?;
            Ok(())
        })
        .await;
        cluster.members[round].start();
        cluster.wait_serving(round).await;
    }
}

#[test]
fn a_gateway_that_cannot_work_says_why() {
    let run = |args: &[&str]| {
        let output = Command::new(server_binary())
            .arg("gateway")
            .args(args)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = run(&[
        "start",
        "--endpoints=127.0.0.1:23791",
        "--listen-addr=127.0.0.1:23791",
    ]);
    assert!(
        code == Some(1) && said.contains("should not resolve to the gateway listen addr"),
        "{said}"
    );
    let (code, said) = run(&["start", "--endpoints=nonsense"]);
    assert!(
        code == Some(1) && said.contains("error parsing endpoint \"nonsense\""),
        "{said}"
    );
    let (code, said) = run(&["stop"]);
    assert!(
        code == Some(1) && said.contains("unknown command \"stop\""),
        "{said}"
    );
}
