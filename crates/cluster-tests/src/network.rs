//! A network of our own: each member in a network namespace, all on one bridge, with firewalls between them.

use crate::Cluster;
use std::process::Command;

/// Namespaces of a cluster's members. They go when it is dropped.
pub struct Network {
    id: u32,
    members: usize,
}

/// Set in the process that runs inside the namespace of the bridge.
const INSIDE: &str = "QUORATE_TEST_NETWORK";

fn run(command: &str) -> Result<(), String> {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .output()
        .map_err(|error| format!("{command}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// Runs the rest of a test, by name, in a namespace of its own, where networks can be made. `true` in that process;
/// `false` in the one outside, after the other has ended well, or if there can be none, with the reason printed.
pub fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let name = format!("quorate-{}", std::process::id());
    let made = run("iptables --version")
        .and_then(|()| run(&format!("ip netns add {name}")))
        .and_then(|()| run(&format!("ip netns exec {name} ip link set lo up")));
    if let Err(reason) = made {
        let _ = run(&format!("ip netns del {name}"));
        println!("left out: no network namespaces here, they need root, iproute2 and iptables ({reason})");
        return false;
    }
    let this = std::env::current_exe().expect("a test knows its own path");
    let status = Command::new("ip")
        .args(["netns", "exec", &name])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    let _ = run(&format!("ip netns del {name}"));
    assert!(status.is_ok_and(|status| status.success()), "{test} has failed");
    false
}

impl Network {
    /// Gives each member of a cluster that is not started a namespace and an address of its own. Call within
    /// [`inside`].
    pub fn around(cluster: &mut Cluster) -> Result<Network, String> {
        let network = Network {
            id: std::process::id(),
            members: cluster.members.len(),
        };
        run("ip link add bridge type bridge")?;
        run("ip addr add 10.77.0.254/24 dev bridge")?;
        run("ip link set bridge up")?;
        for member in 0..network.members {
            let space = network.space(member);
            run(&format!("ip netns add {space}"))?;
            run(&format!(
                "ip link add veth{member} type veth peer name eth0 netns {space}"
            ))?;
            run(&format!("ip link set veth{member} master bridge up"))?;
            let exec = format!("ip netns exec {space}");
            run(&format!(
                "{exec} ip addr add {} dev eth0",
                network.address(member) + "/24"
            ))?;
            run(&format!("{exec} ip link set eth0 up"))?;
            run(&format!("{exec} ip link set lo up"))?;
        }
        cluster.move_to((0..network.members).map(|member| {
            let prefix = ["ip", "netns", "exec", &network.space(member)].map(str::to_owned);
            (network.address(member), prefix.to_vec())
        }));
        Ok(network)
    }

    fn space(&self, member: usize) -> String {
        format!("quorate-{}-{member}", self.id)
    }

    fn address(&self, member: usize) -> String {
        format!("10.77.0.{}", member + 1)
    }

    fn rule(&self, member: usize, rule: &str) {
        let command = format!("ip netns exec {} iptables {rule}", self.space(member));
        run(&command).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Nothing gets from one member to another any more; the other way is open.
    pub fn cut(&self, from: usize, to: usize) {
        self.rule(to, &format!("-A INPUT -s {} -j DROP", self.address(from)));
    }

    /// A member and the others do not hear each other.
    pub fn isolate(&self, member: usize) {
        for other in (0..self.members).filter(|other| *other != member) {
            self.cut(member, other);
            self.cut(other, member);
        }
    }

    /// Clients do not reach a member any more; its peers do.
    pub fn cut_clients(&self, member: usize) {
        self.rule(member, "-A INPUT -s 10.77.0.254 -j DROP");
    }

    /// Packets of more than so many bytes get lost, as behind a router that neither cuts them nor says so.
    pub fn lose_large(&self, bytes: u32) {
        for member in 0..self.members {
            let rule = format!("-A INPUT -m length --length {bytes}:65535 -j DROP");
            self.rule(member, &rule);
        }
    }

    /// Whatever a member's peers send it is answered with a reset.
    pub fn reset(&self, member: usize) {
        for other in (0..self.members).filter(|other| *other != member) {
            let rule = format!(
                "-A INPUT -p tcp -s {} -j REJECT --reject-with tcp-reset",
                self.address(other)
            );
            self.rule(member, &rule);
        }
    }

    /// Connections that are there go on; there are no new ones between members.
    pub fn refuse_new(&self) {
        for member in 0..self.members {
            for other in (0..self.members).filter(|other| *other != member) {
                let rule = format!("-A INPUT -p tcp --syn -s {} -j DROP", self.address(other));
                self.rule(member, &rule);
            }
        }
    }

    /// A member sends no more than so many kilobits in a second.
    pub fn slow_down(&self, member: usize, kilobits: u32) -> Result<(), String> {
        let space = self.space(member);
        run(&format!(
            "ip netns exec {space} tc qdisc replace dev eth0 root tbf rate {kilobits}kbit burst 16kb latency 800ms"
        ))
    }

    /// So many of a hundred packets to each member get lost.
    pub fn lose(&self, percent: u32) {
        for member in 0..self.members {
            let rule = format!("-A INPUT -m statistic --mode random --probability 0.{percent:02} -j DROP");
            self.rule(member, &rule);
        }
    }

    /// Everybody hears everybody again.
    pub fn heal(&self) {
        for member in 0..self.members {
            self.rule(member, "-F INPUT");
            // There may be none.
            let _ = run(&format!(
                "ip netns exec {} tc qdisc del dev eth0 root",
                self.space(member)
            ));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for member in 0..self.members {
            let _ = run(&format!("ip netns del {}", self.space(member)));
        }
    }
}
