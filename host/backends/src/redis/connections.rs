//! Connections to the server: one that all tasks share, one for the heartbeat, and some for exclusive use.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use brrr_protocol::error::Result;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::runtime::{Handle, Id};

use super::error;

/// The longest time to wait for an answer. The longest script, a deferral of many thousand calls, takes some hundred
/// milliseconds. So after this time the server is not there.
const RESPONSE: Duration = Duration::from_secs(10);

const CONNECT: Duration = Duration::from_secs(5);

/// The pauses between attempts to connect again: the first pause, which doubles each time, and the longest pause.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The number of attempts for one command before it fails. The next command begins to count anew.
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
    /// `Config` if the URL is invalid or the server refuses the client; `Unavailable` if no server answers.
    pub async fn open(url: &str, name: &str) -> Result<Self> {
        // The client's error can quote the URL with its secrets. No other place knows them, so this error is not passed
        // on.
        let client = Client::open(url).map_err(|_| {
            brrr_protocol::Error::new(
                brrr_protocol::ErrorKind::Config,
                "redis",
                format!("open {name}"),
                "it is no URL of a Redis; write redis://HOST:PORT/DB, rediss:// for TLS, redis+unix:///PATH",
            )
        })?;
        let failed = |e| error::of(&e, "connect to ", name);
        // A first attempt that fails at once. The manager below would retry for seconds.
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

    /// Makes further connections.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The connection that all tasks share. It sends the commands of many tasks together, and it connects again by
    /// itself.
    pub fn shared(&self) -> ConnectionManager {
        lock(&self.shared).clone()
    }

    /// Makes new connections from now on. The server behind the old connections refuses writes, and the address may
    /// lead to another server by now. Commands that are running are not interrupted.
    pub fn renew(&self) {
        let Ok(new) = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone()) else { return };
        *lock(&self.shared) = new;
        lock(&self.idle).clear();
        self.drop_heartbeat();
    }

    /// The heartbeat's connection. The runtime that asks for it also drives it, so that the heartbeat does not wait for
    /// the work of other runtimes.
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

    /// Drops the heartbeat's connection after an error, so that the next one is new.
    pub fn drop_heartbeat(&self) {
        *lock(&self.heartbeat) = None;
    }

    /// A connection for a transaction or for waiting. Nobody else uses it at the same time.
    pub async fn alone(&self) -> RedisResult<Alone<'_>> {
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.client).await?,
        };
        Ok(Alone { connection, clean: false, home: self })
    }

    /// Like `alone`, but always a new connection.
    pub async fn fresh(&self) -> RedisResult<Alone<'_>> {
        // The idle connections were made before the server went away, like the connection that has just failed. So they
        // are useless too.
        lock(&self.idle).clear();
        Ok(Alone { connection: connect(&self.client).await?, clean: false, home: self })
    }
}

async fn connect(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(RESPONSE));
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// A connection for exclusive use. If it is dropped while it is not clean, it is closed, because a command may still be
/// running on it.
pub(super) struct Alone<'a> {
    connection: MultiplexedConnection,
    clean: bool,
    home: &'a Connections,
}

impl Alone<'_> {
    /// Says whether the connection is clean: no command is running on it.
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
