//! The formats of messages in Redis.

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{DeadLetter, Delivery, Receipt};

/// A message that this process works on.
pub(in crate::redis) struct HeldMessage<'a> {
    pub number: &'a str,
    /// Topic and body, if the message was delivered before. Only then does the server remember a number of deliveries.
    pub again: Option<(&'a str, &'a str)>,
}

impl<'a> HeldMessage<'a> {
    /// The receipt: `number`, or `number/length of the topic/topic body`.
    pub fn receipt(number: &str, topic: &Topic, receives: u32, body: &str) -> Receipt {
        match receives {
            0 | 1 => Receipt(number.to_owned()),
            _ => Receipt(format!("{number}/{}/{topic}{body}", topic.as_str().len())),
        }
    }

    pub fn of(receipt: &'a Receipt) -> Self {
        let Some((number, again)) = receipt.0.split_once('/') else { return Self { number: &receipt.0, again: None } };
        let again = again.split_once('/').and_then(|(length, rest)| rest.split_at_checked(length.parse().ok()?));
        Self { number, again }
    }
}

/// `receives:length:topic` and body: the stored form of a message in work. Bodies are bytes here. Even a body that is
/// no text is delivered, and then moved to the dead-letter queue.
pub(super) fn packed(receives: u32, topic: &str, body: &[u8]) -> Vec<u8> {
    [format!("{receives}:{}:{topic}", topic.len()).as_bytes(), body].concat()
}

pub(super) fn unpacked(held: &[u8]) -> Option<(u32, &str, &[u8])> {
    let (receives, rest) = number(held)?;
    let (length, rest) = number(rest)?;
    let (topic, body) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((u32::try_from(receives).ok()?, std::str::from_utf8(topic).ok()?, body))
}

/// Splits a number and a colon from the bytes after them.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    Some((std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?, &bytes[colon + 1..]))
}

/// `unique:receives:body`: the stored form of a delayed message. The unique part keeps two equal messages apart.
pub(in crate::redis) fn delayed(receives: u32, body: &[u8]) -> Vec<u8> {
    [format!("{:016x}:{receives}:", fastrand::u64(..)).as_bytes(), body].concat()
}

/// The receives and the body of a delayed message. A member of another form is a message that no worker can read. The
/// worker that receives it moves it to the dead-letter queue.
pub(super) fn ripe(member: &[u8]) -> (u64, &[u8]) {
    let unique = member.iter().position(|byte| *byte == b':').map(|colon| &member[colon + 1..]);
    unique.and_then(number).unwrap_or((0, member))
}

/// Parses `id:at:length:reason` and body.
pub(super) fn dead_letter(topic: &Topic, member: &[u8]) -> Option<DeadLetter> {
    let (id, rest) = number(member)?;
    let (at, rest) = number(rest)?;
    let (length, rest) = number(rest)?;
    let (reason, body) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(DeadLetter { id: id.to_string(), topic: topic.clone(), body: text(body), reason: text(reason), at })
}

/// A body as text. A body that is no UTF-8 is not a valid message of any program; the conversion makes it printable.
pub(super) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

pub(super) fn delivery(topic: &Topic, number: &str, receives: u32, body: &[u8]) -> Delivery {
    let body = text(body);
    Delivery { topic: topic.clone(), receipt: HeldMessage::receipt(number, topic, receives, &body), body, receives }
}
