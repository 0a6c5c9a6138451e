//! Redis 6.2 and newer, and Valkey: queue, store and counters on one server.
//!
//! - `keys`: what is where; `connections`: how it is reached; `error`: what went wrong; `clock`: the server's time
//! - `store`, `parents`, `queue`, `events`: the ports; `optimistic`: what needs several commands to be one
//! - `scripts`, `lua/`: the transitions, one round trip each; `transitions`: calls them
//!
//! **Topics are the peers'**: lists, `RPUSH` at one end, `LPOP`/`BLPOP` at the other, bodies as they are. Everything else is
//! ours and stands under `brrr:` (but for the peers' counters, `brrr_count/<root>`).
//!
//! **In work.** A message that is delivered moves, in one step, from its topic into the in-flight hash of this worker and
//! gets a lease. The worker's heartbeat renews the leases, over a connection of the heartbeat's own thread. Whoever receives
//! returns what has run out. How often a body was delivered without being settled is remembered beside its topic, because
//! nothing can be added to what peers read.
//!
//! **What Redis keeps** is what we keep. `appendonly yes` with `appendfsync always`: everything that was answered.
//! `appendfsync everysec` (the usual setting): a crash of the machine loses up to about a second; with it go messages and
//! records together, each transition whole or not at all, so that jobs of that second may have to be scheduled again. A
//! crash of Redis alone loses nothing then. Without AOF: all since the last snapshot. Replication is asynchronous: a
//! failover may lose what the old primary had not sent yet. With a `maxmemory`, its policy must be `noeviction`: anything else deletes
//! records of jobs, and is refused (`memory`).
//!
//! **Cluster.** A transition touches the keys of several calls, so Redis Cluster (several slots' owners) can't run it; it is
//! refused by name. One primary with replicas behind Sentinel's or a provider's stable address works.
//!
//! **Without `EVAL`** (an ACL without `@scripting`) every transition is made step by step over `WATCH`/`MULTI`, with more
//! round trips and the same guarantees; the worker says so once.

mod clock;
mod connections;
mod error;
mod events;
mod keys;
mod memory;
mod optimistic;
mod parents;
mod queue;
mod scripts;
mod store;
mod transitions;

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::ports::Key;

use self::connections::Connections;
use self::keys::Keys;
use crate::clock::ServerClock;

/// How long a delivered message is leased by default. Long enough for a network that stutters, short enough that what a
/// killed worker held is back well within half a minute.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);

/// Where a Redis is, and how it is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// `redis://[[user]:password@]host[:port][/db]`, `rediss://…` for TLS, `redis+unix:///path`.
    pub url: String,
    /// Keeps fleets on one server apart; empty: shared with peers.
    pub namespace: String,
    pub lease: Duration,
}

impl Options {
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), namespace: String::new(), lease: DEFAULT_LEASE }
    }
}

/// A backend on a Redis server. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    name: String,
    keys: Keys,
    connections: Connections,
    /// Of this process, among all that share the server.
    worker: String,
    lease: Duration,
    clock: ServerClock,
    /// May this user run scripts?
    scripts: bool,
}

impl Redis {
    /// Connects, and finds out whether scripts may be run.
    ///
    /// # Errors
    /// `Config` for a URL that is none, a refused password or a Redis Cluster; `Unavailable` when nobody answers.
    pub async fn connect(options: Options) -> Result<Self> {
        let name = name_of(&options.url);
        let connections = Connections::open(&options.url, &name).await?;
        let keys = Keys::new(&options.namespace);
        let scripts = may_script(&connections, &keys, &name).await?;
        memory::check(&mut connections.shared(), &name).await?;
        let worker = format!("{:016x}", fastrand::u64(..));
        let (lease, clock) = (options.lease, ServerClock::default());
        let redis = Self(Arc::new(Inner { name, keys, connections, worker, lease, clock, scripts }));
        redis.read_clock().await.map_err(redis.error("ask for the time"))?;
        Ok(redis)
    }

    fn may_script(&self) -> bool {
        self.0.scripts
    }

    /// An error of a command.
    fn error(&self, operation: impl Into<String>) -> impl FnOnce(redis::RedisError) -> Error {
        let operation = operation.into();
        let connections = &self.0.connections;
        move |e| {
            if error::is_read_only(&e) {
                connections.renew();
            }
            error::of(&e, &operation, "")
        }
    }

    /// An error of a command on the key of a record.
    fn record_error(&self, operation: &str, key: &Key) -> impl FnOnce(redis::RedisError) -> Error {
        let failed = self.error(operation);
        move |e| {
            if error::is_wrong_type(&e) {
                let reason = format!("the key {} holds no records: {}", self.0.keys.record(key), error::OF_OTHERS);
                return Error::malformed("a record", reason).of(key);
            }
            failed(e)
        }
    }

    fn unexpected(operation: &str, answer: &redis::Value) -> Error {
        Error::new(ErrorKind::Internal, "redis", operation, format!("an answer of another form: {answer:?}"))
    }
}

/// Does a harmless read of what every other access needs, and asks for the right to run scripts.
async fn may_script(connections: &Connections, keys: &Keys, name: &str) -> Result<bool> {
    let mut connection = connections.shared();
    let read = redis::cmd("ZCARD").arg(keys.leases()).query_async::<u64>(&mut connection).await;
    read.map_err(|e| match error::is_wrong_type(&e) {
        true => error::of_wrong_key(&keys.leases(), &format!("connect to {name}")),
        false => error::of(&e, "connect to ", name),
    })?;
    match scripts::RECEIVE.load(&mut connection).await {
        Ok(()) => Ok(true),
        Err(e) if error::is_forbidden(&e) => {
            tracing::warn!(
                "{name} does not let this user run scripts (EVAL): every transition takes several round trips instead of one"
            );
            Ok(false)
        }
        Err(e) => Err(error::of(&e, "load a script into ", name)),
    }
}

/// What it is, for people: the URL without user, password and options.
fn name_of(url: &str) -> String {
    crate::url::without_secrets(url).split(['?', '#']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_secrets() {
        assert_eq!(name_of("redis://:pass@word@host:1/2?x=secret"), "redis://host:1/2");
        assert_eq!(name_of("rediss://user:pw@host"), "rediss://host");
        assert_eq!(name_of("redis://127.0.0.1:6379"), "redis://127.0.0.1:6379");
    }
}
