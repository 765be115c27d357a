//! What all commands need: a client and a printer.

use crate::cli::{Command, Global, Invocation, variable};
use crate::exit::{Failure, Result};
use crate::go;
use crate::print::{Format, Printer, Report};
use client::pb::etcdserverpb::{MemberListRequest, ResponseHeader};
use client::{Client, Options, Tls};
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::Duration;

/// The global flags, understood.
pub struct Context {
    pub printer: Printer,
    /// `--command-timeout`.
    pub timeout: Duration,
    /// Whether that was given, and is not just the default.
    pub timeout_given: bool,
    pub endpoints: Vec<String>,
    options: Options,
}

impl Context {
    pub async fn new(invocation: Invocation) -> Result<(Context, Command)> {
        let global = &invocation.global;
        if global.debug {
            show_flags(global);
        }
        for flag in ["cert", "key", "cacert"] {
            let value = match flag {
                "cert" => &global.cert,
                "key" => &global.key,
                _ => &global.cacert,
            };
            if value.is_empty() && invocation.gives(flag) {
                let message = format!("empty string is passed to --{flag} option");
                return Err(Failure::arguments(message));
            }
        }
        let format = Format::parse(&global.write_out)?;
        let mut endpoints = discovered(global).await?;
        if endpoints.is_empty() {
            let given = global.endpoints.iter();
            endpoints = given.map(|endpoint| endpoint.trim().to_owned()).collect();
        }
        let context = Context {
            printer: Printer {
                format,
                hex: global.hex,
                value_only: false,
            },
            timeout: global.command_timeout,
            timeout_given: invocation.gives("command-timeout"),
            options: options(global)?,
            endpoints,
        };
        Ok((context, invocation.command))
    }

    /// A client for all endpoints; every call has the command's time.
    pub async fn client(&self) -> Result<Client> {
        self.client_of(self.endpoints.clone()).await
    }

    /// A client for one endpoint.
    pub async fn client_at(&self, endpoint: &str) -> Result<Client> {
        self.client_of(vec![endpoint.to_owned()]).await
    }

    /// A client that waits for answers as long as it takes.
    pub async fn patient_client(&self) -> Result<Client> {
        Ok(self.client().await?.with_timeout(None))
    }

    async fn client_of(&self, endpoints: Vec<String>) -> Result<Client> {
        let options = Options {
            endpoints,
            ..self.options.clone()
        };
        let client = connect(options).await?;
        Ok(client.with_timeout(Some(self.timeout)))
    }

    /// A client for another cluster, with what else the flags say.
    pub async fn client_with(&self, change: impl FnOnce(&mut Options)) -> Result<Client> {
        let mut options = self.options.clone();
        change(&mut options);
        Ok(connect(options).await?.with_timeout(None))
    }

    /// The endpoints of the flag, or with `--cluster` those of all members.
    pub async fn endpoints(&self, cluster: bool) -> Result<Vec<String>> {
        if !cluster {
            return Ok(self.endpoints.clone());
        }
        let request = MemberListRequest { linearizable: true };
        let members = self.client().await?.member_list(request).await.map_err(|error| {
            Failure::error(format!(
                "failed to fetch endpoints from etcd cluster member list: {error}"
            ))
        })?;
        Ok(members
            .members
            .into_iter()
            .flat_map(|member| member.client_urls)
            .collect())
    }

    /// Shows a response.
    pub fn print(&self, report: Report) -> Result {
        write_out(&self.printer.render(&report)?)
    }
}

/// Endpoints of the SRV records that the flags name; none without a domain.
async fn discovered(global: &Global) -> Result<Vec<String>> {
    if global.discovery_srv.is_empty() {
        return Ok(Vec::new());
    }
    let resolver = discovery::Resolver::of_system().map_err(Failure::error)?;
    let found = resolver
        .clients(&global.discovery_srv, &global.discovery_srv_name)
        .await
        .map_err(Failure::error)?;
    let mut endpoints = Vec::new();
    for record in found {
        let url = record.url();
        if record.scheme == "https" || global.insecure_discovery {
            endpoints.push(url);
        } else {
            eprintln!(
                "ignoring discovered insecure endpoint {}",
                go::quote(url.as_bytes())
            );
        }
    }
    Ok(endpoints)
}

async fn connect(options: Options) -> Result<Client> {
    Client::connect(options).await.map_err(|error| match error {
        client::Error::Endpoint { .. } | client::Error::Certificate { .. } => Failure::arguments(error),
        _ => Failure::connection(error),
    })
}

/// Writes to the standard output, at once.
pub fn write_out(bytes: &[u8]) -> Result {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        // Whoever read has seen enough. The code is a shell's for a program that SIGPIPE ended.
        ErrorKind::BrokenPipe => Failure::silent(141),
        _ => Failure::io(error),
    })
}

