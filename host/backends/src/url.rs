//! The URL of a backend.

use std::env;
use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};

/// The URL to open if the user names no backend.
pub const DEFAULT_URL: &str = "sqlite:.brrr/state.db";

/// The known URLs, for a user who named another one.
const KNOWN: &str = "sqlite:PATH, memory:, redis://HOST, sqs://PREFIX, dynamodb://TABLE";

/// The shortest lease. With a shorter lease, a busy machine would extend it too late.
const MIN_LEASE: Duration = Duration::from_millis(10);

/// Where data is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackendAddress {
    /// In this process.
    Memory,
    /// In a file, at this path.
    Sqlite(String),
    /// On a Redis server, at this URL, in the form that Redis clients take. It can contain a password.
    Redis(String),
    /// In SQS queues whose names begin with this prefix.
    Sqs(String),
    /// In the DynamoDB table of this name.
    DynamoDb(String),
}

/// The parts of a URL.
///
/// - `sqlite:PATH`: one file, created with its folder; `sqlite:` alone means `.brrr/state.db`
/// - `memory:`: this process only
/// - `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://…` for TLS, `redis+unix:///PATH`; `redis:` alone means the
///   URL in `REDIS_URL`, or the server of this machine
/// - `sqs://PREFIX`: queues whose names begin with the prefix; `sqs:` alone means no prefix before the topic, like
///   peers
/// - `dynamodb://TABLE`; `dynamodb:` alone means the table in `DYNAMODB_TABLE_NAME`, or `brrr`
///
/// The URL of a backend with a queue can have `?lease=TIME` (`500ms`, `5s`, `2m`): if a worker falls silent, its message
/// is delivered again after this time. A path can't contain a `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub address: BackendAddress,
    pub lease: Option<Duration>,
}

impl Location {
    /// # Errors
    /// `Config` if this version does not understand the URL.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once(':').ok_or_else(|| {
            refuse(url, format!("it has no scheme; there are {KNOWN} (for a file, put `sqlite:` before its path)"))
        })?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let lease = lease(url, query)?;
        // Other tools write `sqlite://PATH`. Both slashes then belong to the scheme, not to the path.
        let name = path.strip_prefix("//").unwrap_or(path);
        let address = match scheme {
            "memory" if path.is_empty() => BackendAddress::Memory,
            "memory" => return Err(refuse(url, "`memory:` takes no path: nothing of it is kept")),
            "sqlite" if name.is_empty() => BackendAddress::Sqlite(DEFAULT_URL.trim_start_matches("sqlite:").to_owned()),
            "sqlite" => BackendAddress::Sqlite(name.to_owned()),
            "redis" | "valkey" if name.is_empty() => BackendAddress::Redis(redis_of_environment()),
            "redis" | "rediss" | "valkey" | "valkeys" | "redis+unix" if path.starts_with("//") => {
                BackendAddress::Redis(format!("{}:{path}", scheme.replace("valkey", "redis")))
            }
            "sqs" => BackendAddress::Sqs(name.to_owned()),
            "dynamodb" if name.is_empty() => BackendAddress::DynamoDb(table_of_environment()),
            "dynamodb" => BackendAddress::DynamoDb(name.to_owned()),
            "redis" | "rediss" | "valkey" | "valkeys" | "redis+unix" => {
                return Err(refuse(url, format!("write {scheme}://HOST:PORT")));
            }
            _ => return Err(refuse(url, format!("there is no backend `{scheme}:`; there are {KNOWN}"))),
        };
        Ok(Self { address, lease })
    }
}

fn redis_of_environment() -> String {
    env::var("REDIS_URL").ok().filter(|url| !url.is_empty()).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned())
}

fn table_of_environment() -> String {
    env::var("DYNAMODB_TABLE_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "brrr".to_owned())
}

fn lease(url: &str, query: &str) -> Result<Option<Duration>> {
    let mut lease = None;
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name != "lease" {
            return Err(refuse(url, format!("there is no option `{name}`; there is `lease`, as in ?lease=5s")));
        }
        let time = humantime::parse_duration(value)
            .map_err(|e| refuse(url, format!("`{value}` is no time ({e}); write 500ms, 5s or 2m")))?;
        if time < MIN_LEASE {
            return Err(refuse(url, format!("a lease of {value} is too short; it is at least 10ms")));
        }
        lease = Some(time);
    }
    Ok(lease)
}

/// The URL for people: without user and password. (The path of a file has neither.)
#[must_use]
pub fn without_secrets(url: &str) -> String {
    match (url.split_once(':'), url.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, host))) if scheme != "sqlite" => {
            let slashes = if rest.starts_with("//") { "//" } else { "" };
            format!("{scheme}:{slashes}{host}")
        }
        _ => url.to_owned(),
    }
}

pub(crate) fn refuse(url: &str, reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "backend", format!("open the backend {:?}", without_secrets(url)), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> BackendAddress {
        Location::parse(url).unwrap().address
    }

    fn error(url: &str) -> String {
        let error = Location::parse(url).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn urls_are_parsed() {
        assert_eq!(address("memory:"), BackendAddress::Memory);
        assert_eq!(address("sqlite:"), BackendAddress::Sqlite(".brrr/state.db".into()));
        assert_eq!(address("sqlite:///a/b"), BackendAddress::Sqlite("/a/b".into()));
        assert_eq!(address("rediss://:pw@h:1/2?lease=1s"), BackendAddress::Redis("rediss://:pw@h:1/2".into()));
        assert_eq!(address("valkey://h"), BackendAddress::Redis("redis://h".into()));
        assert_eq!(address("sqs:"), BackendAddress::Sqs(String::new()));
        assert_eq!(address("sqs://fleet-"), BackendAddress::Sqs("fleet-".into()));
        assert_eq!(address("dynamodb://jobs"), BackendAddress::DynamoDb("jobs".into()));
    }

    #[test]
    fn leases_are_parsed() {
        let lease = |url| Location::parse(url).unwrap().lease;
        assert_eq!(lease("memory:?lease=250ms"), Some(Duration::from_millis(250)));
        assert_eq!(lease("redis://h?lease=2m"), Some(Duration::from_secs(120)));
        assert_eq!(lease("memory:"), None);
    }

    #[test]
    fn unknown_urls_and_options_are_named() {
        assert!(error("state.db").contains("no scheme"));
        assert!(error("redis:host").contains("redis://HOST"));
        assert!(error("oracle:x").contains("there is no backend `oracle:`"));
        assert!(error("memory:x").contains("takes no path"));
        assert!(error("memory:?leese=5s").contains("no option `leese`"));
        assert!(error("memory:?lease=5").contains("is no time"));
        assert!(error("memory:?lease=1ms").contains("too short"));
    }

    #[test]
    fn errors_contain_no_secrets() {
        for url in ["redis://user:hunter2@host?leese=1", "redis:user:hunter2@host"] {
            let error = error(url);
            assert!(error.contains("host") && !error.contains("hunter2"), "{error}");
        }
        assert_eq!(without_secrets("sqlite:/home/me@work/state.db"), "sqlite:/home/me@work/state.db");
    }
}
