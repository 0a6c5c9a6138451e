//! Runs several commands as one, without a script: read, decide, and write only if nobody else wrote in between.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Value, cmd};

use super::Redis;
use super::connections::Alone;

/// Watched keys. A task that decides to write calls `commit`, and reads again if `commit` returns false. A task that
/// has nothing to write calls `leave`. If it is dropped before that, its connection is closed.
pub(super) struct Watch<'a> {
    alone: Alone<'a>,
    keys: Vec<String>,
    /// The number of failed commits.
    failures: u32,
}

/// The longest pause after a failed commit. The average pause is half of it, and a sixteenth after the first failure.
const MOST_BACK_OFF: Duration = Duration::from_millis(64);

fn back_off(failures: u32) -> Duration {
    let most = MOST_BACK_OFF / 8 * (1 << failures.clamp(1, 4)) / 2;
    most.mul_f64(fastrand::f64())
}

impl Redis {
    pub(super) async fn watch(&self, keys: Vec<String>) -> RedisResult<Watch<'_>> {
        let mut watch = Watch { alone: self.0.connections.alone().await?, keys, failures: 0 };
        match watch.begin().await {
            // An idle connection may be dead by now. No command ran on it yet, so a new connection can replace it.
            Err(error) if error.is_io_error() => {
                watch.alone = self.0.connections.fresh().await?;
                watch.begin().await?;
            }
            begun => begun?,
        }
        Ok(watch)
    }
}

impl Watch<'_> {
    async fn begin(&mut self) -> RedisResult<()> {
        cmd("WATCH").arg(&self.keys).exec_async(&mut *self.alone).await
    }

    /// The connection for reading.
    pub fn connection(&mut self) -> &mut MultiplexedConnection {
        &mut self.alone
    }

    /// Runs all commands of `pipe` if none of the keys was written since they were watched. Otherwise it runs none, and
    /// watches the keys again. Only another task's write can make it fail, so one task always makes progress. The other
    /// tasks pause, and pause longer after each failure.
    pub async fn commit(&mut self, mut pipe: Pipeline) -> RedisResult<bool> {
        // The server answers an aborted transaction with nil.
        let done = pipe.atomic().query_async::<Option<Value>>(&mut *self.alone).await?.is_some();
        if !done {
            self.failures += 1;
            tokio::time::sleep(back_off(self.failures)).await;
            self.begin().await?;
        }
        self.alone.clean(done);
        Ok(done)
    }

    pub async fn leave(mut self) -> RedisResult<()> {
        cmd("UNWATCH").exec_async(&mut *self.alone).await?;
        self.alone.clean(true);
        Ok(())
    }
}
