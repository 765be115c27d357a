//! Sockets: connections to the endpoints, and one loop that moves their bytes.

use crate::clock::{self, Nanos};
use crate::http2::{Connection, Event, Failure, What, Windows};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::ToSocketAddrs;
use std::time::Duration;

const READ: usize = 256 * 1024;

/// The longest the loop sleeps before it looks whether it should end.
const PATIENCE: Nanos = 20_000_000;

/// What a thread does with its connections.
pub trait Load {
    /// Begins calls.
    fn start(&mut self, wire: &mut Wire, now: Nanos);
    /// A message came for the call with this tag.
    fn message(&mut self, tag: u64, message: &[u8], now: Nanos);
    /// After that message, or after the end of the call: the moment to go on.
    fn proceed(&mut self, wire: &mut Wire, at: At, end: Option<Result<(), Failure>>, now: Nanos);
    /// Does what is due; returns when it wants to be called again at the latest.
    fn due(&mut self, wire: &mut Wire, now: Nanos) -> Option<Nanos>;
    /// Whether all is done.
    fn finished(&self) -> bool;
}

/// A call: its connection, its stream, and the tag it was given.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub connection: usize,
    pub stream: u32,
    pub tag: u64,
}

struct Line {
    socket: TcpStream,
    connection: Connection,
    /// Set for a reader that has stopped reading.
    deaf: bool,
}

/// The connections of one thread.
pub struct Wire {
    poll: Poll,
    lines: Vec<Line>,
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects `count` times, to the endpoints in turn.
    pub fn connect(endpoints: &[String], count: usize, windows: Windows) -> io::Result<Wire> {
        let mut wire = Wire {
            poll: Poll::new()?,
            lines: Vec::new(),
            buffer: vec![0; READ],
        };
        for endpoint in endpoints.iter().cycle().take(count) {
            wire.add(endpoint, windows)?;
        }
        Ok(wire)
    }

    /// One more connection; returns its number.
    pub fn add(&mut self, endpoint: &str, windows: Windows) -> io::Result<usize> {
        let authority = endpoint
            .strip_prefix("http://")
            .unwrap_or(endpoint)
            .trim_end_matches('/');
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("{endpoint}: {error}"));
        let address = authority
            .to_socket_addrs()
            .map_err(failed)?
            .next()
            .ok_or_else(|| io::Error::other(format!("{endpoint} has no address")))?;
        let socket =
            std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)).map_err(failed)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        let number = self.lines.len();
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut socket, Token(number), interest)?;
        self.lines.push(Line {
            socket,
            connection: Connection::new(authority, windows),
            deaf: false,
        });
        Ok(number)
    }

    /// Connections.
    pub fn connections(&self) -> usize {
        self.lines.len()
    }

    /// Begins a call, see [`Connection::call`].
    pub fn call(
        &mut self,
        connection: usize,
        path: &'static str,
        tag: u64,
        message: &[u8],
        last: bool,
    ) -> At {
        let stream = self.lines[connection].connection.call(path, tag, message, last);
        At {
            connection,
            stream,
            tag,
        }
    }

    /// Sends a further message of a call.
    pub fn send(&mut self, at: At, message: &[u8]) {
        self.lines[at.connection]
            .connection
            .send(at.stream, message, false);
    }

    /// Gives a call up.
    pub fn cancel(&mut self, at: At) {
        self.lines[at.connection].connection.cancel(at.stream);
    }

    /// Stops reading from a connection: its server finds its own buffers full.
    pub fn stop_reading(&mut self, connection: usize) {
        self.lines[connection].deaf = true;
    }

    /// Runs the load to its end, or until `stop` says so.
    pub fn run(&mut self, load: &mut impl Load, stop: impl Fn() -> bool) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        load.start(self, clock::now());
        loop {
            let now = clock::now();
            let wake = load.due(self, now).unwrap_or(now + PATIENCE).min(now + PATIENCE);
            for number in 0..self.lines.len() {
                self.flush(number)?;
            }
            if load.finished() || stop() {
                return Ok(());
            }
            let wait = wake.saturating_sub(clock::now());
            // The kernel waits whole milliseconds: what is due sooner is worth a look at the sockets, no sleep.
            let wait = if wait < 1_000_000 { 0 } else { wait };
            match self.poll.poll(&mut events, Some(Duration::from_nanos(wait))) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                let number = event.token().0;
                if event.is_readable() && !self.lines[number].deaf {
                    self.read(number, load)?;
                }
            }
        }
    }

    fn read(&mut self, number: usize, load: &mut impl Load) -> io::Result<()> {
        loop {
            let line = &mut self.lines[number];
            let received = match line.socket.read(&mut self.buffer) {
                Ok(0) => {
                    line.connection.lost("the server closed the connection");
                    0
                }
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    line.connection.lost(&error.to_string());
                    0
                }
            };
            line.connection.receive(&self.buffer[..received]);
            let now = clock::now();
            while let Some(Event { tag, stream, what }) = self.lines[number].connection.next_event() {
                let at = At {
                    connection: number,
                    stream,
                    tag,
                };
                let end = match what {
                    What::Message(body) => {
                        load.message(tag, self.lines[number].connection.bytes(&body), now);
                        None
                    }
                    What::End(result) => Some(result),
                };
                load.proceed(self, at, end, now);
            }
            if received == 0 {
                return Err(io::Error::other("a server closed a connection; see its log"));
            }
            self.flush(number)?;
            if received < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn flush(&mut self, number: usize) -> io::Result<()> {
        let line = &mut self.lines[number];
        let output = line.connection.output();
        let mut sent = 0;
        while sent < output.len() {
            match line.socket.write(&output[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        output.drain(..sent);
        Ok(())
    }
}
