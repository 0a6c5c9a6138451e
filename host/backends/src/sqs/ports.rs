//! The `Queue` port on SQS.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName};
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::listing::Listing;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backlog, DeadLetter, Delivery, Key, Kind, Outgoing, Queue, Receipt, Swap};
use brrr_protocol::records::{
    dead_letter_id, dead_letter_time, decode_dead_letter, encode_dead_letter, is_dead_letter_of,
};
use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::envelope::Envelope;
use super::send::failed_index;
use super::{BACKEND, BATCH, LONGEST_LEASE, PATIENCE, Sqs, SqsInner, lock};
use crate::aws::caught;
use crate::now_millis;

/// The most bytes of a body in a dead letter, small enough for any store. The messages of this program are much
/// smaller.
const MAX_DEAD_LETTER_BODY: usize = 256 << 10;

/// Decodes the record of a dead letter. A record that can't be read gives a dead letter without a body, with the error
/// as the reason. So it can be listed and dropped, and does not hide the others. No queue accepts an empty body, so it
/// can't be sent again.
fn read_dead_letter(topic: &Topic, id: &str, bytes: &[u8]) -> (DeadLetter, Option<Error>) {
    let error = match decode_dead_letter(id, bytes) {
        Ok(dead_letter) => return (dead_letter, None),
        Err(error) => error.of(&Key::new(id, Kind::DeadLetter)),
    };
    let at = dead_letter_time(id).unwrap_or(0);
    let dead_letter =
        DeadLetter { id: id.to_owned(), topic: topic.clone(), body: String::new(), reason: error.to_string(), at };
    (dead_letter, Some(error))
}

#[async_trait]
impl Queue for Sqs {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()> {
        let mut topics: HashMap<&Topic, Vec<Envelope>> = HashMap::new();
        for message in messages {
            let envelope = Envelope { body: message.body.clone(), delay: message.delay, receives: 0 };
            topics.entry(&message.topic).or_default().push(envelope);
        }
        try_join_all(topics.into_iter().map(|(topic, envelopes)| self.0.send(topic, envelopes))).await.map(drop)
    }

    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        self.0.receive(topic, max, wait).await
    }

    async fn ack(&self, receipt: &Receipt) -> Result<()> {
        let Some(held) = self.0.take(receipt) else { return Ok(()) };
        let deleted = self.0.delete(&held.url, held.handle.clone()).await;
        deleted.inspect_err(|_| lock(&self.0.held).put_back(receipt, held))
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let mut queues: HashMap<Arc<str>, Vec<(usize, String)>> = HashMap::new();
        for (n, receipt) in receipts.iter().enumerate() {
            if let Some(held) = lock(&self.0.held).get(receipt) {
                queues.entry(held.url.clone()).or_default().push((n, held.handle.clone()));
            }
        }
        let batches = queues.iter().flat_map(|(url, handles)| handles.chunks(BATCH).map(move |batch| (url, batch)));
        let at = Instant::now();
        let extended = try_join_all(batches.map(|(url, batch)| self.0.extend(url, batch))).await?;
        let mut answers = vec![false; receipts.len()];
        for n in extended.into_iter().flatten() {
            answers[n] = true;
            lock(&self.0.held).extended(&receipts[n], at + self.0.lease);
        }
        Ok(answers)
    }

    fn lease(&self) -> Duration {
        self.0.lease
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.0.nack(receipt, delay).await
    }

    async fn move_to_dlq(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let Some(held) = self.0.take(&delivery.receipt) else { return Ok(()) };
        let micros = UNIX_EPOCH.elapsed().map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX));
        let id = dead_letter_id(&held.topic, micros, &held.message_id);
        let (topic, at) = (held.topic.clone(), now_millis());
        let mut dead_letter = DeadLetter { id, topic, body: held.body.clone(), reason: reason.to_owned(), at };
        if dead_letter.body.len() > MAX_DEAD_LETTER_BODY {
            dead_letter.reason =
                format!("{reason} (only the beginning of its {} bytes is kept)", dead_letter.body.len());
            dead_letter.body.truncate(dead_letter.body.floor_char_boundary(MAX_DEAD_LETTER_BODY));
        }
        let kept = async {
            self.0
                .dead_letters
                .put(&Key::new(&dead_letter.id, Kind::DeadLetter), encode_dead_letter(&dead_letter))
                .await?;
            self.0.delete(&held.url, held.handle.clone()).await
        };
        kept.await.inspect_err(|_| lock(&self.0.held).put_back(&delivery.receipt, held))
    }

    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>> {
        let (mut listing, mut ids) = (Listing::of(&*self.0.dead_letters, Kind::DeadLetter), Vec::new());
        while let Some(page) = listing.next().await? {
            ids.extend(page.into_iter().filter(|id| is_dead_letter_of(topic, id)));
        }
        // The order of the ids is the order of time.
        ids.sort_unstable();
        ids.truncate(limit);
        let keys: Vec<Key> = ids.iter().map(|id| Key::new(id, Kind::DeadLetter)).collect();
        let found = self.0.dead_letters.get_many(&keys).await?;
        // Another task may have taken a dead letter in between.
        let dead_letters = ids.iter().zip(found).filter_map(|(id, bytes)| Some(read_dead_letter(topic, id, &bytes?).0));
        Ok(dead_letters.collect())
    }

    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>> {
        if !is_dead_letter_of(topic, id) {
            return Ok(None);
        }
        let key = Key::new(id, Kind::DeadLetter);
        let Some(bytes) = self.0.dead_letters.get(&key).await? else { return Ok(None) };
        let (dead_letter, error) = read_dead_letter(topic, id, &bytes);
        // A record of a newer version is left for that version.
        if let Some(error) = error.filter(|error| error.kind == ErrorKind::NewerRecord) {
            return Err(error);
        }
        let taken = self.0.dead_letters.swap(&key, Some(&bytes), None).await? == Swap::Done;
        Ok(taken.then_some(dead_letter))
    }

    async fn depth(&self, topic: &Topic) -> Result<u64> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let url = self.0.queue(topic).await?;
        let attributes = self.0.attributes(&url, &names).await?;
        Ok(names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum())
    }

    /// SQS tells the age of messages to CloudWatch only.
    async fn backlog(&self, topic: &Topic) -> Result<Backlog> {
        let (ready, delayed) =
            (QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesDelayed);
        let url = self.0.queue(topic).await?;
        let attributes = self.0.attributes(&url, &[ready.clone(), delayed.clone()]).await?;
        let count = |name| attributes.get(name).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        Ok(Backlog { ready: count(&ready), delayed: count(&delayed), ..Backlog::default() })
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    async fn check(&self, topic: &Topic, longest_run: Duration) -> Result<()> {
        let longest = LONGEST_LEASE - self.0.lease;
        if longest_run > longest {
            let reason = format!(
                "SQS takes a message away from its worker after {} h; set a timeout of {} s or less",
                LONGEST_LEASE.as_secs() / 3_600,
                longest.as_secs()
            );
            let doing = format!("work on topic {topic}, whose calls may run for {longest_run:?}");
            return Err(Error::new(ErrorKind::Config, BACKEND, doing, reason));
        }
        self.0.queue(topic).await.map(drop)
    }

    async fn create(&self, topics: &[Topic]) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for topic in topics {
            lines.extend(self.0.create_queues(topic).await?);
        }
        Ok(lines)
    }
}

