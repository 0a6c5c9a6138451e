//! `brrr.toml`: the settings of a project. They need not be repeated at each command.
//!
//! ```toml
//! topic = "demo"           # as --topic of every command
//! backend = "redis:"       # as --backend; or `queue`, `store` and `counters`; and `namespace`
//!
//! [[components]]           # what `run` serves, unless its command line names components
//! path = "app.wasm"        # or a project's folder, which is built first; relative to this file; or oci://REGISTRY/NAME:TAG
//! allow-http = ["api.example.com", "127.0.0.1:8080"]
//! env = ["API_TOKEN", "MODE=fast"]
//! env-file = "secrets.env"
//! dirs = ["data::/data:ro"]
//!
//! [[components]]
//! path = "other.wasm"
//! topic = "other"          # on a topic of its own
//!
//! [worker]                 # flags of `run`
//! http = "8080"
//! max-running = 16         # calls at once
//! timeout = "1m"           # of one run, unless its task sets another timeout
//! memory = "128MiB"        # of one run
//! trust = ["me.pub"]       # run only what these keys have signed
//!
//! [[schedules]]            # `run` puts them in place; `brrr-host cron` shows them
//! name = "nightly"
//! cron = "0 3 * * *"       # minute, hour, day of month, month, day of week
//! tz = "Europe/Berlin"     # else UTC
//! task = "report"
//! input = { days = 1 }     # or payload = '{"days": 1}'; and topic, codec
//! overlap = "skip"         # or "allow", "cancel-previous"
//! catch-up = "1h"          # and timeout and the other keys of [job]
//!
//! [serve]                  # flags of `serve`
//! http = "8080"
//!
//! [job]                    # flags of `call` and `schedule`
//! timeout = "1h"           # of the whole job
//! task-timeout = "30s"     # of one run of any of its tasks
//! max-messages = 10000
//! max-retries = 3          # this and the other retry options are as in `tasks`
//!
//! [tasks.blend]            # for `run`; overrides what the component says of this task
//! timeout = "10s"
//! max-retries = 3
//! retry-delay = "1s"
//! retry-backoff = "fixed"  # or "exponential"
//! max-retry-delay = "1m"
//! max-running = 2
//! memory = "64MiB"
//! scope = "job"           # or "fleet", or a duration such as "1h"
//!
//! [tasks."*"]              # of all tasks, for options that their own entries do not set
//! max-retries = 1
//! ```
//!
//! A flag overrides the environment, and the environment overrides the file. An option of a call is taken from its job,
//! else from its caller, else from this file, else from its component. `brrr-host config` shows the settings in force.
//! `host/brrr.schema.json` describes the file for editors.
//!
//! - `settings`: the keys that stand for flags; `sections`: their types; `component`, `task`,
//!   `schedule`: the other keys
//! - `values`: the notation of times, sizes and other values; `file_line`: the line of an error in the file

mod component;
mod file_line;
mod schedule;
mod sections;
mod settings;
mod task;
mod values;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use brrr_protocol::options::Options;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Deserialize;

pub use component::Component;
pub use file_line::{FileLine, line_of};
pub use schedule::{CodecWord, OverlapWord, ScheduleEntry};
pub use sections::RetryBackoff;
use sections::{JobSection, Serve, WorkerSection};
pub use settings::{Section, Setting};
use task::Task;

/// The file that is read if the user names no other.
pub const DEFAULT: &str = "brrr.toml";

/// The settings of a project.
#[derive(Debug, Default, PartialEq)]
pub struct Config {
    /// The path of the file, if there is a file.
    pub path: Option<PathBuf>,
    /// The user named the file. Otherwise it was found in the folder where the program was started.
    pub is_named: bool,
    /// The settings that stand for flags.
    pub settings: Vec<Setting>,
    /// The components. Their paths are relative to the folder where the program was started.
    pub components: Vec<Component>,
    /// The schedules. `None`: the file says nothing of schedules, so those that it may have declared once stay.
    pub schedules: Option<Vec<ScheduleEntry>>,
    tasks: BTreeMap<String, Task>,
}

