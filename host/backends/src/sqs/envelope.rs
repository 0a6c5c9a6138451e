//! The format of messages in SQS: the limits of a body, and the attributes beside it.

use std::time::Duration;

use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry};
use brrr_protocol::error::{Error, ErrorKind, Result};

use super::BACKEND;
use crate::now_millis;

/// The attributes of this program. Peers ignore them.
pub(super) const RECEIVES: &str = "brrr.receives";
pub(super) const DUE: &str = "brrr.due";

/// The longest delay of one message: the limit of SQS.
pub(super) const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// The most bytes of a body: the limit of SQS for a message, less the room for the attributes.
const MAX_BODY: usize = (1 << 20) - 256;

/// A message that is to be sent.
#[derive(Clone)]
pub(super) struct Envelope {
    pub body: String,
    pub delay: Duration,
    /// The number of earlier deliveries.
    pub receives: u32,
}

impl Envelope {
    /// Refuses a message that SQS would refuse. SQS reports a batch that is too large without naming the message.
    pub fn check(&self) -> Result<()> {
        let forbidden =
            |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
        let reason = if self.body.is_empty() {
            "SQS takes no empty message".to_owned()
        } else if self.body.len() > MAX_BODY {
            format!("it has {} bytes; SQS takes {MAX_BODY}", self.body.len())
        } else if let Some(c) = self.body.chars().find(|c| forbidden(*c)) {
            format!("SQS takes no {c:?} in a message")
        } else {
            return Ok(());
        };
        let begin: String = self.body.chars().take(80).collect();
        Err(Error::new(ErrorKind::Limit, BACKEND, format!("send {begin:?}"), reason))
    }

    pub fn entry(&self, id: usize) -> Result<SendMessageBatchRequestEntry> {
        // SQS takes whole seconds. The delay is rounded up, so that the message never comes too early.
        let delay = self.delay.min(LONGEST_DELAY);
        let seconds = delay.as_secs() as i32 + i32::from(delay.subsec_nanos() > 0);
        let mut entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(&self.body);
        if seconds > 0 {
            entry = entry.delay_seconds(seconds);
        }
        if self.receives > 0 {
            entry = entry.message_attributes(RECEIVES, number(self.receives.into())?);
        }
        if self.delay > LONGEST_DELAY {
            let due = now_millis().saturating_add(u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX));
            entry = entry.message_attributes(DUE, number(due)?);
        }
        entry.build().map_err(|e| Error::new(ErrorKind::Internal, BACKEND, "send a message", e.to_string()))
    }
}

/// The time until a message is due, if SQS has delivered it too early. SQS can't delay a message for so long.
pub(super) fn early(message: &Message) -> Option<Duration> {
    let due = attribute(message, DUE)?;
    let left = due.saturating_sub(now_millis());
    (left > 0).then(|| Duration::from_millis(left))
}

/// How often a message was delivered: the deliveries of this copy and of the earlier copies.
pub(super) fn receives(message: &Message) -> u32 {
    let name = MessageSystemAttributeName::ApproximateReceiveCount;
    let of_copy = message.attributes().and_then(|a| a.get(&name)).and_then(|n| n.parse::<u32>().ok()).unwrap_or(1);
    let before = attribute(message, RECEIVES).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    of_copy.saturating_add(before)
}

/// The number in an attribute of this program; `None` if the attribute does not contain a number.
fn attribute(message: &Message, name: &str) -> Option<u64> {
    message.message_attributes()?.get(name)?.string_value()?.parse().ok()
}

fn number(n: u64) -> Result<MessageAttributeValue> {
    let value = MessageAttributeValue::builder().data_type("Number").string_value(n.to_string()).build();
    value.map_err(|e| Error::new(ErrorKind::Internal, BACKEND, "send a message", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(body: &str, delay: Duration) -> Envelope {
        Envelope { body: body.to_owned(), delay, receives: 0 }
    }

    #[test]
    fn delays_are_never_early_and_never_too_long_for_sqs() {
        let seconds = |millis| envelope("x", Duration::from_millis(millis)).entry(0).unwrap().delay_seconds();
        assert_eq!([seconds(0), seconds(1), seconds(1_000), seconds(1_001)], [None, Some(1), Some(1), Some(2)]);
        let late = envelope("x", Duration::from_hours(2)).entry(0).unwrap();
        assert_eq!(late.delay_seconds(), Some(900));
        let due: u64 = late.message_attributes().unwrap()[DUE].string_value().unwrap().parse().unwrap();
        assert!(due > now_millis() + 7_100_000, "{due}");
        assert!(envelope("x", LONGEST_DELAY).entry(0).unwrap().message_attributes().is_none());
    }

    #[test]
    fn messages_that_sqs_would_refuse_are_refused_before_sending() {
        for (body, why) in [("", "empty"), ("a\0b", "'\\0'"), (&*"x".repeat(1 << 20), "bytes")] {
            let error = envelope(body, Duration::ZERO).check().unwrap_err();
            assert!(error.kind == ErrorKind::Limit && error.reason.contains(why), "{error}");
        }
        envelope("li2e2:r12:h1e\t\r\n\u{1f980}", Duration::ZERO).check().unwrap();
    }
}