impl SqsInner {
    /// Removes a message from the table, if its lease is still valid.
    fn take(&self, receipt: &Receipt) -> Option<super::held::Held> {
        lock(&self.held).take(receipt)
    }

    pub(super) async fn nack(self: &Arc<Self>, receipt: &Receipt, delay: Duration) -> Result<()> {
        let Some(held) = self.take(receipt) else { return Ok(()) };
        let put_back = self.put_back(held.clone(), delay).await;
        put_back.inspect_err(|_| lock(&self.held).put_back(receipt, held))
    }

    /// Extends the leases of a batch. Returns the indexes of the extended leases.
    async fn extend(&self, url: &Arc<str>, batch: &[(usize, String)]) -> Result<Vec<usize>> {
        let seconds = self.lease.as_secs() as i32;
        let doing = || format!("extend leases of {url}");
        let entries = batch.iter().enumerate().map(|(n, (_, handle))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle);
            let entry = entry.visibility_timeout(seconds).build();
            entry.map_err(|e| Error::new(ErrorKind::Internal, BACKEND, doing(), e.to_string()))
        });
        let entries = entries.collect::<Result<Vec<_>>>()?;
        let request = self.extending.change_message_visibility_batch().queue_url(&**url).set_entries(Some(entries));
        let answer = request.send().await.map_err(|e| caught(BACKEND, doing(), e))?;
        let failed: Vec<usize> = answer.failed.iter().filter_map(failed_index).collect();
        Ok(batch.iter().enumerate().filter(|(n, _)| !failed.contains(n)).map(|(_, (n, _))| *n).collect())
    }

    pub(super) async fn attributes(
        &self,
        url: &str,
        names: &[QueueAttributeName],
    ) -> Result<HashMap<QueueAttributeName, String>> {
        let request =
            self.client.get_queue_attributes().queue_url(url).set_attribute_names(Some(names.to_vec())).send();
        let answer = request.await.map_err(|e| caught(BACKEND, format!("look at {url}"), e))?;
        Ok(answer.attributes.unwrap_or_default())
    }
}
