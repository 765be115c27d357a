//! What the operating system and the servers' own metrics say about the servers.

use crate::clock::SECOND;
use crate::options::Options;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Ticks of /proc/PID/stat in a second; Linux has no other value on the machines this runs on.
const TICKS: u64 = 100;

/// The processes and endpoints whose books are read.
pub struct Server {
    pids: Vec<u32>,
    endpoints: Vec<String>,
}

/// Totals since the servers' start, over all of them.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Books {
    /// Processor time of the servers, nanoseconds.
    pub cpu: u64,
    /// Processor time of this process, nanoseconds.
    pub own_cpu: u64,
    /// Resident memory now, bytes.
    pub rss: u64,
    /// The most it ever was, bytes.
    pub peak_rss: u64,
    /// Bytes sent to disks.
    pub written: u64,
    /// Syncs of the log.
    pub fsyncs: u64,
    /// Whether processes were named.
    pub processes: bool,
}

impl Server {
    /// Those that the options name.
    pub fn new(options: &Options) -> Server {
        Server {
            pids: options.server_pid.clone(),
            endpoints: options.endpoints.clone(),
        }
    }

    /// How long ago the first process was started, nanoseconds, to a hundredth of a second.
    pub fn age(&self) -> Option<u64> {
        let pid = self.pids.first()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        Some(((uptime * SECOND as f64) as u64).saturating_sub(parse_start(&stat)?))
    }

    /// What the books say now; nothing where they cannot be read.
    pub fn books(&self) -> Books {
        let mut books = Books {
            own_cpu: cpu("self").unwrap_or_default(),
            processes: !self.pids.is_empty(),
            ..Books::default()
        };
        for pid in &self.pids {
            let pid = pid.to_string();
            books.cpu += cpu(&pid).unwrap_or_default();
            books.rss += named(&pid, "status", "VmRSS:").unwrap_or_default() * 1024;
            books.peak_rss += named(&pid, "status", "VmHWM:").unwrap_or_default() * 1024;
            books.written += named(&pid, "io", "write_bytes:").unwrap_or_default();
        }
        for endpoint in &self.endpoints {
            books.fsyncs += metrics(endpoint)
                .and_then(|text| value(&text, "etcd_disk_wal_fsync_duration_seconds_count"))
                .unwrap_or_default() as u64;
        }
        books
    }
}

/// User and system time of a process, nanoseconds.
fn cpu(pid: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_cpu(&stat)
}

fn parse_cpu(stat: &str) -> Option<u64> {
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks * (SECOND / TICKS))
}

/// When a process was started, nanoseconds since that of the machine.
fn parse_start(stat: &str) -> Option<u64> {
    // The 20th field after the name.
    let ticks: u64 = stat
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(19)?
        .parse()
        .ok()?;
    Some(ticks * (SECOND / TICKS))
}

fn named(pid: &str, file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The text of an endpoint's metrics.
fn metrics(endpoint: &str) -> Option<String> {
    let authority = endpoint
        .strip_prefix("http://")
        .unwrap_or(endpoint)
        .trim_end_matches('/');
    let address = authority.to_socket_addrs().ok()?.next()?;
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).ok()?;
    let mut text = Vec::new();
    socket.read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The value of a metric without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_spaces() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 90 0 0 0 150 25 0 0 20 0 9 0 100";
        assert_eq!(parse_cpu(stat), Some(1_750_000_000));
        assert_eq!(parse_start(stat), Some(SECOND));
    }

    #[test]
    fn a_process_has_an_age() {
        let server = Server {
            pids: vec![std::process::id()],
            endpoints: Vec::new(),
        };
        assert!(server.age().is_some_and(|age| age < 3_600 * SECOND));
    }

    #[test]
    fn a_metric_is_not_mistaken_for_one_with_a_longer_name() {
        let text = "# TYPE a_count counter\na_count_total 9\na_count 12\n";
        assert_eq!(value(text, "a_count"), Some(12.0));
        assert_eq!(value(text, "a"), None);
    }

    #[test]
    fn the_own_process_has_books() {
        assert!(cpu("self").is_some());
        assert!(named("self", "status", "VmRSS:").is_some_and(|size| size > 0));
    }
}