/// The settings of a project that uses brrr-host.
#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "brrr.toml")]
struct File {
    /// The topic: the queue of the tasks.
    #[schemars(length(min = 1))]
    topic: Option<String>,
    /// Where calls are queued and stored: `sqlite:PATH`, `redis://HOST`, `memory:`.
    backend: Option<String>,
    /// The backend of the messages, if it is another one.
    queue: Option<String>,
    /// The backend of the records, if it is another one.
    store: Option<String>,
    /// The backend of the counters, if it is another one.
    counters: Option<String>,
    /// Separates fleets that share a server.
    namespace: Option<String>,
    worker: WorkerSection,
    job: JobSection,
    serve: Serve,
    /// The components that `run` serves, unless its command line names components.
    components: Vec<Component>,
    /// Jobs that are started by the clock. `run` puts these schedules in place at its start, and removes those that the file
    /// no longer has (an empty list removes all of them). Those of `cron add` stay.
    schedules: Option<Vec<ScheduleEntry>>,
    /// The options of tasks, by the names of the tasks. They override the options of the components. `*`: all other
    /// tasks.
    tasks: BTreeMap<String, Task>,
}

/// A file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: there is no such file", path.display())]
    NotFound { path: PathBuf },
    #[error("{} can't be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: {reason}; it could have this command connect, read and write where it likes. Name it (--config {}) to use it all the same", path.display(), path.display())]
    NotYours { path: PathBuf, reason: String },
    #[error("{}{line}: {reason}", path.display())]
    Wrong { path: PathBuf, line: FileLine, reason: String },
}

impl Config {
    /// Parses the text of a file. Relative paths in it begin at the file's folder.
    ///
    /// # Errors
    /// When the text is not valid: where the error is, and what it is.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(|error| ConfigError::Wrong {
            path: path.to_owned(),
            line: FileLine::at(text, error.span().map(|span| span.start)).map(without_secrets),
            reason: without_secrets(error.message()),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self {
            path: Some(path.to_owned()),
            is_named: false,
            settings: settings::settings(text).into_iter().map(|setting| setting.relative_to(folder)).collect(),
            components: file.components.into_iter().map(|component| component.relative_to(folder)).collect(),
            schedules: file.schedules,
            tasks: file.tasks,
        })
    }

    /// The options of tasks, by the names of the tasks. They override the options of the components. `*`: all other
    /// tasks.
    #[must_use]
    pub fn tasks(&self) -> BTreeMap<String, Options> {
        self.tasks.iter().map(|(name, task)| (name.clone(), task.options())).collect()
    }

    /// The schema of the file, for editors.
    #[must_use]
    pub fn schema() -> Schema {
        schema_for!(File)
    }
}

