//! `quorate gateway start`: a TCP proxy in front of a cluster, for clients that are to know one address only.

use crate::logging;
use crate::tcp_proxy::TcpProxy;
use crate::value;
use client::{Tls, tls_config};
use discovery::{Record, Resolver};
use std::collections::HashSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::{info, warn};

const HELP: &str = "\
Usage:
  quorate gateway start [flags]

Forwards every TCP connection to one of the endpoints that live.

Flags:
  --listen-addr TEXT          [127.0.0.1:23790]
  --endpoints LIST            [127.0.0.1:2379]
  --discovery-srv TEXT        domain whose SRV records name the endpoints, instead of --endpoints
  --discovery-srv-name TEXT   what follows the service's name in these records
  --insecure-discovery        take found endpoints unseen; else only those with TLS and a trusted certificate count
  --trusted-ca-file TEXT      authorities that sign the certificates of found endpoints
  --retry-delay DURATION      [1m0s]  an endpoint that failed is left alone for so long
";

/// What the command line asks for.
#[derive(Clone, PartialEq, Debug)]
struct Options {
    listen: String,
    endpoints: Vec<String>,
    domain: String,
    suffix: String,
    insecure: bool,
    authorities: Option<PathBuf>,
    retry_delay: Duration,
}

/// Runs the command; `args` follow the word `gateway`.
pub fn run(args: impl IntoIterator<Item = String>) -> ExitCode {
    let options = match parse(args) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprint!("Error: {error}\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(log) = logging::Options::new("info", "json", vec!["default".into()]) {
        let _ = logging::init(&log);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(error),
    };
    match runtime.block_on(serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error),
    }
}

fn refuse(error: impl Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// `None` where help is asked for. The word `start` may stand anywhere, as cobra has it.
fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        listen: "127.0.0.1:23790".to_owned(),
        endpoints: vec!["127.0.0.1:2379".to_owned()],
        domain: String::new(),
        suffix: String::new(),
        insecure: false,
        authorities: None,
        retry_delay: Duration::from_secs(60),
    };
    let mut words = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Some(flag) = arg.strip_prefix("--") else {
            match arg.as_str() {
                "-h" => return Ok(None),
                _ if arg.starts_with('-') => return Err(format!("unknown shorthand flag: {arg}")),
                _ => words.push(arg),
            }
            continue;
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        match (name, &inline) {
            ("help", _) => return Ok(None),
            ("insecure-discovery", None) => {
                options.insecure = true;
                continue;
            }
            _ => {}
        }
        let known = [
            "listen-addr",
            "endpoints",
            "discovery-srv",
            "discovery-srv-name",
            "insecure-discovery",
            "trusted-ca-file",
            "retry-delay",
        ];
        if !known.contains(&name) {
            return Err(format!("unknown flag: --{name}"));
        }
        let value = inline.or_else(|| args.next());
        let value = value.ok_or_else(|| format!("flag needs an argument: --{name}"))?;
        let wrong = || format!("invalid argument {value:?} for \"--{name}\" flag");
        match name {
            "listen-addr" => options.listen = value,
            "endpoints" => options.endpoints = value::list(&value),
            "discovery-srv" => options.domain = value,
            "discovery-srv-name" => options.suffix = value,
            "insecure-discovery" => options.insecure = value::boolean(&value).ok_or_else(wrong)?,
            "trusted-ca-file" => {
                options.authorities = Some(value).filter(|file| !file.is_empty()).map(Into::into)
            }
            _ => options.retry_delay = value::duration(&value).ok_or_else(wrong)?,
        }
    }
    match &words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["start"] => Ok(Some(options)),
        [] => Ok(None),
        [other, ..] => Err(format!("unknown command {other:?} for \"quorate gateway\"")),
    }
}

async fn serve(options: Options) -> Result<(), String> {
    let endpoints = endpoints(&options).await?;
    refuse_circle(&options.listen, &endpoints).await?;
    let listener = TcpListener::bind(&options.listen)
        .await
        .map_err(|error| format!("listen tcp {}: {error}", options.listen))?;
    let delay = match options.retry_delay.is_zero() {
        true => Duration::from_secs(300),
        false => options.retry_delay,
    };
    Arc::new(TcpProxy::new(endpoints, delay)).run(listener).await;
    Ok(())
}

async fn endpoints(options: &Options) -> Result<Vec<Record>, String> {
    let found = match options.domain.is_empty() {
        true => Vec::new(),
        false => found(options).await?,
    };
    if !found.is_empty() {
        return Ok(found);
    }
    let given: Result<Vec<_>, _> = options
        .endpoints
        .iter()
        .map(|endpoint| record(endpoint))
        .collect();
    match given? {
        given if given.is_empty() => Err("no endpoints found".to_owned()),
        given => Ok(given),
    }
}

