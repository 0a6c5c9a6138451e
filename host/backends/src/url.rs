//! A URL to a backend.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::ports::Backend;

use crate::{DEFAULT_LEASE, Memory};

/// What is opened where nobody names a backend.
pub const DEFAULT_URL: &str = "sqlite:.brrr/state.db";

/// The shortest lease: below this, a busy machine extends too late.
const MIN_LEASE: Duration = Duration::from_millis(10);

/// Opens a backend.
///
/// - `sqlite:PATH`: one file, created with its folder; `sqlite:` alone is `.brrr/state.db`
/// - `memory:`: this process only
///
/// Both take `?lease=TIME` (`500ms`, `5s`, `2m`): after how long the message of a worker that fell silent is delivered
/// again. A path with a `?` in it can't be written.
///
/// # Errors
/// `Config` when the URL says nothing that this version knows, else whatever keeps the backend from opening.
pub fn open(url: &str) -> Result<Arc<dyn Backend>> {
    let (scheme, rest) = url.split_once(':').ok_or_else(|| {
        refuse(url, "it has no scheme; write sqlite:PATH or memory: (for a file, put `sqlite:` before its path)")
    })?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let lease = lease(url, query)?;
    match scheme {
        "memory" if path.is_empty() => Ok(Arc::new(Memory::with_lease(lease))),
        "memory" => Err(refuse(url, "`memory:` takes no path: nothing of it is kept")),
        "sqlite" => sqlite(path, lease),
        "redis" | "rediss" | "sqs" | "dynamodb" | "aws" => {
            Err(refuse(url, format!("`{scheme}:` is not in this version yet; there are sqlite:PATH and memory:")))
        }
        _ => Err(refuse(url, format!("there is no backend `{scheme}:`; there are sqlite:PATH and memory:"))),
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str, lease: Duration) -> Result<Arc<dyn Backend>> {
    // `sqlite://PATH` is a habit from other tools; both slashes are the scheme's.
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = if path.is_empty() { crate::sqlite::DEFAULT_PATH } else { path };
    Ok(Arc::new(crate::Sqlite::options().lease(lease).open(path)?))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(path: &str, _: Duration) -> Result<Arc<dyn Backend>> {
    Err(refuse(&format!("sqlite:{path}"), "this program was built without SQLite (cargo feature `sqlite`)"))
}

fn lease(url: &str, query: &str) -> Result<Duration> {
    let mut lease = DEFAULT_LEASE;
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        if name != "lease" {
            return Err(refuse(url, format!("there is no option `{name}`; there is `lease`, as in ?lease=5s")));
        }
        lease = humantime::parse_duration(value)
            .map_err(|e| refuse(url, format!("`{value}` is no time ({e}); write 500ms, 5s or 2m")))?;
        if lease < MIN_LEASE {
            return Err(refuse(url, format!("a lease of {value} is too short; it is at least 10ms")));
        }
    }
    Ok(lease)
}

fn refuse(url: &str, reason: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, "backend", format!("open the backend {url:?}"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        let error = open(url).err().expect("refused");
        assert_eq!(error.kind, ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn leases_are_read() {
        assert_eq!(open("memory:?lease=250ms").unwrap().queue().lease(), Duration::from_millis(250));
        assert_eq!(open("memory:?lease=2m").unwrap().queue().lease(), Duration::from_secs(120));
        assert_eq!(open("memory:").unwrap().queue().lease(), DEFAULT_LEASE);
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(error("state.db").contains("no scheme"));
        assert!(error("redis://localhost").contains("not in this version yet"));
        assert!(error("oracle:x").contains("there is no backend `oracle:`"));
        assert!(error("memory:x").contains("takes no path"));
        assert!(error("memory:?leese=5s").contains("no option `leese`"));
        assert!(error("memory:?lease=5").contains("is no time"));
        assert!(error("memory:?lease=1ms").contains("too short"));
    }
}
