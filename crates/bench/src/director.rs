//! Takes a load through its phases: starts its threads, says when a phase ends, and reads the server's books before and
//! after each.

use crate::clock::{self, Nanos, SECOND};
use crate::http2::Windows;
use crate::options::Options;
use crate::outcome::{Outcome, Phase};
use crate::pace::Pace;
use crate::progress::Progress;
use crate::server::{Books, Server};
use crate::stage::Stage;
use crate::stats::{Digest, Tally};
use crate::unary::{Plan, Seen, Unary};
use crate::wire::Wire;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// What a load is made of.
pub struct Job<'a> {
    /// Connections, over all threads.
    pub connections: usize,
    /// Clients, over all threads.
    pub clients: usize,
    /// Operations a second; `None` for a closed loop.
    pub rate: Option<f64>,
    /// Operations to do; `None` for as long as the script takes.
    pub total: Option<u64>,
    /// Makes the plan of a thread.
    pub plan: &'a dyn Fn(usize) -> Box<dyn Plan>,
}

impl<'a> Job<'a> {
    /// What the options say.
    pub fn new(options: &Options, plan: &'a dyn Fn(usize) -> Box<dyn Plan>) -> Job<'a> {
        Job {
            connections: options.conns,
            clients: options.clients,
            rate: options.rate,
            total: options.total,
            plan,
        }
    }
}

/// A load that runs.
pub struct Director {
    stage: Arc<Stage>,
    server: Server,
    progress: Progress,
    ended: Receiver<Result<Seen>>,
    threads: usize,
    seen: Vec<Seen>,
    total: Option<u64>,
    /// When the first phase of a bounded load began, and the books then.
    begun: Option<(Nanos, Books)>,
    /// Name, length, books before and after; by phase, from 1.
    phases: Vec<(String, Nanos, Books, Books)>,
}

impl Director {
    /// Starts the threads of a load. The first phase of a bounded one begins here: its operations might be done before
    /// the caller gets to say so.
    pub fn start(options: &Options, job: &Job<'_>) -> Result<Director> {
        let stage = Arc::new(Stage::default());
        let server = Server::new(options);
        let begun = job.total.map(|_| {
            stage.advance();
            (clock::now(), server.books())
        });
        let threads = options.threads.clamp(1, job.clients.max(1));
        let (report, ended) = mpsc::sync_channel(threads);
        let share = |all: usize, thread: usize| all / threads + usize::from(thread < all % threads);
        for thread in 0..threads {
            let clients = share(job.clients, thread);
            let connections = share(job.connections, thread).clamp(1, clients.max(1));
            let mut wire = Wire::connect(&options.endpoints, connections, Windows::WIDE)?;
            let pace = Pace::new(job.rate, thread, threads, clock::now());
            let place = (thread, threads);
            let mut unary = Unary::new((job.plan)(thread), pace, clients, place, job.total, stage.clone());
            let report = report.clone();
            let name = format!("clients-{thread}");
            std::thread::Builder::new().name(name).spawn(move || {
                let result = wire.run(&mut unary, || false).map(|()| unary.seen());
                // Nobody listens any more where another thread failed first.
                let _ = report.send(result.map_err(Error::from));
            })?;
        }
        Ok(Director {
            stage,
            server,
            progress: Progress::new(),
            ended,
            threads,
            seen: Vec::new(),
            total: job.total,
            begun,
            phases: Vec::new(),
        })
    }

    /// Lets the load run without counting it.
    pub fn warm_up(&mut self, seconds: f64) -> Result<()> {
        self.wait("warm-up", Some(clock::seconds(seconds)))
    }

    /// Lets the load run for a time, or until its operations are done if they are bounded.
    pub fn phase(&mut self, name: &str, seconds: f64) -> Result<()> {
        self.during(name, |director| {
            let time = director.total.is_none().then(|| clock::seconds(seconds));
            director.wait(name, time)
        })
    }

    /// Lets the load run while something else is done.
    pub fn during<T>(&mut self, name: &str, act: impl FnOnce(&mut Director) -> Result<T>) -> Result<T> {
        let (start, before) = match self.begun.take() {
            Some(begun) => begun,
            None => {
                let before = self.server.books();
                self.stage.advance();
                (clock::now(), before)
            }
        };
        let result = act(self)?;
        let length = clock::now() - start;
        let after = self.server.books();
        self.phases.push((name.to_owned(), length, before, after));
        Ok(result)
    }

    /// Waits until the time is over or all operations are done.
    pub fn wait(&mut self, name: &str, time: Option<Nanos>) -> Result<()> {
        let start = clock::now();
        while self.seen.len() < self.threads {
            let passed = clock::now() - start;
            if time.is_some_and(|time| passed >= time) {
                return Ok(());
            }
            let completed = self.stage.completed.load(Relaxed);
            let share = match (time, self.total) {
                (Some(time), _) => passed as f64 / time as f64,
                (None, Some(total)) => completed as f64 / total.max(1) as f64,
                (None, None) => 0.0,
            };
            self.progress.show(name, share, completed);
            let rest = time.map_or(SECOND, |time| time - passed).min(SECOND / 10);
            match self.ended.recv_timeout(Duration::from_nanos(rest)) {
                Ok(seen) => self.seen.push(seen?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Error::Thread),
            }
        }
        Ok(())
    }

    /// Ends the load and puts together what its threads saw. The last phase lasts until its last operation is answered:
    /// what a stalled server still owes would otherwise be missing from both the time and the latencies.
    pub fn finish(mut self) -> Result<Outcome> {
        let start = clock::now();
        self.stage.end();
        while self.seen.len() < self.threads {
            self.seen.push(self.ended.recv().map_err(|_| Error::Thread)??);
        }
        if let Some((_, length, _, after)) = self.phases.last_mut() {
            *length += clock::now() - start;
            *after = self.server.books();
        }
        let mut digest = Digest::default();
        let mut tallies: Vec<Tally> = vec![Tally::default(); self.phases.len() + 1];
        for seen in self.seen {
            digest.merge(seen.digest);
            for (tally, seen) in tallies.iter_mut().zip(seen.tallies) {
                tally.merge(seen);
            }
        }
        let phases = self.phases.into_iter().zip(tallies.into_iter().skip(1));
        Ok(Outcome {
            hash: digest.text(),
            phases: phases
                .map(|((name, length, before, after), tally)| {
                    Phase::new(&name, length, tally).with_books(&before, &after)
                })
                .collect(),
            ..Outcome::default()
        })
    }
}

/// The usual run: a warm-up, then one phase.
pub fn measure(options: &Options, plan: &dyn Fn(usize) -> Box<dyn Plan>) -> Result<Outcome> {
    let mut director = Director::start(options, &Job::new(options, plan))?;
    if options.total.is_none() {
        director.warm_up(options.warmup)?;
    }
    director.phase("run", options.seconds)?;
    director.finish()
}
