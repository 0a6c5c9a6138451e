//! A temporary folder with a binary to run in it.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use brrr_protocol::ports::Backend;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Nothing here takes this long, even on a busy machine, unless it hangs.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub const TOPIC: &str = "demo";

/// The path of the Rust conformance guest.
pub fn guest() -> PathBuf {
    static COMPILED: Once = Once::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests/rust/rust-conformance.wasm");
    assert!(path.exists(), "{} is missing: build it with scripts/guests/rust.sh (or `make guests`)", path.display());
    let path = path.canonicalize().expect("a path");
    // Compiled once, so that tests that run at the same time do not all compile it.
    COMPILED.call_once(|| {
        Env::new().run(["inspect", path.to_str().expect("UTF-8")]).ok();
    });
    path
}

/// A folder, and the settings for all commands that run in it.
pub struct Env {
    folder: TempDir,
    program: PathBuf,
    user: Option<u32>,
    settings: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// The most MiB that the command had resident, as far as the samples show.
    pub peak: u64,
    pub stdout: String,
    pub stderr: String,
}

impl Env {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("brrr-cli-").tempdir().expect("a temporary folder");
        Self { folder, program: env!("CARGO_BIN_EXE_brrr-host").into(), user: None, settings: Vec::new() }
    }

    /// Sets a variable in the environment of all later commands.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.settings.push((name.to_owned(), value.into()));
    }

    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
    }

    pub fn is_on_sqlite(&self) -> bool {
        self.setting("BRRR_STORE").is_none() && self.setting("REDIS_URL").is_none()
    }

    /// A new folder with the same settings.
    pub fn again(&self) -> Self {
        Self { settings: self.settings.clone(), ..Self::new() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Runs all later commands as this user, from a copy of the binary that this user can read.
    pub fn become_user(&mut self, user: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        self.leave_home();
        open(self.folder.path());
        open(&self.program);
        self.user = Some(user);
    }

    /// Runs all later commands from a copy of the binary in this folder.
    pub fn leave_home(&mut self) {
        let copy = self.path("brrr-host");
        // Another process makes the copy. If this process had the file open for writing, a fork of it by another test
        // would have it open too, and then the file could not be run.
        let copied = Command::new("cp").arg(&self.program).arg(&copy).status().expect("cp");
        assert!(copied.success(), "a copy of the binary");
        self.program = copy;
    }

    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["BRRR_", "REDIS_", "AWS_", "DYNAMODB_", "DOCKER_", "OTEL_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        // Compiled once for all tests, and not in the user's cache.
        command.env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
        // The tests' own files may grant permissions without a question. The state folder of the user is not touched.
        command.env("BRRR_YES", "1").env("XDG_STATE_HOME", self.folder.path().join(".state"));
        // The login of the user is not used.
        command.env("DOCKER_CONFIG", self.folder.path().join(".docker"));
        command.env_remove("RUST_BACKTRACE").env("BRRR_TOPIC", TOPIC);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ended {
        Running::start(self.command(args)).end()
    }

    pub fn start<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.command(args))
    }

    /// Starts a worker with the Rust guest, and waits until it is ready.
    pub fn worker(&self, more: &[&str]) -> Running {
        let guest = guest();
        let args = ["run", guest.to_str().expect("UTF-8")];
        let worker = self.start(args.iter().chain(more));
        worker.wait_for_stderr("serving topic");
        worker
    }

    /// The backend that the commands use unless their arguments name another one.
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.path(".brrr/state.db").display())
    }

    /// Opens the backend that the commands use unless their arguments name another one.
    pub fn backend(&self) -> Arc<dyn Backend> {
        block_on(brrr_backends::open(&self.url())).expect("the backend")
    }

    /// Opens the backend of the commands, where it is on SQLite, on Redis, or on Redis and DynamoDB. A connection to a server lives
    /// as long as the runtime that opened it.
    pub async fn open(&self) -> Arc<dyn Backend> {
        match (self.setting("BRRR_STORE"), self.setting("REDIS_URL")) {
            (None, None) => brrr_backends::open(&self.url()).await.expect("the backend"),
            (None, Some(redis)) => brrr_backends::open(redis).await.expect("the backend"),
            (Some(_), Some(redis)) => {
                let [table, records] = ["DYNAMODB_TABLE_NAME", "AWS_ENDPOINT_URL_DYNAMODB"]
                    .map(|name| self.setting(name).unwrap_or_else(|| panic!("{name} is not set")));
                Arc::new(crate::aws::open_with_redis(table, records, redis).await)
            }
            (Some(store), None) => panic!("{store} without a queue on Redis"),
        }
    }
}