/// Writes a line to the standard output.
pub fn say(line: impl std::fmt::Display) -> Result {
    write_out(format!("{line}\n").as_bytes())
}

fn options(global: &Global) -> Result<Options> {
    let or_default = |bytes: usize, default: usize| if bytes == 0 { default } else { bytes };
    let defaults = Options::default();
    Ok(Options {
        endpoints: Vec::new(),
        dial_timeout: global.dial_timeout,
        // For connecting; each command sets its own.
        timeout: (!global.dial_timeout.is_zero()).then_some(global.dial_timeout),
        keep_alive: Some((global.keepalive_time, global.keepalive_timeout)),
        request_bytes_max: or_default(global.max_request_bytes, defaults.request_bytes_max),
        response_bytes_max: or_default(global.max_recv_bytes, defaults.response_bytes_max),
        credentials: credentials(
            &global.user,
            &global.password,
            &global.auth_jwt_token,
            "Password: ",
        )?,
        token: (!global.auth_jwt_token.is_empty()).then(|| global.auth_jwt_token.clone()),
        tls: tls(global)?,
    })
}

/// User and password of flags; asks for a password that is in neither.
pub fn credentials(
    user: &str,
    password: &str,
    token: &str,
    prompt: &str,
) -> Result<Option<(String, String)>> {
    if user.is_empty() || !token.is_empty() {
        return Ok(None);
    }
    if !password.is_empty() {
        return Ok(Some((user.to_owned(), password.to_owned())));
    }
    Ok(Some(match user.split_once(':') {
        Some((user, password)) => (user.to_owned(), password.to_owned()),
        None => (user.to_owned(), ask_password(prompt)?),
    }))
}

fn tls(global: &Global) -> Result<Option<Tls>> {
    let identity = identity(&global.cert, &global.key)?;
    let unverified = global.insecure_skip_tls_verify
        && global
            .endpoints
            .iter()
            .any(|endpoint| endpoint.starts_with("https://"));
    let asked = identity.is_some() || !global.cacert.is_empty() || !global.insecure_transport || unverified;
    Ok(asked.then(|| Tls {
        authorities: (!global.cacert.is_empty()).then(|| global.cacert.clone().into()),
        identity,
        server_name: None,
        insecure_skip_verify: global.insecure_skip_tls_verify,
    }))
}

/// Certificate and key, which make sense only together.
pub fn identity(cert: &str, key: &str) -> Result<Option<(std::path::PathBuf, std::path::PathBuf)>> {
    match (cert, key) {
        ("", "") => Ok(None),
        (cert, key) if !cert.is_empty() && !key.is_empty() => Ok(Some((cert.into(), key.into()))),
        _ => Err(Failure::arguments(format!(
            "KeyFile and CertFile must both be present[key: {key}, cert: {cert}]"
        ))),
    }
}

/// Asks on the terminal, without showing what is typed. Not on a terminal, reads a line.
pub fn ask_password(prompt: &str) -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    write_out(prompt.as_bytes())?;
    let stdin = std::io::stdin();
    let shown = if stdin.is_terminal() {
        tcgetattr(&stdin).ok()
    } else {
        None
    };
    if let Some(shown) = &shown {
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(Failure::io)?;
    }
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    if let Some(shown) = &shown {
        tcsetattr(&stdin, OptionalActions::Flush, shown).map_err(Failure::io)?;
        say("")?;
    }
    read.map_err(Failure::io)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn show_flags(global: &Global) {
    let mut flags = vec![
        ("endpoints", format!("[{}]", global.endpoints.join(","))),
        ("write-out", global.write_out.clone()),
        ("hex", global.hex.to_string()),
        ("dial-timeout", go::format_duration(global.dial_timeout)),
        ("command-timeout", go::format_duration(global.command_timeout)),
        ("keepalive-time", go::format_duration(global.keepalive_time)),
        ("keepalive-timeout", go::format_duration(global.keepalive_timeout)),
        ("max-request-bytes", global.max_request_bytes.to_string()),
        ("max-recv-bytes", global.max_recv_bytes.to_string()),
        ("insecure-transport", global.insecure_transport.to_string()),
        ("insecure-discovery", global.insecure_discovery.to_string()),
        (
            "insecure-skip-tls-verify",
            global.insecure_skip_tls_verify.to_string(),
        ),
        ("cert", global.cert.clone()),
        ("key", global.key.clone()),
        ("cacert", global.cacert.clone()),
        ("auth-jwt-token", global.auth_jwt_token.clone()),
        ("user", global.user.clone()),
        ("password", global.password.clone()),
        ("discovery-srv", global.discovery_srv.clone()),
        ("discovery-srv-name", global.discovery_srv_name.clone()),
        ("debug", global.debug.to_string()),
    ];
    flags.sort();
    for (flag, value) in flags {
        eprintln!("{}={value}", variable(flag));
    }
}

/// The revision in a header.
pub fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}
