//! Code that several suites use.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

pub mod aws;
pub mod proxy;
pub mod tree;

#[path = "../../support/servers/mod.rs"]
pub mod servers;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_backends::{Memory, MultiStep, Redis, Sqlite, redis};
use brrr_protocol::ports::Backend;
use tempfile::TempDir;

use servers::redis::{Flavour, WITHOUT_SCRIPTS};

/// The backends under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    MemoryMultiStep,
    Sqlite,
    SqliteMultiStep,
    Redis,
    RedisMultiStep,
    /// A server on which the user may not run scripts.
    RedisWithoutScripts,
    Valkey,
    /// Records in DynamoDB, messages and counters in memory.
    DynamoDb,
    /// Records and counters in DynamoDB, messages in SQS.
    DynamoDbSqs,
    /// The setup of fleets with peers: messages and counters in Redis, records in DynamoDB.
    RedisDynamoDb,
}

/// A fresh backend, with the folder that contains it.
pub struct Fixture {
    pub backend: Arc<dyn Backend>,
    _folder: Option<TempDir>,
}

/// A lease so long that a loaded machine does not lose it by accident.
pub const LONG: Duration = Duration::from_secs(60);

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Memory,
        Self::MemoryMultiStep,
        Self::Sqlite,
        Self::SqliteMultiStep,
        Self::Redis,
        Self::RedisMultiStep,
        Self::RedisWithoutScripts,
        Self::Valkey,
        Self::DynamoDb,
        Self::DynamoDbSqs,
        Self::RedisDynamoDb,
    ];

    /// Is each of its transitions one transaction?
    pub fn is_transactional(self) -> bool {
        matches!(self, Self::Memory | Self::Sqlite | Self::Redis | Self::Valkey)
    }

    /// Does it report changes to a client that waits for a record? Otherwise it only says from time to time that something may
    /// have changed.
    pub fn reports_changes(self) -> bool {
        matches!(self, Self::Memory | Self::MemoryMultiStep | Self::Sqlite | Self::SqliteMultiStep)
    }

    /// Can the contents of its queue be listed?
    pub fn can_be_looked_through(self) -> bool {
        self != Self::DynamoDbSqs
    }

    /// Is it available on this machine? If not, this prints a message.
    pub fn is_there(self) -> bool {
        let redis = self.flavour().is_none_or(|flavour| flavour.shared().is_some());
        let dynamodb = matches!(self, Self::DynamoDb | Self::DynamoDbSqs | Self::RedisDynamoDb);
        redis
            && (!dynamodb || servers::dynamodb::shared().is_some())
            && (self != Self::DynamoDbSqs || servers::elasticmq::shared().is_some())
    }

    fn flavour(self) -> Option<Flavour> {
        match self {
            Self::Redis | Self::RedisMultiStep | Self::RedisWithoutScripts | Self::RedisDynamoDb => {
                Some(Flavour::Redis)
            }
            Self::Valkey => Some(Flavour::Valkey),
            _ => None,
        }
    }

    pub async fn open(self) -> Fixture {
        self.open_with(LONG).await
    }

    pub async fn open_with(self, lease: Duration) -> Fixture {
        let sqlite = || {
            let folder = tempfile::tempdir().unwrap();
            let backend = Sqlite::options().lease(lease).open(folder.path().join("state.db")).unwrap();
            (Arc::new(backend) as Arc<dyn Backend>, Some(folder))
        };
        let memory = || (Arc::new(Memory::with_lease(lease)) as Arc<dyn Backend>, None);
        let (backend, folder) = match self {
            Self::Memory => memory(),
            Self::Sqlite => sqlite(),
            Self::MemoryMultiStep => multi_step(memory()),
            Self::SqliteMultiStep => multi_step(sqlite()),
            Self::Redis | Self::Valkey | Self::RedisWithoutScripts => self.whole_redis(lease).await,
            Self::RedisMultiStep => multi_step(self.whole_redis(lease).await),
            Self::DynamoDb => (aws::dynamodb_in_memory(lease).await, None),
            Self::DynamoDbSqs => (aws::dynamodb_sqs(lease).await, None),
            Self::RedisDynamoDb => (aws::dynamodb_with(self.redis(lease).await).await, None),
        };
        Fixture { backend, _folder: folder }
    }

    async fn whole_redis(self, lease: Duration) -> (Arc<dyn Backend>, Option<TempDir>) {
        (Arc::new(self.redis(lease).await), None)
    }

    async fn redis(self, lease: Duration) -> Redis {
        let server = self.flavour().and_then(Flavour::shared).expect("a server, see `is_there`");
        let user = if self == Self::RedisWithoutScripts {
            format!("{WITHOUT_SCRIPTS}:{WITHOUT_SCRIPTS}@")
        } else {
            String::new()
        };
        // All tests use the same server.
        let namespace = format!("{:016x}", fastrand::u64(..));
        let url = format!("redis://{user}127.0.0.1:{}", server.port);
        let options = redis::RedisOptions { namespace, lease, ..redis::RedisOptions::new(url) };
        Redis::connect(options).await.unwrap()
    }
}

fn multi_step<T>((backend, folder): (Arc<dyn Backend>, T)) -> (Arc<dyn Backend>, T) {
    (Arc::new(MultiStep(backend)), folder)
}

/// Repeats the check until there is an answer. So no test needs to wait for a fixed time.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
