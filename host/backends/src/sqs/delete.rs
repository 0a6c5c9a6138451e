//! Deleting: what several tasks acknowledge at about the same time goes in one request.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use brrr_protocol::error::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::send::place;
use super::{BACKEND, BATCH, Inner, lock};
use crate::aws::{TRIES, caught, pause};

/// How long the first one waits for more: little against a request, and enough for those that were received together and took
/// about as long.
const GATHER: Duration = Duration::from_millis(3);

/// A message that waits to be deleted, and who waits for that.
pub(super) struct Waiting {
    handle: String,
    done: oneshot::Sender<Result<()>>,
}

impl Inner {
    /// Deletes a message; returns when SQS has answered.
    pub(super) async fn delete(self: &Arc<Self>, url: &Arc<str>, handle: String) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let (count, full) = {
            let mut deletes = lock(&self.deletes);
            let waiting = deletes.entry(url.clone()).or_default();
            waiting.push(Waiting { handle, done });
            let count = waiting.len();
            (count, (count >= BATCH).then(|| std::mem::take(waiting)))
        };
        let (inner, url) = (self.clone(), url.clone());
        // In a task of its own: it is done for all of them, even if this one is dropped.
        if let Some(batch) = full {
            tokio::spawn(async move { inner.delete_batch(&url, batch).await });
        } else if count == 1 {
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                let batch = lock(&inner.deletes).get_mut(&url).map(std::mem::take).unwrap_or_default();
                inner.delete_batch(&url, batch).await;
            });
        }
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, BACKEND, "delete a message", "the program is ending"))
        })
    }

    async fn delete_batch(&self, url: &Arc<str>, mut batch: Vec<Waiting>) {
        for tried in 0..TRIES {
            if batch.is_empty() {
                return;
            }
            let failed = match self.delete_once(url, &batch).await {
                Ok(failed) => failed,
                Err(error) => return answer_all(batch, &error),
            };
            let (again, done): (Vec<_>, Vec<_>) = batch.into_iter().enumerate().partition(|(n, _)| failed.contains(n));
            // Who has given up does not want to know.
            done.into_iter().for_each(|(_, waiting)| drop(waiting.done.send(Ok(()))));
            batch = again.into_iter().map(|(_, waiting)| waiting).collect();
            if !batch.is_empty() {
                pause(tried).await;
            }
        }
        let reason = format!("SQS did not delete it, {TRIES} times");
        answer_all(batch, &Error::new(ErrorKind::Unavailable, BACKEND, format!("delete from {url}"), reason));
    }

    /// The places of those to be tried again.
    async fn delete_once(&self, url: &Arc<str>, batch: &[Waiting]) -> Result<Vec<usize>> {
        let entries = batch.iter().enumerate().map(|(n, waiting)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(&waiting.handle);
            entry.build().map_err(|e| Error::new(ErrorKind::Internal, BACKEND, "delete a message", e.to_string()))
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        let request = self.client.delete_message_batch().queue_url(&**url).set_entries(Some(entries));
        let answer = request.send().await.map_err(|e| caught(BACKEND, format!("delete from {url}"), e))?;
        // A fault of the sender: the receipt is no longer good, so that somebody else has the message, or nobody.
        Ok(answer.failed.iter().filter(|failed| !failed.sender_fault).filter_map(place).collect())
    }
}

fn answer_all(batch: Vec<Waiting>, error: &Error) {
    for waiting in batch {
        let copy = Error::new(error.kind, error.backend, error.operation.clone(), error.reason.clone());
        drop(waiting.done.send(Err(copy)));
    }
}
