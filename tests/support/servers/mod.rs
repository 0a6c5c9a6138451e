//! Real servers for the suites. A test program starts the servers that it needs, on free ports of loopback. The servers
//! end with the program, however it ends.

// Each suite is a separate program and uses a part of this module.
#![allow(dead_code, reason = "each suite uses a part")]

pub mod dynamodb;
pub mod elasticmq;
pub mod java;
pub mod redis;

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Java needs seven seconds to start on an idle machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server that runs until this value is dropped or the program ends.
pub struct Server {
    pub port: u16,
    /// The shell that watches the server. It ends the server when its stdin is closed, also by the end of this program.
    watcher: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `program` with `args`, and returns when `ready` says that the server on this port is ready.
    ///
    /// # Panics
    /// If the server can't be started, ends early or is not ready in time. The message has what the server printed.
    pub fn start(port: u16, program: &Path, args: &[String], ready: impl Fn(u16) -> bool) -> Self {
        Self::start_in(&[], port, program, args, ready)
    }

    /// The same, with these variables in the server's environment.
    pub fn start_in(
        variables: &[(&str, String)],
        port: u16,
        program: &Path,
        args: &[String],
        ready: impl Fn(u16) -> bool,
    ) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let log = std::env::temp_dir().join(format!("brrr-{name}-{}-{port}.log", std::process::id()));
        let output = File::create(&log).expect("a log file");
        let watcher = Command::new("sh")
            .args(["-c", r#""$@" & trap "kill -9 $! 2>/dev/null" EXIT; read -r _"#, "sh"])
            .arg(program)
            .args(args)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a log file"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let server = Self { port, watcher, log };
        let start = Instant::now();
        while !ready(port) {
            assert!(start.elapsed() < PATIENCE, "{} is not ready:\n{}", program.display(), server.printed());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        // The shell ends after its stdin is closed. Then the server has ended too.
        let _ = self.watcher.wait();
        let _ = std::fs::remove_file(&self.log);
    }
}

/// A port on which no process listens now. It is not one of the ports that the system gives to outgoing connections.
/// Otherwise a client that repeatedly connects to a stopped server could be given the server's own port. It would then
/// be connected to itself, and the server could not start again.
pub fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(10_000..32_768)).take(1_000);
    ports.find(|port| is_ours(*port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

/// Takes a port for this program. Another program of the tests, which may pick the same port before a server listens on it, then
/// takes another one.
fn is_ours(port: u16) -> bool {
    let folder = std::env::temp_dir().join("brrr-ports");
    let lock = std::fs::create_dir_all(&folder).and_then(|()| File::create(folder.join(port.to_string())));
    // Without a place for locks, as before: most ports are free.
    let Ok(lock) = lock else { return true };
    let is_ours = lock.try_lock().is_ok();
    // The lock is held until the program ends.
    std::mem::forget(lock);
    is_ours
}

/// Whether a process listens on this port.
pub fn listens(port: u16) -> bool {
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The folder in which `scripts/setup` installs its files.
pub fn installed(path: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().find(|folder| folder.join("Makefile").exists());
    root.unwrap_or(package).join("build/servers").join(path)
}

/// Says that a server is not available here. In CI this is a failure.
pub fn missing(what: &str, script: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing: run {script}");
    eprintln!("SKIPPED: {what} is missing: run {script}");
}
