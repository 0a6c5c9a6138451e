//! Workers of the real binary, which are killed, stopped and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::backend_servers::{Ports, Route};
use crate::ledger::Ledger;

/// Puts the binary into the folder of the test. The test starts it many times, and a build at the same time must not change it.
pub fn install(folder: &Path) {
    let (built, here) = (env!("CARGO_BIN_EXE_brrr-host"), folder.join(PROGRAM));
    if std::fs::hard_link(built, &here).is_err() {
        // Another process makes the copy. If this process had the file open for writing, its forks would have it open
        // too, and then the file could not be run.
        let copied = Command::new("cp").arg(built).arg(&here).status().expect("cp");
        assert!(copied.success(), "a copy of the binary");
    }
}

const PROGRAM: &str = "brrr-host";

/// A command of the installed binary, without the caller's own settings.
pub fn brrr(folder: &Path, ports: &Ports) -> Command {
    let mut command = Command::new(folder.join(PROGRAM));
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["BRRR_", "REDIS_", "AWS_", "DYNAMODB_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    // Compiled once, and not in the user's cache.
    command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
    command.env_remove("RUST_BACKTRACE").envs(ports.environment());
    command
}

/// The guests with the tasks of the jobs.
pub fn guests() -> [PathBuf; 2] {
    ["rust-conformance", "rust-dag"].map(|name| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../build/guests/rust/{name}.wasm"));
        assert!(
            path.exists(),
            "{} is missing: build it with scripts/guests/rust.sh (or `make guests`)",
            path.display()
        );
        path.canonicalize().expect("a path")
    })
}

/// The pause before a worker that ended by itself is started again. A supervisor waits too, so that a starting server
/// is not overloaded.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// A worker. Its process is replaced when it ends.
pub struct Worker {
    pub name: String,
    pub route: Route,
    folder: PathBuf,
    lease: String,
    ledger: Arc<Ledger>,
    process: Option<(Child, JoinHandle<()>)>,
    /// When the worker last ended by itself.
    ended: Option<Instant>,
}

impl Worker {
    pub fn start(name: String, route: Route, folder: &Path, lease: Duration, ledger: Arc<Ledger>) -> Self {
        let lease = format!("{}ms", lease.as_millis());
        let folder = folder.to_owned();
        let mut worker = Self { name, route, folder, lease, ledger, process: None, ended: None };
        worker.begin();
        worker
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn begin(&mut self) {
        let log = File::options().create(true).append(true).open(self.log()).expect("a log");
        let mut command = brrr(&self.folder, &self.route.ports());
        command.arg("run").args(guests()).args(["--lease", &self.lease, "--events", "-"]);
        // No work may be lost that only a repair would find.
        command.args(["--repair-interval", "off"]);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("a worker");
        let (events, ledger) = (child.stdout.take().expect("stdout"), self.ledger.clone());
        self.process = Some((child, std::thread::spawn(move || ledger.read(events))));
    }

    fn signal(&self, signal: Signal) {
        if let Some((child, _)) = &self.process {
            kill_process(Pid::from_child(child), signal).expect("a signal to a process that was not waited for");
        }
    }

    /// Kills the process (`kill -9`) and starts a new one.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.end();
        self.begin();
    }

    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&mut self) {
        self.signal(Signal::CONT);
    }

    /// The status of a process that ended by itself, or `None`. Starts a new process after a pause.
    pub fn tend(&mut self) -> Option<ExitStatus> {
        let Some((child, _)) = &mut self.process else {
            if self.ended.is_none_or(|at| at.elapsed() >= RESTART_PAUSE) {
                self.begin();
            }
            return None;
        };
        child.try_wait().expect("a status")?;
        self.ended = Some(Instant::now());
        self.end()
    }

    /// Asks the process to end, and waits for the end.
    pub fn finish(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        self.end()
    }

    fn end(&mut self) -> Option<ExitStatus> {
        let (mut child, reader) = self.process.take()?;
        let status = child.wait().expect("its end");
        reader.join().expect("its events could be read");
        Some(status)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.signal(Signal::KILL);
            self.end();
        }
    }
}
