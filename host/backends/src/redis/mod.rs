//! Redis 6.2 and newer, and Valkey: queue, store and counters on one server.
//!
//! - `keys`: the keys and their contents; `connections`: connections to the server; `error`: translates errors;
//!   `clock`: the server's time; `over`: hears of the ends of jobs
//! - `store`, `jobs`, `ids`, `parents`, `queue`, `events`: the ports; `optimistic`: runs several commands as one, without a script
//! - `scripts`, `lua/`: the transitions, one round trip each; `transitions`: calls the scripts
//!
//! **Topics have the format of the peers**: lists, with `RPUSH` at one end and `LPOP`/`BLPOP` at the other, and
//! unchanged bodies. All other keys are ours and begin with `brrr:` (except the peers' counters,
//! `brrr_count/<job_id>`).
//!
//! **In work.** Delivery moves a message in one step from its topic into the in-flight hash of this worker, and gives
//! it a lease. The worker's heartbeat renews the leases, over a connection of the heartbeat's own thread. Every receive
//! returns the messages whose leases have run out. The number of unsettled deliveries of a body is kept beside its
//! topic, because nothing can be added to the bodies that peers read.
//!
//! **Durability** is the durability of Redis. `appendonly yes` with `appendfsync always`: nothing that was answered is
//! lost. `appendfsync everysec` (the usual setting): a crash of the machine loses up to about a second. Messages and
//! records are lost together, each transition whole or not at all. So jobs of that second may have to be scheduled
//! again. With this setting, a crash of Redis alone loses nothing. Without AOF, a crash loses everything since the last
//! snapshot. Replication is asynchronous: a failover may lose what the old primary had not sent yet. If there is a
//! `maxmemory`, its policy must be `noeviction`. Any other policy deletes records of jobs, so it is refused (`memory`).
//!
//! **Cluster.** A transition uses the keys of several calls. Redis Cluster distributes the keys over several servers,
//! so it can't run a transition. The error message names Redis Cluster. One primary works, with replicas behind a
//! stable address from Sentinel or from a provider.
//!
//! **Without `EVAL`** (an ACL without `@scripting`) every transition is multi-step, with `WATCH`/`MULTI`. It needs more
//! round trips and gives the same guarantees. The worker warns about this once.

mod clock;
mod connections;
mod error;
mod events;
mod ids;
mod jobs;
mod keys;
mod memory;
mod optimistic;
mod over;
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
use self::over::Over;
use crate::clock::ServerClock;

/// How long a delivered message is leased by default. The lease is long enough for short network failures. And it is
/// short enough to deliver the messages of a killed worker again well within half a minute.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(15);

/// The address of a Redis server, and the settings for its use.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// `redis://[[user]:password@]host[:port][/db]`, `rediss://…` for TLS, `redis+unix:///path`.
    pub url: String,
    /// Separates fleets that share a server. Empty: the keys are shared with peers.
    pub namespace: String,
    /// How long a delivered message is leased.
    pub lease: Duration,
}

impl RedisOptions {
    /// Options for this URL, without a namespace and with the default lease.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), namespace: String::new(), lease: DEFAULT_LEASE }
    }
}

/// A backend on a Redis server. Cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<RedisInner>);

struct RedisInner {
    name: String,
    keys: Keys,
    connections: Connections,
    /// The random name of this process. It must differ from the other processes that share the server.
    worker: String,
    lease: Duration,
    clock: ServerClock,
    /// May this user run scripts?
    scripts: bool,
    over: Over,
}

impl Redis {
    /// Connects, and checks whether this user may run scripts.
    ///
    /// # Errors
    /// `Config` for an invalid URL, a refused password or a Redis Cluster; `Unavailable` if no server answers.
    pub async fn connect(options: RedisOptions) -> Result<Self> {
        let name = name_of(&options.url);
        let connections = Connections::open(&options.url, &name).await?;
        let keys = Keys::new(&options.namespace);
        let scripts = may_script(&connections, &keys, &name).await?;
        memory::check(&mut connections.shared(), &name).await?;
        let worker = format!("{:016x}", fastrand::u64(..));
        let (lease, clock) = (options.lease, ServerClock::default());
        let redis = Self(Arc::new(RedisInner {
            name,
            keys,
            connections,
            worker,
            lease,
            clock,
            scripts,
            over: Over::default(),
        }));
        redis.read_clock().await.map_err(redis.error("ask for the time"))?;
        Ok(redis)
    }

    fn may_script(&self) -> bool {
        self.0.scripts
    }

    /// Translates an error of a command.
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

    /// Translates an error of a command on the key of a record.
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

/// Reads a key, to check the access that everything else needs, and checks whether this user may run scripts.
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

/// The server's name for people: the URL without user, password and options.
fn name_of(url: &str) -> String {
    crate::url::without_secrets(url).split(['?', '#']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_contains_no_secrets() {
        assert_eq!(name_of("redis://:pass@word@host:1/2?x=secret"), "redis://host:1/2");
        assert_eq!(name_of("rediss://user:pw@host"), "rediss://host");
        assert_eq!(name_of("redis://127.0.0.1:6379"), "redis://127.0.0.1:6379");
    }
}
