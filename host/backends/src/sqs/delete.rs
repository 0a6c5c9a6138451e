//! Deletes messages. Acknowledgements of several tasks at about the same time share one request.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use brrr_protocol::error::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::send::failed_index;
use super::{BACKEND, BATCH, SqsInner, lock};
use crate::aws::{TRIES, caught, pause};

/// How long the first deletion waits for more deletions. This is short compared with a request. And it is long enough
/// for messages that were received together and took about the same time.
const GATHER: Duration = Duration::from_millis(3);

/// A message that waits to be deleted, and the channel for the answer to its task.
pub(super) struct WaitingDeletes {
    handle: String,
    done: oneshot::Sender<Result<()>>,
}

impl SqsInner {
    /// Deletes a message. Returns when SQS has answered.
    pub(super) async fn delete(self: &Arc<Self>, url: &Arc<str>, handle: String) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let (count, full) = {
            let mut deletes = lock(&self.deletes);
            let waiting = deletes.entry(url.clone()).or_default();
            waiting.push(WaitingDeletes { handle, done });
            let count = waiting.len();
            (count, (count >= BATCH).then(|| std::mem::take(waiting)))
        };
        let (inner, url) = (self.clone(), url.clone());
        // The request runs in a task of its own. So it serves all waiting tasks even if this one is dropped.
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

    async fn delete_batch(&self, url: &Arc<str>, mut batch: Vec<WaitingDeletes>) {
        for tried in 0..TRIES {
            if batch.is_empty() {
                return;
            }
            let failed = match self.delete_once(url, &batch).await {
                Ok(failed) => failed,
                Err(error) => return answer_all(batch, &error),
            };
            let (again, done): (Vec<_>, Vec<_>) = batch.into_iter().enumerate().partition(|(n, _)| failed.contains(n));
            // If the task no longer waits, it needs no answer.
            done.into_iter().for_each(|(_, waiting)| drop(waiting.done.send(Ok(()))));
            batch = again.into_iter().map(|(_, waiting)| waiting).collect();
            if !batch.is_empty() {
                pause(tried).await;
            }
        }
        let reason = format!("SQS did not delete it, {TRIES} times");
        answer_all(batch, &Error::new(ErrorKind::Unavailable, BACKEND, format!("delete from {url}"), reason));
    }

    /// Deletes a batch. Returns the indexes of the messages that must be tried again.
    async fn delete_once(&self, url: &Arc<str>, batch: &[WaitingDeletes]) -> Result<Vec<usize>> {
        let entries = batch.iter().enumerate().map(|(n, waiting)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(&waiting.handle);
            entry.build().map_err(|e| Error::new(ErrorKind::Internal, BACKEND, "delete a message", e.to_string()))
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        let request = self.client.delete_message_batch().queue_url(&**url).set_entries(Some(entries));
        let answer = request.send().await.map_err(|e| caught(BACKEND, format!("delete from {url}"), e))?;
        // A fault of the sender means that the receipt is not valid any more: another worker has the message, or the
        // message is deleted already. So it is not tried again.
        Ok(answer.failed.iter().filter(|failed| !failed.sender_fault).filter_map(failed_index).collect())
    }
}

fn answer_all(batch: Vec<WaitingDeletes>, error: &Error) {
    for waiting in batch {
        let copy = Error::new(error.kind, error.backend, error.operation.clone(), error.reason.clone());
        drop(waiting.done.send(Err(copy)));
    }
}