/// The line without the values of variables and the passwords in URLs: the quoted text after a `=` or before an `@`.
fn without_secrets(line: &str) -> String {
    let mut parts: Vec<&str> = line.split('"').collect();
    // Every second part is inside quotes.
    for part in parts.iter_mut().skip(1).step_by(2).filter(|part| part.contains(['=', '@'])) {
        *part = "…";
    }
    parts.join("\"")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brrr_protocol::options::{Backoff, Scope};

    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("brrr.toml"), text).map_err(|error| error.to_string())
    }

    /// The example at the top of this file.
    fn example() -> String {
        let lines = include_str!("mod.rs").lines().skip_while(|line| *line != "//! ```toml").skip(1);
        let lines = lines.take_while(|line| *line != "//! ```");
        lines.map(|line| line.trim_start_matches("//!").to_owned() + "\n").collect()
    }

    #[test]
    fn the_example_is_read() {
        let config = parse(&example()).unwrap();
        let setting = |section, key| {
            let found = config.settings.iter().find(|s| s.section == section && s.key == key);
            found.map(|s| s.value.as_str())
        };
        assert_eq!(setting(Section::Top, "topic"), Some("demo"));
        assert_eq!(setting(Section::Worker, "memory"), Some("128MiB"));
        assert_eq!(setting(Section::Job, "max-messages"), Some("10000"));
        assert_eq!(setting(Section::Serve, "http"), Some("8080"));
        assert_eq!(config.components[1].topic.as_deref(), Some("other"));
        let schedule = &config.schedules.as_ref().unwrap()[0];
        assert_eq!((schedule.name.as_str(), schedule.tz.as_str()), ("nightly", "Europe/Berlin"));
        assert_eq!(serde_json::to_string(&schedule.input).unwrap(), "{\"days\":1}");
        assert_eq!((schedule.overlap, schedule.catch_up()), (OverlapWord::Skip, Duration::from_secs(3600)));
        let tasks = config.tasks();
        assert_eq!(tasks["*"].max_retries, Some(1));
        assert_eq!(
            tasks["blend"],
            Options {
                timeout: Some(Duration::from_secs(10)),
                max_retries: Some(3),
                retry_delay: Some(Duration::from_secs(1)),
                max_retry_delay: Some(Duration::from_secs(60)),
                backoff: Some(Backoff::Fixed),
                max_running: Some(2),
                memory: Some(64 << 20),
                label: None,
                scope: Some(Scope::Job),
                trace: None,
            }
        );
    }

    #[test]
    fn errors_name_the_line() {
        for (text, words) in [
            ("\n[worker]\nmax-runing = 1", vec!["brrr.toml, line 3", "max-runing", "max-running"]),
            ("[tasks.a]\ntimeout = \"5\"", vec!["line 2 (timeout = \"5\")", "30s"]),
            ("[tasks.a]\ntimeout = 5", vec!["line 2 (timeout = 5)", "expected a string"]),
            ("[worker]\nmemory = \"lots\"", vec!["line 2", "16MiB"]),
            ("[worker]\nmemory = 0", vec!["line 2", "more than 0"]),
            ("[job]\nmax-retries = -1", vec!["line 2", "-1"]),
            ("[job]\nretry-backoff = \"linear\"", vec!["line 2", "linear", "exponential"]),
            ("[worker]\nmax-running = 0", vec!["line 2", "0"]),
            ("[worker]\nhttp = \"no port\"", vec!["line 2 (http = \"no port\")"]),
            ("[wroker]", vec!["line 1", "wroker", "worker"]),
            ("[[components]]\ntopic = \"a\"", vec!["line 1", "path"]),
            ("[[components]]\npath = \"a\"\n\nallow-http = [\n  \"http://x/\",\n]", vec!["line 5", "http://x/"]),
            ("[[schedules]]\nname = \"a\"\ntask = \"t\"", vec!["line 1", "cron"]),
            ("[[schedules]]\nname = \"a\"\ncron = \"@daily\"\ntz = \"Berlin\"", vec!["line 4", "Europe/Berlin"]),
            ("[[schedules]]\nname = \"a b\"", vec!["line 2", "a b", "letters"]),
            ("[[schedules]]\nname = \"a\"\ncron = \"60 * * * *\"", vec!["line 3", "60 * * * *", "minute"]),
            ("[worker", vec!["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            for word in words {
                assert!(error.contains(word), "{word:?} is not in {error:?}");
            }
        }
        assert_eq!(parse("").unwrap().settings, []);
    }

    #[test]
    fn errors_contain_no_secrets() {
        for text in
            ["[worker]\nbackend = \"redis://:hunter2@host\"", "[[components]]\npath = \"a\"\nenv = \"TOKEN=hunter2\""]
        {
            let error = parse(text).unwrap_err();
            assert!(error.contains("line ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "[[components]]\npath = \"a.wasm\"\n[[components]]\npath = \"/b.wasm\"\n[[components]]\npath = \"oci://r.io/c:1\"";
        let config = Config::parse(Path::new("project/brrr.toml"), text).unwrap();
        let paths: Vec<_> = config.components.iter().map(|component| component.path.as_path()).collect();
        assert_eq!(paths, [Path::new("project/a.wasm"), Path::new("/b.wasm"), Path::new("oci://r.io/c:1")]);
    }

    /// `UPDATE=1 cargo test --workspace --lib -- schema` writes the file.
    #[test]
    fn the_published_schema_is_current() {
        // The path of the repository is searched because the fuzzer's crate contains this module too.
        let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        let path = folders.map(|folder| folder.join("host/brrr.schema.json")).find(|path| path.exists()).unwrap();
        let schema = serde_json::to_string_pretty(&Config::schema()).unwrap() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), schema);
    }
}
