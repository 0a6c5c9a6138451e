//! The server says when a job has ended, to those who wait for jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Notify;

use super::connections::Connections;
use super::error;

/// The pause before the server is asked again, after the connection has ended.
const AGAIN: Duration = Duration::from_secs(5);

/// Hears of the ends of jobs. The first one who waits begins to listen.
#[derive(Default)]
pub(super) struct Over {
    heard: Arc<Notify>,
    listens: AtomicBool,
}

impl Over {
    /// Returns when a job has ended. May never return: the server may forbid to listen, jobs of workers of other SDKs are not
    /// heard of, and a message may get lost. So the caller looks by itself too, but less often.
    pub async fn heard(&self, connections: &Connections, channel: &str) {
        let notified = self.heard.notified();
        if !self.listens.swap(true, Ordering::Relaxed) {
            let (heard, client, channel) = (self.heard.clone(), connections.client(), channel.to_owned());
            tokio::spawn(async move {
                // Without the backend, nobody waits any more.
                while Arc::strong_count(&heard) > 1 {
                    if let Err(error) = listen(&client, &channel, &heard).await {
                        tracing::debug!("not told of the ends of jobs: {error}");
                        if error::is_forbidden(&error) {
                            return;
                        }
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        notified.await;
    }
}

async fn listen(client: &redis::Client, channel: &str, heard: &Arc<Notify>) -> redis::RedisResult<()> {
    let mut connection = client.get_async_pubsub().await?;
    connection.subscribe(channel).await?;
    let mut messages = connection.into_on_message();
    // A job may have ended before.
    heard.notify_waiters();
    while Arc::strong_count(heard) > 1 {
        match tokio::time::timeout(AGAIN, messages.next()).await {
            Ok(Some(_)) => heard.notify_waiters(),
            Ok(None) => return Ok(()),
            // Nothing has happened. Is anybody there yet?
            Err(_) => {}
        }
    }
    Ok(())
}
