//! One server process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A member: where it listens, where its files are, and its process while it runs.
pub struct Member {
    /// Name in member lists.
    pub name: String,
    /// Port for clients.
    pub client_port: u16,
    /// Port for peers.
    pub peer_port: u16,
    /// `http` or `https`, for clients and for peers.
    pub(crate) schemes: [&'static str; 2],
    /// Address to listen at.
    pub(crate) host: String,
    dir: PathBuf,
    args: Vec<String>,
    /// Flags of the test's own.
    pub(crate) flags: Vec<String>,
    program: Program,
    process: Option<Child>,
    starts: u32,
}

/// What is started, where it is not the server as it is.
#[derive(Clone, Default)]
struct Program {
    binary: Option<PathBuf>,
    prefix: Vec<String>,
    env: Vec<(String, String)>,
}

/// How a process that was not meant to live ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output and error together.
    pub output: String,
}

/// The server under test: `QUORATE_BIN`, else the binary beside this test's own.
pub fn server_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own path");
    let binary = test
        .parent()
        .and_then(Path::parent)
        .expect("tests lie two levels deep")
        .join("quorate");
    assert!(
        binary.exists(),
        "{} is missing: cargo build --bin quorate",
        binary.display()
    );
    binary
}

/// Another program: the one that the variable names, else the one beside the server.
pub fn binary(variable: &str, name: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => server_binary().with_file_name(name),
    }
}

impl Member {
    pub(crate) fn new(name: &str, root: &Path, ports: [u16; 2]) -> Member {
        let [client_port, peer_port] = ports;
        let dir = root.join(name);
        std::fs::create_dir_all(&dir).expect("a directory for the member");
        Member {
            name: name.to_owned(),
            client_port,
            peer_port,
            schemes: ["http", "http"],
            host: "127.0.0.1".to_owned(),
            dir,
            args: Vec::new(),
            flags: Vec::new(),
            program: Program::default(),
            process: None,
            starts: 0,
        }
    }

    /// URL for clients.
    pub fn endpoint(&self) -> String {
        format!("{}://{}:{}", self.schemes[0], self.host, self.client_port)
    }

    /// URL for peers.
    pub fn peer_url(&self) -> String {
        format!("{}://{}:{}", self.schemes[1], self.host, self.peer_port)
    }

    /// Where its data is.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts another binary from now on.
    pub fn set_binary(&mut self, binary: &Path) {
        self.program.binary = Some(binary.to_owned());
    }

    /// Starts it with a command before it from now on, `ip netns exec …` say, which must become the process itself.
    pub fn set_prefix(&mut self, command: &[&str]) {
        self.program.prefix = command.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Sets the whole of its own environment variables from now on; they come on top of the test's.
    pub fn set_env(&mut self, env: &[(&str, &str)]) {
        let owned = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.program.env = owned.collect();
    }

    pub(crate) fn set_args(&mut self, initial_cluster: &str, state: &str, extra: &[String]) {
        self.args = vec![
            format!("--name={}", self.name),
            format!("--data-dir={}", self.data_dir().display()),
            format!("--listen-client-urls={}", self.endpoint()),
            format!("--advertise-client-urls={}", self.endpoint()),
            format!("--listen-peer-urls={}", self.peer_url()),
            format!("--initial-advertise-peer-urls={}", self.peer_url()),
            format!("--initial-cluster={initial_cluster}"),
            format!("--initial-cluster-state={state}"),
            "--initial-cluster-token=test".to_owned(),
        ];
        self.args.extend_from_slice(extra);
    }

    /// Has `quoratectl` write a snapshot of it to a file.
    pub fn save_snapshot(&self, file: &Path) {
        let output = Command::new(binary("QUORATECTL_BIN", "quoratectl"))
            .args(["--endpoints", &self.endpoint(), "snapshot", "save"])
            .arg(file)
            .output()
            .expect("quoratectl runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }

    /// Takes a flag away, and adds others.
    pub fn replace_flag(&mut self, name: &str, with: &[String]) {
        let flag = format!("--{name}=");
        self.args.retain(|arg| !arg.starts_with(&flag));
        self.args.extend_from_slice(with);
    }

    /// Starts the process and returns at once.
    pub fn start(&mut self) {
        assert!(!self.is_running(), "{} runs already", self.name);
        self.starts += 1;
        let log = File::create(self.log_path(self.starts)).expect("a log file");
        let Program { binary, prefix, env } = &self.program;
        let binary = binary.clone().unwrap_or_else(server_binary);
        let mut command = match prefix.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let process = command
            .args(&self.args)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .env_remove("ETCD_UNSUPPORTED_ARCH")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle on the log"))
            .stderr(log)
            .spawn()
            .expect("the server binary starts");
        self.process = Some(process);
    }

    /// Whether the process lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None)))
    }

    /// SIGKILL: no goodbye, nothing flushed.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// SIGTERM, then waits for the end; panics if it takes longer than ten seconds.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait(Duration::from_secs(10)).await
    }

    /// Its status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.as_mut()?.try_wait().ok()??;
        self.process = None;
        Some(status)
    }

    /// Waits for the process to end by itself.
    pub async fn wait(&mut self, within: Duration) -> ExitStatus {
        let mut process = self.process.take().expect("the member was started");
        let deadline = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = process.try_wait().expect("a child can be waited for") {
                return status;
            }
            if tokio::time::Instant::now() > deadline {
                let _ = process.kill();
                panic!("{} lives on after {within:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// SIGSTOP: the process stands still, its sockets stay open.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let process = self.process.as_ref().expect("the member was started");
        let pid = rustix::process::Pid::from_raw(process.id() as i32).expect("a process id is not 0");
        rustix::process::kill_process(pid, signal).expect("a child can be signalled");
    }

    fn log_path(&self, start: u32) -> PathBuf {
        self.dir.join(format!("log.{start}"))
    }

    /// Memory of the process, in MiB: what it holds now, and the most it ever held.
    pub fn memory(&self) -> [u64; 2] {
        let status = self.proc("status");
        ["VmRSS:", "VmHWM:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
            kilobytes.unwrap_or(0u64) / 1024
        })
    }

    /// How many files and sockets the process has open.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(self.proc_path("fd")).map_or(0, Iterator::count)
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(self.proc_path(file)).unwrap_or_default()
    }

    fn proc_path(&self, file: &str) -> PathBuf {
        let process = self.process.as_ref().expect("the member was started");
        PathBuf::from(format!("/proc/{}/{file}", process.id()))
    }

    /// Everything the process printed since its last start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path(self.starts)).unwrap_or_default()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Runs the server with arguments of its own, for starts that are meant to fail.
    pub fn run_to_end(args: &[&str]) -> Outcome {
        let output = Command::new(server_binary())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let text = [output.stdout, output.stderr].concat();
        Outcome {
            status: output.status,
            output: String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- last lines of {}:\n{}", self.name, self.log_tail());
        }
    }
}
