//! What several suites use.

// Each suite is a program of its own and uses a part of this.
#![allow(dead_code)]

pub mod tree;

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
}

/// A fresh backend, with the folder that it lives in.
pub struct Fixture {
    pub backend: Arc<dyn Backend>,
    _folder: Option<TempDir>,
}

/// Long enough for a loaded machine never to lose a lease by accident.
pub const LONG: Duration = Duration::from_secs(60);

impl Kind {
    pub fn open(self) -> Fixture {
        self.open_with(LONG)
    }

    pub fn open_with(self, lease: Duration) -> Fixture {
        let sqlite = || {
            let folder = tempfile::tempdir().unwrap();
            let backend = Sqlite::options().lease(lease).open(folder.path().join("state.db")).unwrap();
            (Arc::new(backend) as Arc<dyn Backend>, Some(folder))
        };
        let memory = || (Arc::new(Memory::with_lease(lease)) as Arc<dyn Backend>, None);
        let (backend, folder) = match self {
            Kind::Memory => memory(),
            Kind::Sqlite => sqlite(),
            Kind::MemoryStepwise => stepwise(memory()),
            Kind::SqliteStepwise => stepwise(sqlite()),
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
