//! The queue of a topic: its name and its URL.

use std::sync::Arc;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;

use super::{BACKEND, SqsInner, lock};
use crate::aws::caught;

/// The suffix of the name of the queue for redriven messages.
const REDRIVE_SUFFIX: &str = "-dead";

/// The most characters of a queue's name, including the suffix: the limit of SQS.
const MAX_NAME: usize = 80;

impl SqsInner {
    /// The name of the topic's queue.
    pub(super) fn queue_name(&self, topic: &Topic) -> Result<String> {
        let name = format!("{}{topic}", self.prefix);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let reason = if topic.as_str().ends_with(".fifo") {
            "FIFO queues are not supported (they delay no single message, and drop what is sent twice on purpose)"
                .into()
        } else if topic.as_str().is_empty() {
            "a topic without a name has no queue in SQS".into()
        } else if let Some(c) = name.chars().find(|c| !allowed(*c)) {
            format!("SQS has no {c:?} in a queue's name: letters, digits, `-` and `_` only")
        } else if name.len() + REDRIVE_SUFFIX.len() > MAX_NAME {
            let most = MAX_NAME - REDRIVE_SUFFIX.len() - self.prefix.len().min(MAX_NAME - REDRIVE_SUFFIX.len());
            format!("the queue's name would be {name:?}; a topic has at most {most} characters here")
        } else {
            return Ok(name);
        };
        let topic: String = topic.as_str().chars().take(100).collect();
        Err(Error::new(ErrorKind::Config, BACKEND, format!("use the topic {topic:?}"), reason))
    }

    pub(super) fn redrive_queue_name(&self, topic: &Topic) -> Result<String> {
        self.queue_name(topic).map(|name| name + REDRIVE_SUFFIX)
    }

    /// The URL of a queue. `None`: there is no queue of this name.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Arc<str>>> {
        if let Some(url) = lock(&self.urls).get(name) {
            return Ok(Some(url.clone()));
        }
        let answer = match self.client.get_queue_url().queue_name(name).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = caught(BACKEND, format!("find the queue {name}"), error);
                return if error.kind == ErrorKind::NotSetUp { Ok(None) } else { Err(error) };
            }
        };
        let url: Option<Arc<str>> = answer.queue_url.map(Into::into);
        if let Some(url) = &url {
            lock(&self.urls).insert(name.to_owned(), url.clone());
        }
        Ok(url)
    }

    /// The URL of the topic's queue.
    pub(super) async fn queue(&self, topic: &Topic) -> Result<Arc<str>> {
        let name = self.queue_name(topic)?;
        self.find(&name).await?.ok_or_else(|| {
            let reason = format!("there is no queue {name}; run: brrr-host setup --topic {topic}");
            Error::new(ErrorKind::NotSetUp, BACKEND, format!("use the topic {topic}"), reason)
        })
    }
}
