//! Makes the queues. Never at run time: only `brrr-host setup` does.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName;
use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;

use super::{BACKEND, Inner, lock};
use crate::aws::caught;

/// Deliveries after which SQS itself moves a message to the `…-dead` queue: twice the worker's own limit, which therefore
/// comes first, unless the message ends every worker before.
pub(super) const BACKSTOP: u32 = 20;

/// How long SQS keeps a message: its maximum, 14 days. A fleet that stands still for a long weekend loses nothing.
const RETENTION: &str = "1209600";

impl Inner {
    /// Makes a topic's two queues, if they aren't there. A line for each.
    pub(super) async fn create_queues(&self, topic: &Topic) -> Result<Vec<String>> {
        let (name, dead_name) = (self.queue_name(topic)?, self.dead_queue_name(topic)?);
        let (dead_url, dead_line) = self.create_queue(&dead_name).await?;
        let (url, mut line) = self.create_queue(&name).await?;
        let dead = self.attributes(&dead_url, &[QueueAttributeName::QueueArn]).await?;
        let arn = dead.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default();
        let policy = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": BACKSTOP });
        let there = self.attributes(&url, &[QueueAttributeName::RedrivePolicy]).await?;
        let there = there.get(&QueueAttributeName::RedrivePolicy).filter(|text| !text.is_empty());
        let there = there.map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default());
        match there {
            None => {
                self.set(&url, QueueAttributeName::RedrivePolicy, policy.to_string()).await?;
                line.push_str(&format!("; redrives to {dead_name} after {BACKSTOP} deliveries"));
            }
            Some(there) if is_same(&there, &policy) => {}
            // Somebody has meant it so.
            Some(there) => line.push_str(&format!(
                "; its own redrive policy stays: {there} (brrr-host drains only {dead_name}, and would have {policy})"
            )),
        }
        Ok(vec![line, dead_line])
    }

    /// A queue's address, and what was done about it.
    async fn create_queue(&self, name: &str) -> Result<(String, String)> {
        if let Some(url) = self.find(name).await? {
            return Ok((url.to_string(), format!("queue {name}: is there")));
        }
        let visibility = self.lease.as_secs().to_string();
        let attributes = HashMap::from([
            (QueueAttributeName::MessageRetentionPeriod, RETENTION.to_owned()),
            // For peers; we say how long at each receive.
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

/// SQS gives the count back as a text or as a number.
fn is_same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    let part = |policy: &serde_json::Value, name: &str| policy[name].to_string().trim_matches('"').to_owned();
    ["deadLetterTargetArn", "maxReceiveCount"].iter().all(|name| part(a, name) == part(b, name))
}