async fn found(options: &Options) -> Result<Vec<Record>, String> {
    let resolver = Resolver::of_system().map_err(|error| error.to_string())?;
    let found = resolver
        .clients(&options.domain, &options.suffix)
        .await
        .map_err(|error| error.to_string())?;
    let urls: Vec<String> = found.iter().map(Record::url).collect();
    info!(domain = options.domain, endpoints = ?urls, "discovered cluster from SRV");
    if options.insecure {
        return Ok(found);
    }
    let mut trusted = Vec::new();
    for record in found {
        match validate(&record, options).await {
            Ok(()) => trusted.push(record),
            Err(error) => warn!(
                endpoint = record.url(),
                error, "failed to validate discovered endpoint"
            ),
        }
    }
    Ok(trusted)
}

/// Whether an endpoint speaks TLS with a certificate for the domain.
async fn validate(record: &Record, options: &Options) -> Result<(), String> {
    if record.scheme != "https" {
        return Err(format!("endpoint {:?} is insecure", record.url()));
    }
    let tls = Tls {
        authorities: options.authorities.clone(),
        ..Tls::default()
    };
    let config = tls_config(&tls, &["h2"]).map_err(|error| error.to_string())?;
    let name =
        rustls::pki_types::ServerName::try_from(options.domain.clone()).map_err(|error| error.to_string())?;
    let stream = TcpStream::connect((record.host.as_str(), record.port))
        .await
        .map_err(|error| error.to_string())?;
    let connected = tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await;
    connected.map(drop).map_err(|error| error.to_string())
}

/// `host:port`, with or without a scheme.
fn record(endpoint: &str) -> Result<Record, String> {
    let address = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, address)| address);
    let parsed = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse().ok()?)));
    let (host, port) = parsed.ok_or_else(|| format!("error parsing endpoint {endpoint:?}"))?;
    Ok(Record {
        scheme: "http",
        host: host.to_owned(),
        port,
        priority: 0,
        weight: 0,
    })
}

/// A gateway in front of itself would fill the machine with connections.
async fn refuse_circle(listen: &str, endpoints: &[Record]) -> Result<(), String> {
    let (host, port) = listen
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse::<u16>().ok()?)))
        .ok_or_else(|| format!("failed to validate listen address: {listen}"))?;
    let own = match host.is_empty() {
        true => HashSet::new(),
        false => addresses(host)
            .await
            .map_err(|_| format!("failed to resolve listen host: {host}"))?,
    };
    for endpoint in endpoints {
        let theirs = addresses(&endpoint.host)
            .await
            .map_err(|_| format!("failed to resolve endpoint host: {}", endpoint.host))?;
        if endpoint.port == port && !own.is_disjoint(&theirs) {
            return Err(format!(
                "SRV or endpoint ({}) should not resolve to the gateway listen addr ({listen})",
                endpoint.address()
            ));
        }
    }
    Ok(())
}

async fn addresses(host: &str) -> std::io::Result<HashSet<IpAddr>> {
    let found = tokio::net::lookup_host((host, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_may_stand_before_and_behind_the_command() {
        let parsed = options("--endpoints=http://a:1,b:2 start --retry-delay 5s")
            .unwrap()
            .unwrap();
        assert_eq!(parsed.endpoints, ["http://a:1", "b:2"]);
        assert_eq!(parsed.retry_delay, Duration::from_secs(5));
        assert_eq!(parsed.listen, "127.0.0.1:23790");
        assert_eq!(options("").unwrap(), None);
        assert_eq!(options("start --help").unwrap(), None);
        assert!(options("stop").unwrap_err().contains("unknown command"));
        assert!(options("start --nonsense").unwrap_err().contains("unknown flag"));
    }

    #[test]
    fn endpoints_may_have_a_scheme() {
        let address = |endpoint| record(endpoint).unwrap().address();
        assert_eq!(address("http://10.0.0.1:2379"), "10.0.0.1:2379");
        assert_eq!(address("localhost:2379"), "localhost:2379");
        assert_eq!(address("[::1]:2379"), "[::1]:2379");
        assert!(record("localhost").is_err());
    }

    #[tokio::test]
    async fn a_gateway_does_not_stand_before_itself() {
        let endpoints = [record("127.0.0.1:23790").unwrap()];
        assert!(refuse_circle("localhost:23790", &endpoints).await.is_err());
        assert!(refuse_circle("127.0.0.1:23791", &endpoints).await.is_ok());
    }
}
