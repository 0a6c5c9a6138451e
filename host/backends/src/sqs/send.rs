//! Sends messages, ten at a time.

use std::sync::Arc;

use aws_sdk_sqs::types::BatchResultErrorEntry;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::envelope::Envelope;
use super::{AT_ONCE, BACKEND, BATCH, SqsInner};
use crate::aws::{TRIES, caught, pause};

/// The most bytes of all messages in one request. This is the smallest limit of SQS, of its older regions and of its
/// local versions.
const MAX_REQUEST: usize = 256 << 10;

impl SqsInner {
    /// Sends messages to a topic.
    ///
    /// # Errors
    /// An invalid topic is an error of kind `Limit` here. So it fails the call that named the topic, and does not stop
    /// the worker.
    pub(super) async fn send(&self, topic: &Topic, envelopes: Vec<Envelope>) -> Result<()> {
        envelopes.iter().try_for_each(Envelope::check)?;
        let url = self.queue(topic).await.map_err(|error| match error.kind {
            ErrorKind::Config | ErrorKind::NotSetUp => Error { kind: ErrorKind::Limit, ..error },
            _ => error,
        })?;
        let requests = batches(envelopes).into_iter().map(|batch| self.send_batch(&url, batch));
        stream::iter(requests).buffered(AT_ONCE).try_collect().await
    }

    async fn send_batch(&self, url: &Arc<str>, mut envelopes: Vec<Envelope>) -> Result<()> {
        for tried in 0..TRIES {
            let entries = envelopes.iter().enumerate().map(|(n, envelope)| envelope.entry(n)).collect::<Result<_>>()?;
            let request = self.client.send_message_batch().queue_url(&**url).set_entries(Some(entries));
            let answer = request.send().await.map_err(|e| caught(BACKEND, format!("send to {url}"), e))?;
            if let Some(refused) = answer.failed.iter().find(|failed| failed.sender_fault) {
                return Err(Error::new(ErrorKind::Limit, BACKEND, format!("send to {url}"), said(refused)));
            }
            envelopes =
                answer.failed.iter().filter_map(|failed| envelopes.get(failed_index(failed)?).cloned()).collect();
            if envelopes.is_empty() {
                return Ok(());
            }
            pause(tried).await;
        }
        let reason = format!("SQS did not take {} messages of a batch, {TRIES} times", envelopes.len());
        Err(Error::new(ErrorKind::Unavailable, BACKEND, format!("send to {url}"), reason))
    }
}

/// Splits messages into requests that SQS accepts.
fn batches(envelopes: Vec<Envelope>) -> Vec<Vec<Envelope>> {
    let mut batches: Vec<Vec<Envelope>> = Vec::with_capacity(envelopes.len().div_ceil(BATCH));
    let mut bytes = 0;
    for envelope in envelopes {
        bytes += envelope.body.len();
        match batches.last_mut().filter(|batch| batch.len() < BATCH && bytes <= MAX_REQUEST) {
            Some(batch) => batch.push(envelope),
            None => {
                bytes = envelope.body.len();
                batches.push(vec![envelope]);
            }
        }
    }
    batches
}

/// The index of the entry in the request.
pub(super) fn failed_index(failed: &BatchResultErrorEntry) -> Option<usize> {
    failed.id.parse().ok()
}

pub(super) fn said(failed: &BatchResultErrorEntry) -> String {
    format!("{} ({})", failed.message.as_deref().unwrap_or("no message"), failed.code)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn batches_respect_the_limits_of_sqs() {
        let envelope = |length: usize| Envelope { body: "x".repeat(length), delay: Duration::ZERO, receives: 0 };
        let sizes = |envelopes: Vec<Envelope>| batches(envelopes).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![envelope(1); 25]), [10, 10, 5]);
        assert_eq!(sizes(vec![envelope(100 << 10); 5]), [2, 2, 1]);
        assert_eq!(sizes(vec![envelope(300 << 10), envelope(1)]), [1, 1]);
    }
}
