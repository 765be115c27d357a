//! What can be seen of the program without a server: its exit codes and what it says.

use std::process::{Command, Output};

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quoratectl"));
    for (name, _) in std::env::vars() {
        if name.starts_with("ETCDCTL_") {
            command.env_remove(name);
        }
    }
    command.args(args).envs(env.iter().copied()).output().unwrap()
}

/// Exit code, and what it ends with on the standard error.
#[track_caller]
fn check(args: &[&str], code: i32, error: &str) {
    let output = run(args, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(error), "{stderr}");
}

#[test]
fn wrong_arguments_have_etcdctls_exit_codes() {
    check(&["get"], 128, "get command needs one argument as key");
    check(&["get", "a", "--prefix", "--from-key"], 128, "choose one");
    check(&["get", "a", "--order", "up"], 4, "bad sort order up");
    check(&["get", "a", "-w", "xml"], 4, "unsupported output format");
    check(
        &["get", "a", "--cert", ""],
        128,
        "empty string is passed to --cert option",
    );
    check(
        &["get", "a", "--cert", "/no/such"],
        128,
        "KeyFile and CertFile must both be present[key: , cert: /no/such]",
    );
    check(&["get", "a", "--no-such-flag"], 1, "--no-such-flag");
    check(&["put", "k", "v", "--lease", "xyz"], 128, "expecting ID in Hex");
    check(
        &["lease", "revoke", "xyz"],
        128,
        r#"bad lease ID arg (strconv.ParseInt: parsing "xyz": invalid syntax), expecting ID in Hex"#,
    );
    check(&["member", "add", "n"], 128, "member peer urls not provided");
    check(&["watch", "a", "--"], 128, "found separator --, but no commands");
    check(
        &["compaction", "x"],
        1,
        r#"strconv.ParseInt: parsing "x": invalid syntax"#,
    );
    check(&["--endpoints=nowhere", "get", "a"], 128, "invalid endpoint");
}

#[test]
fn an_endpoint_where_nobody_listens_is_a_timeout() {
    // Bound but never listening: connecting is refused, and nobody else gets the port meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("--endpoints={}", socket.local_addr().unwrap());
    check(
        &[&endpoint, "--command-timeout=200ms", "get", "a"],
        1,
        "Error: context deadline exceeded",
    );
}

#[test]
fn global_flags_may_come_from_the_environment_but_not_from_both() {
    let env = [("ETCDCTL_WRITE_OUT", "xml")];
    assert_eq!(run(&["get", "a"], &env).status.code(), Some(4));
    let both = run(&["get", "a", "-w", "json"], &env);
    assert_eq!(both.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&both.stderr).contains("ETCDCTL_WRITE_OUT"));
}

#[test]
fn commands_may_be_shortened_and_truths_spelled_out() {
    // Refused for its arguments, so it was understood.
    check(&["mem", "rem"], 128, "member ID is not provided");
    check(
        &["get", "--prefix=false", "--from-key=true", "a", "b"],
        128,
        "too many arguments",
    );
}

#[test]
fn the_version_is_etcds_and_ours() {
    let output = run(&["version"], &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("etcdctl version: 3.7.1\nAPI version: 3.7\nquoratectl version: "),
        "{text}"
    );
}

#[test]
fn completion_scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let output = run(&["completion", shell], &[]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("move-leader"));
    }
    check(&["completion", "tcsh"], 1, "invalid argument");
}
