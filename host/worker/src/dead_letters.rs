//! Dead letters, with what the store knows of their calls.

use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, Failure, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, DeadLetter, Key, NewJob, Outgoing, Scheduled};
use brrr_protocol::records::decode_failure;
use brrr_protocol::wire::{CallRecord, Message};
use serde::Serialize;
use utoipa::ToSchema;

use crate::events::time;
use crate::new_call::new_job_id;
use crate::view::FailureView;

/// A dead letter with what the store knows about its call.
#[derive(Debug)]
pub struct DeadLetterWithCall {
    /// The dead letter.
    pub dead_letter: DeadLetter,
    /// `None`: the message does not decode.
    pub message: Option<Message>,
    /// `None`: no record describes the call.
    pub call: Option<CallRecord>,
    /// The call has failed in its job.
    pub failed: bool,
    /// The failure, if its record can be read.
    pub failure: Option<Failure>,
}

/// A dead letter as JSON.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterDocument<'a> {
    /// The id of the dead letter.
    pub id: &'a str,
    /// Its topic.
    pub topic: &'a str,
    /// When it was set aside.
    pub at: String,
    /// Why.
    pub reason: &'a str,
    /// The message.
    pub body: &'a str,
    /// The job. `null`: the message does not decode.
    pub job: Option<&'a str>,
    /// The call.
    pub call: Option<&'a str>,
    /// The task. `null`: no record describes the call.
    pub task: Option<&'a str>,
    /// The payload of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// How the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView<'a>>,
}

/// The result of sending a message again.
#[derive(Debug)]
pub enum Sent {
    /// The call has failed, so it was sent in this new job.
    AsNewJob(JobId, Scheduled),
    /// The message was sent as it is.
    AsItIs,
    /// The call has failed, and its record is no longer in the store.
    NotDescribed,
}

impl DeadLetterWithCall {
    /// Reads what the store knows of the call.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn read(backend: &dyn Backend, dead_letter: DeadLetter) -> Result<Self> {
        let Ok(message) = Message::decode(dead_letter.body.as_bytes()) else {
            return Ok(Self { dead_letter, message: None, call: None, failed: false, failure: None });
        };
        let store = backend.store();
        let (call, failure) = (Key::call(&message.call), Key::failure(&message.call, &message.job_id));
        let call = store.get(&call).await?;
        let failure = store.get(&failure).await?;
        Ok(Self {
            dead_letter,
            message: Some(message),
            // The message may be a dead letter because its call's record does not decode.
            call: call.and_then(|bytes| CallRecord::decode(&bytes).ok()),
            failed: failure.is_some(),
            failure: failure.and_then(|bytes| decode_failure(&bytes).ok()),
        })
    }

    /// The dead letter as JSON. `full`: with payload and failure.
    #[must_use]
    pub fn view(&self, full: bool) -> DeadLetterDocument<'_> {
        let payload = self.call.as_ref().filter(|_| full);
        DeadLetterDocument {
            id: &self.dead_letter.id,
            topic: self.dead_letter.topic.as_str(),
            at: time(self.dead_letter.at),
            reason: &self.dead_letter.reason,
            body: &self.dead_letter.body,
            job: self.message.as_ref().map(|message| message.job_id.as_str()),
            call: self.message.as_ref().map(|message| message.call.as_str()),
            task: self.call.as_ref().map(|call| call.task.as_str()),
            payload: payload.map(|call| String::from_utf8_lossy(&call.payload).into_owned()),
            failure: self.failure.as_ref().filter(|_| full).map(Into::into),
        }
    }

    /// Sends the message again, and leaves the dead letter in the queue. A call that has failed stays failed in its
    /// job, so it is sent in a new job.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn send(&self, backend: &dyn Backend, client: &Client) -> Result<Sent> {
        let topic = &self.dead_letter.topic;
        let Some(message) = self.message.as_ref().filter(|_| self.failed) else {
            let again = Outgoing { topic: topic.clone(), body: self.dead_letter.body.clone(), delay: Duration::ZERO };
            backend.queue().send_many(&[again]).await?;
            return Ok(Sent::AsItIs);
        };
        let Some(CallRecord { task, payload }) = self.call.clone() else { return Ok(Sent::NotDescribed) };
        let (hash, topic) = (message.call.clone(), topic.clone());
        let call = Call { hash, task, payload, topic, options: Options::default() };
        let job_id = new_job_id()?;
        let mut new = NewJob { retry_of: Some(message.job_id.clone()), ..NewJob::new(job_id.clone(), call) };
        let old = match client.job(&message.job_id).await {
            // This unreadable record may be the reason for the dead letter. It does not prevent the call from being
            // sent again.
            Err(error) if error.is_unreadable() => {
                tracing::warn!("the conditions of job {} are left out: {error}", message.job_id);
                None
            }
            old => old?,
        };
        if let Some(old) = old {
            // The new job gets as much time as the old job had.
            let time = old.deadline.saturating_sub(old.created);
            new.deadline = if old.deadline > 0 { client.now().saturating_add(time) } else { 0 };
            (new.max_messages, new.options) = (old.max_messages, old.options);
        }
        let scheduled = client.schedule(&new, client.now()).await?;
        Ok(Sent::AsNewJob(job_id, scheduled))
    }
}
