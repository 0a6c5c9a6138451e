//! The server's time. It is read when the client connects, and once a minute after that.

use brrr_protocol::model::{Millis, system_now};
use redis::{RedisResult, cmd};
use tokio::runtime::Handle;

use super::Redis;

impl Redis {
    /// The server's time, estimated from its last answer.
    pub(super) fn server_now(&self) -> Millis {
        if self.0.clock.is_due() {
            match Handle::try_current() {
                Ok(runtime) => {
                    let redis = self.clone();
                    drop(runtime.spawn(async move {
                        if let Err(error) = redis.read_clock().await {
                            tracing::debug!("could not ask Redis for the time: {error}");
                        }
                    }));
                }
                Err(_) => self.0.clock.measured(),
            }
        }
        self.0.clock.now()
    }

    pub(super) async fn read_clock(&self) -> RedisResult<()> {
        let asked = system_now();
        let answer = cmd("TIME").query_async::<(u64, u64)>(&mut self.0.connections.shared()).await;
        self.0.clock.measured();
        let (seconds, micros) = answer?;
        self.0.clock.measure(asked, system_now(), seconds * 1_000 + micros / 1_000, 0);
        Ok(())
    }
}