/// A running command. It is killed on drop.
pub struct Running {
    child: Child,
    stdout: Output,
    stderr: Output,
}

struct Output {
    text: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Output {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = text.clone();
        let reader = thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                sink.lock().expect("no panic").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn now(&self) -> String {
        self.text.lock().expect("no panic").clone()
    }

    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader");
        }
        self.now()
    }
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = Output::of(child.stdout.take().expect("stdout"));
        let stderr = Output::of(child.stderr.take().expect("stderr"));
        Self { child, stdout, stderr }
    }

    pub fn stdout(&self) -> String {
        self.stdout.now()
    }

    pub fn stderr(&self) -> String {
        self.stderr.now()
    }

    pub fn wait_for_stderr(&self, text: &str) {
        eventually(&format!("stderr has {text:?}"), || {
            let stderr = self.stderr();
            if stderr.contains(text) { Ok(()) } else { Err(stderr) }
        });
    }

    pub fn wait_for_stdout(&self, text: &str) {
        eventually(&format!("stdout has {text:?}"), || {
            let stdout = self.stdout();
            if stdout.contains(text) { Ok(()) } else { Err(format!("{stdout}\n{}", self.stderr())) }
        });
    }

    pub fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("a signal");
    }

    /// MiB that the process has resident (`VmRSS`), or had at most (`VmHWM`). 0 after its end.
    pub fn memory(&self, of: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
    }

    /// Waits until the command ends.
    pub fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    pub fn end_within(mut self, patience: Duration) -> Ended {
        let (start, mut peak) = (Instant::now(), 0);
        let code = loop {
            peak = self.memory("VmHWM").max(peak);
            match self.child.try_wait().expect("a status") {
                Some(status) => break status.code(),
                None if start.elapsed() > patience => {
                    panic!("still running after {patience:?}:\n{}\n{}", self.stdout(), self.stderr())
                }
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        Ended { code, peak, stdout: self.stdout.all(), stderr: self.stderr.all() }
    }

    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Checks that the command succeeded. Returns what it printed.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout.trim_end()
    }

    /// Checks that the command ended with this code and one clear line with all of `words`, without a panic and with
    /// nothing on stdout. (What a component has said itself follows in lines that are indented.)
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.stdout, "", "data of a command that failed");
        // The worker's log before the failure is not part of the message.
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.starts_with("20")).collect();
        assert!(lines.first().is_some_and(|line| line.starts_with("error: ")), "{self:#?}");
        assert!(lines[1..].iter().all(|line| line.starts_with("  ")), "one line: {self:#?}");
        for word in words {
            assert!(lines.iter().any(|line| line.contains(word)), "{word:?} is not in {lines:?}");
        }
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Tries until `attempt` returns `Ok`. When `PATIENCE` is over, panics with the last reason.
#[track_caller]
pub fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > PATIENCE => panic!("not within {PATIENCE:?}: {what}; last: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Runs a future to its end, because the ports are asynchronous.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// How many messages the topic has, with the delayed and the leased ones.
pub fn depth(env: &Env) -> u64 {
    block_on(env.backend().queue().depth(&TOPIC.into())).expect("a depth")
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that something can't be tested here. The line is visible with `--nocapture`, and in the output of a failed run.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
