//! Connections to the server: one that all share, one of the heartbeat, and some for who must be alone.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brrr_protocol::error::Result;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::runtime::{Handle, Id};

use super::error;

/// No answer takes so long unless nobody is there: the longest script, a deferral of many thousand calls, takes some
/// hundred milliseconds.
const RESPONSE: Duration = Duration::from_secs(10);

const CONNECT: Duration = Duration::from_secs(5);

/// Pauses between tries to connect again: from this, doubled up to that.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// So many tries are made for one command before it fails; the next one begins anew.
const TRIES: usize = 5;

pub(super) struct Connections {
    client: Client,
    shared: Mutex<ConnectionManager>,
    config: ConnectionManagerConfig,
    heartbeat: Mutex<Option<(Id, MultiplexedConnection)>>,
    idle: Mutex<Vec<MultiplexedConnection>>,
}

impl Connections {
    /// # Errors
    /// `Config` when the URL is none, or the server lets nobody in; `Unavailable` when nobody answers.
    pub async fn open(url: &str, name: &str) -> Result<Self> {
        // The one place that knows the secrets; its error may quote the URL, so it isn't passed on.
        let client = Client::open(url).map_err(|_| {
            brrr_protocol::Error::new(
                brrr_protocol::ErrorKind::Config,
                "redis",
                format!("open {name}"),
                "it is no URL of a Redis; write redis://HOST:PORT/DB, rediss:// for TLS, redis+unix:///PATH",
            )
        })?;
        let failed = |e| error::of(&e, "connect to ", name);
        // A first look that fails at once: the manager below would try for seconds.
        let first = connect(&client).await.map_err(failed)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(RESPONSE))
            .set_min_delay(RECONNECT.0)
            .set_max_delay(RECONNECT.1)
            .set_number_of_retries(TRIES);
        let shared = client.get_connection_manager_with_config(config.clone()).await.map_err(failed)?;
        Ok(Self {
            client,
            shared: Mutex::new(shared),
            config,
            heartbeat: Mutex::default(),
            idle: Mutex::new(vec![first]),
        })
    }

    /// The one that all share: commands of many tasks travel together. It connects again by itself.
    pub fn shared(&self) -> ConnectionManager {
        lock(&self.shared).clone()
    }

    /// From now on all connections are new: the server that the old ones lead to takes no writes any more, and its address may
    /// lead to another one by now. Nothing that is under way is cut off.
    pub fn renew(&self) {
        let Ok(new) = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone()) else { return };
        *lock(&self.shared) = new;
        lock(&self.idle).clear();
        self.drop_heartbeat();
    }

    /// One that is driven by the runtime that asks for it, so that the heartbeat is never behind what others do.
    pub async fn heartbeat(&self) -> RedisResult<MultiplexedConnection> {
        let here = Handle::current().id();
        if let Some((runtime, connection)) = lock(&self.heartbeat).as_ref()
            && *runtime == here
        {
            return Ok(connection.clone());
        }
        let connection = connect(&self.client).await?;
        *lock(&self.heartbeat) = Some((here, connection.clone()));
        Ok(connection)
    }

    /// The heartbeat's connection is no good; the next one is new.
    pub fn drop_heartbeat(&self) {
        *lock(&self.heartbeat) = None;
    }

    /// One for a transaction or for waiting: nobody else uses it meanwhile.
    pub async fn alone(&self) -> RedisResult<Alone<'_>> {
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.client).await?,
        };
        Ok(Alone { connection, clean: false, home: self })
    }

    /// As `alone`, but never one that was used before.
    pub async fn fresh(&self) -> RedisResult<Alone<'_>> {
        // Those that are kept were made before the server went away, like the one that has just failed.
        lock(&self.idle).clear();
        Ok(Alone { connection: connect(&self.client).await?, clean: false, home: self })
    }
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(RESPONSE));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// A connection that nobody else uses. Dropped while it is not clean it is closed: what is under way on it is not known.
pub(super) struct Alone<'a> {
    connection: MultiplexedConnection,
    clean: bool,
    home: &'a Connections,
}

impl Alone<'_> {
    /// Says whether anything is under way on it.
    pub fn clean(&mut self, clean: bool) {
        self.clean = clean;
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        if self.clean {
            lock(&self.home.idle).push(self.connection.clone());
        }
    }
}

impl Deref for Alone<'_> {
    type Target = MultiplexedConnection;

    fn deref(&self) -> &Self::Target {
        &self.connection
    }
}

impl DerefMut for Alone<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.connection
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
