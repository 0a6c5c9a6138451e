//! What several suites use.

// Each suite is a program of its own and uses a part of this.
#![allow(dead_code)]

pub mod aws;
pub mod proxy;
pub mod tree;

#[path = "../../servers/mod.rs"]
pub mod servers;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_backends::{Memory, Sqlite, Stepwise};
use brrr_protocol::ports::Backend;
use tempfile::TempDir;

/// The backends under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    MemoryStepwise,
    Sqlite,
    SqliteStepwise,
    /// Records in DynamoDB, messages and counters in memory.
    DynamoDb,
    /// Records and counters in DynamoDB, messages in SQS.
    DynamoDbSqs,
}

/// A fresh backend, with the folder that it lives in.
pub struct Fixture {
    pub backend: Arc<dyn Backend>,
    _folder: Option<TempDir>,
}

/// Long enough for a loaded machine never to lose a lease by accident.
pub const LONG: Duration = Duration::from_secs(60);

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Memory, Self::MemoryStepwise, Self::Sqlite, Self::SqliteStepwise, Self::DynamoDb, Self::DynamoDbSqs];

    /// Are its transitions one step each?
    pub fn is_fused(self) -> bool {
        matches!(self, Self::Memory | Self::Sqlite)
    }

    /// Does it tell who waits for a record of changes, instead of saying at times that something may have changed?
    pub fn tells_of_changes(self) -> bool {
        !matches!(self, Self::DynamoDb | Self::DynamoDbSqs)
    }

    /// Can it be had here? If not, that has been said.
    pub fn is_there(self) -> bool {
        match self {
            Self::Memory | Self::MemoryStepwise | Self::Sqlite | Self::SqliteStepwise => true,
            Self::DynamoDb => servers::dynamodb::shared().is_some(),
            Self::DynamoDbSqs => servers::dynamodb::shared().is_some() && servers::elasticmq::shared().is_some(),
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
            Self::MemoryStepwise => stepwise(memory()),
            Self::SqliteStepwise => stepwise(sqlite()),
            Self::DynamoDb => (aws::dynamodb_in_memory(lease).await, None),
            Self::DynamoDbSqs => (aws::dynamodb_sqs(lease).await, None),
        };
        Fixture { backend, _folder: folder }
    }
}

fn stepwise<T>((backend, folder): (Arc<dyn Backend>, T)) -> (Arc<dyn Backend>, T) {
    (Arc::new(Stepwise(backend)), folder)
}

/// Asks until there is an answer: no test waits for a fixed time and hopes.
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
