//! `top`: on a terminal (of `script`, whose output a model of a terminal reads), as text and as JSON.

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

use crate::harness::{Env, Running, eventually};

const ROWS: NonZero<u16> = NonZero::new(24).expect("some rows");
const COLUMNS: NonZero<u16> = NonZero::new(80).expect("some columns");

/// A terminal in which a shell runs this command. Killed on drop.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(env: &Env, command: &str) -> Self {
        let mut shell: Command = env.command([""; 0]);
        let program = shell.get_program().to_str().expect("UTF-8").to_owned();
        let script = format!(
            "stty rows {ROWS} cols {COLUMNS}; before=$(stty -g); '{program}' {command}; echo exit $?; \
             [ \"$before\" = \"$(stty -g)\" ] && echo restored; echo done"
        );
        let mut child = Command::new("script");
        child.args(["--quiet", "--flush", "--echo", "never", "--command", &script, "/dev/null"]);
        for (name, value) in shell.get_envs() {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        child.env("TERM", "xterm-256color").current_dir(shell.get_current_dir().expect("a folder"));
        shell.stdin(Stdio::null());
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script(1)");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (sink, mut output) = (screen.clone(), child.stdout.take().expect("stdout"));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                sink.lock().expect("no panic").process(&bytes[..length]);
            }
        });
        let keys = child.stdin.take().expect("stdin");
        Self { child, keys, screen }
    }

    fn lines(&self) -> Vec<String> {
        let parser = self.screen.lock().expect("no panic");
        parser.screen().rows(0, COLUMNS.get()).collect()
    }

    fn is_alternate(&self) -> bool {
        self.screen.lock().expect("no panic").screen().alternate_screen()
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    fn wait_for(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        eventually(what, || {
            let lines = self.lines();
            if wanted(&lines) { Ok(lines) } else { Err(lines.join("\n")) }
        })
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).expect("a key");
        self.keys.flush().expect("a key");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A fleet in which one task has succeeded twice, and another one has failed.
fn fleet() -> (Env, Running) {
    let env = Env::new();
    let worker = env.worker(&["--publish-events"]);
    for n in 1..=2 {
        env.run(["call", "leaf", &json!({"i": n}).to_string()]).ok();
    }
    assert_eq!(env.run(["call", "fails", &json!({"message": "out of luck"}).to_string()]).code, Some(30));
    // The events are published a little later.
    eventually("the events are there", || {
        let found = env.run(["top", "--output", "json"]).json();
        if found["tasks"].as_array().is_some_and(|tasks| tasks.len() == 2) { Ok(()) } else { Err(found.to_string()) }
    });
    (env, worker)
}

/// The line of the first task, and of the second one.
fn order(lines: &[String]) -> Option<bool> {
    let at = |task: &str| lines.iter().position(|line| line.starts_with(task));
    Some(at("fails ")? < at("leaf ")?)
}

#[test]
fn a_terminal_shows_the_fleet_and_is_restored() {
    let (env, worker) = fleet();
    let mut terminal = Terminal::start(&env, "top");
    let lines = terminal.wait_for("the tasks, by runs", |lines| order(lines) == Some(false));
    assert!(terminal.is_alternate());
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("topics (1)") && has("workers (1)") && has("out of luck") && has("q quit"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("demo ") && line.contains("0 of")), "{lines:#?}");
    terminal.press("f");
    terminal.wait_for("the tasks, by failures", |lines| order(lines) == Some(true));
    terminal.press("r");
    terminal.wait_for("the tasks, by runs", |lines| order(lines) == Some(false));
    terminal.press("n");
    terminal.wait_for("the tasks, by name", |lines| order(lines) == Some(true));
    terminal.press("p");
    terminal.wait_for("it pauses", |lines| lines[0].contains("paused"));
    terminal.press("p");
    terminal.wait_for("it goes on", |lines| !lines[0].contains("paused"));
    // What happens now is shown.
    env.run(["call", "noop"]).ok();
    terminal.wait_for("the new task", |lines| lines.iter().any(|line| line.starts_with("noop ")));
    terminal.press("q");
    let lines = terminal.wait_for("the shell", |lines| lines.iter().any(|line| line == "done"));
    assert!(!terminal.is_alternate());
    assert!(["exit 0", "restored"].iter().all(|text| lines.iter().any(|line| line == text)), "{lines:#?}");
    worker.stop().ok();
}

#[test]
fn text_and_json_have_the_same() {
    let (env, worker) = fleet();
    let found = env.run(["top", "--output", "json"]).json();
    let (topic, task) = (&found["topics"][0], &found["tasks"][1]);
    assert_eq!((&topic["topic"], &topic["ready"], &topic["workers"]), (&json!("demo"), &json!(0), &json!(1)));
    assert_eq!((&found["workers"][0]["topic"], &found["workers"][0]["running"]), (&json!("demo"), &json!(0)));
    assert_eq!((&found["tasks"][0]["task"], &found["tasks"][0]["completed"]), (&json!("leaf"), &json!(2)));
    assert_eq!(
        (&task["task"], &task["failed"], &task["last_failure"]),
        (&json!("fails"), &json!(1), &json!("out of luck"))
    );
    let text = env.run(["top"]);
    let rows: Vec<&str> = text.ok().lines().collect();
    assert!(rows.iter().any(|row| row.starts_with("leaf ")) && !text.stdout.contains('\u{1b}'), "{rows:#?}");
    worker.stop().ok();
    // A call that no worker takes.
    env.run(["schedule", "noop"]).ok();
    assert_eq!(env.run(["top", "--output", "json"]).json()["topics"][0]["ready"], 1);
}
