//! Creates the queues. Only `brrr-host setup` does this, never a running worker.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;

use super::{BACKEND, SqsInner, lock};
use crate::aws::caught;

/// The number of deliveries after which SQS itself moves a message to the `…-dead` queue. It is twice the worker's own
/// limit. So the worker moves the message first, unless the message ends every worker before that.
pub(super) const BACKSTOP: u32 = 20;

/// How long SQS keeps a message: its maximum, 14 days. So a fleet that is stopped for a long weekend loses nothing.
const RETENTION: &str = "1209600";

impl SqsInner {
    /// Creates the two queues of a topic, if they are missing. Returns a line of text for each queue.
    pub(super) async fn create_queues(&self, topic: &Topic) -> Result<Vec<String>> {
        let (name, redrive_name) = (self.queue_name(topic)?, self.redrive_queue_name(topic)?);
        let (redrive_url, redrive_line) = self.create_queue(&redrive_name).await?;
        let (url, mut line) = self.create_queue(&name).await?;
        let redrive_attributes = self.attributes(&redrive_url, &[QueueAttributeName::QueueArn]).await?;
        let arn = redrive_attributes.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default();
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": BACKSTOP });
        let there = self.attributes(&url, &[QueueAttributeName::RedrivePolicy]).await?;
        let there = there.get(&QueueAttributeName::RedrivePolicy).filter(|text| !text.is_empty());
        let there = there.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default());
        match there {
            None => {
                self.set(&url, QueueAttributeName::RedrivePolicy, policy.to_string()).await?;
                line.push_str(&format!("; redrives to {redrive_name} after {BACKSTOP} deliveries"));
            }
            Some(there) if is_same(&there, &policy) => {}
            // A different policy was set on purpose, so it stays.
            Some(there) => line.push_str(&format!(
                "; its own redrive policy stays: {there} (brrr-host drains only {redrive_name}, and would have {policy})"
            )),
        }
        Ok(vec![line, redrive_line])
    }

    /// Creates a queue if it is missing. Returns its URL, and a line of text about what was done.
    async fn create_queue(&self, name: &str) -> Result<(String, String)> {
        if let Some(url) = self.find(name).await? {
            return Ok((url.to_string(), format!("queue {name}: is there")));
        }
        let visibility = self.lease.as_secs().to_string();
        let attributes = HashMap::from([
            (QueueAttributeName::MessageRetentionPeriod, RETENTION.to_owned()),
            // For peers. This program sends the lease with each receive request.
            (QueueAttributeName::VisibilityTimeout, visibility),
        ]);
        let request = self.client.create_queue().queue_name(name).set_attributes(Some(attributes)).send();
        let answer = request.await.map_err(|e| caught(BACKEND, format!("make the queue {name}"), e))?;
        let url = answer.queue_url.ok_or_else(|| {
            Error::new(ErrorKind::Internal, BACKEND, format!("make the queue {name}"), "the answer has no address")
        })?;
        lock(&self.urls).insert(name.to_owned(), url.as_str().into());
        Ok((url, format!("queue {name}: made")))
    }

    async fn set(&self, url: &str, name: QueueAttributeName, value: String) -> Result<()> {
        let request = self.client.set_queue_attributes().queue_url(url).attributes(name, value).send();
        request.await.map(drop).map_err(|e| caught(BACKEND, format!("set up {url}"), e))
    }
}

/// Compares two policies. SQS returns the count as a text or as a number.
fn is_same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    let part = |policy: &serde_json::Value, name: &str| policy[name].to_string().trim_matches('"').to_owned();
    ["deadLetterTargetArn", "maxReceiveCount"].iter().all(|name| part(a, name) == part(b, name))
}
