//! Several commands as one, without a script: look, decide, and write only if nobody wrote meanwhile.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Value, cmd};

use super::Redis;
use super::connections::Alone;

/// Keys that are watched. Who looks and decides to write calls `commit`, and looks again if that says so; who has nothing
/// to write calls `leave`. Dropped before that, its connection is closed.
pub(super) struct Watch<'a> {
    alone: Alone<'a>,
    keys: Vec<String>,
    /// Commits that came to nothing.
    failures: u32,
}

/// The most that whoever was too late waits before it looks again. Half of it on average, after one failure a sixteenth.
const MOST_BACK_OFF: Duration = Duration::from_millis(64);

fn back_off(failures: u32) -> Duration {
    let most = MOST_BACK_OFF / 8 * (1 << failures.clamp(1, 4)) / 2;
    most.mul_f64(fastrand::f64())
}

impl Redis {
    pub(super) async fn watch(&self, keys: Vec<String>) -> RedisResult<Watch<'_>> {
        let mut watch = Watch { alone: self.0.connections.alone().await?, keys, failures: 0 };
        match watch.begin().await {
            // One that was kept may be dead since; nothing was done on it yet, so a new one may take its place.
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

    /// For looking.
    pub fn connection(&mut self) -> &mut MultiplexedConnection {
        &mut self.alone
    }

    /// Does all of `pipe` if none of the keys was written since they were watched; else nothing, and watches them again.
    /// Somebody else's write is what makes it fail, so somebody always gets on; the others wait a moment, the longer the more
    /// often they were too late.
    pub async fn commit(&mut self, mut pipe: Pipeline) -> RedisResult<bool> {
        // An aborted transaction answers nil.
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
