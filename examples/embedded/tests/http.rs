//! The example as a user runs it: with HTTP requests, and with a restart.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The path of the component that `scripts/guests.sh rust` builds.
fn component() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/guests/rust/rust-hello.wasm");
    assert!(path.exists(), "{} is missing: run scripts/guests.sh rust", path.display());
    path.to_str().unwrap().to_owned()
}

struct App {
    process: Child,
    address: String,
}

impl App {
    fn start(database: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_embedded"))
            .args([&component(), database.to_str().unwrap(), "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_end_matches("/30").to_owned();
        Self { process, address }
    }

    fn get(&self, n: &str) -> (u16, String) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let mut response = agent.get(format!("{}/{n}", self.address)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Stops the process as Ctrl-C does.
    fn stop(mut self) {
        let interrupted = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        assert!(self.process.wait().unwrap().success());
    }
}

/// A test that fails leaves no process behind.
impl Drop for App {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_report_joins_tasks_of_both_kinds_and_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("app.db");
    let app = App::start(&database);
    let expected = json!({"n": 30, "square": 900, "fib": 832_040, "next": 1_346_269});
    let (status, report) = app.get("30");
    assert_eq!((status, serde_json::from_str::<Value>(&report).unwrap()), (200, expected.clone()));
    let (status, reason) = app.get("4294967296");
    assert_eq!(status, 422, "{reason}");
    assert!(reason.contains("too large"), "{reason}");
    app.stop();
    let app = App::start(&database);
    let (status, report) = app.get("30");
    assert_eq!((status, serde_json::from_str::<Value>(&report).unwrap()), (200, expected));
    app.stop();
}
