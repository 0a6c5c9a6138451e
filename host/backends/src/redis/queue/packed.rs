//! Messages as Redis keeps them.

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{DeadLetter, Delivery, Receipt};

/// A message that this process has in work.
pub(in crate::redis) struct Held<'a> {
    pub number: &'a str,
    /// Topic and body, if it was delivered before: then something is remembered of it.
    pub again: Option<(&'a str, &'a str)>,
}

impl<'a> Held<'a> {
    /// `number`, or `number/length of the topic/topic body`.
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

/// `receives:length:topic` and body: a message in work, as it is kept. Bodies are bytes here: whatever somebody has put into a
/// topic is delivered, and set aside.
pub(super) fn packed(receives: u32, topic: &str, body: &[u8]) -> Vec<u8> {
    [format!("{receives}:{}:{topic}", topic.len()).as_bytes(), body].concat()
}

pub(super) fn unpacked(held: &[u8]) -> Option<(u32, &str, &[u8])> {
    let (receives, rest) = number(held)?;
    let (length, rest) = number(rest)?;
    let (topic, body) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((u32::try_from(receives).ok()?, std::str::from_utf8(topic).ok()?, body))
}

/// A number and a colon, and what is behind them.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    Some((std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?, &bytes[colon + 1..]))
}

/// `unique:receives:body`: a message that is delayed, as it is kept. Two alike must not become one.
pub(in crate::redis) fn delayed(receives: u32, body: &[u8]) -> Vec<u8> {
    [format!("{:016x}:{receives}:", fastrand::u64(..)).as_bytes(), body].concat()
}

/// The receives and the body of such a message. What has not this form is a message that nobody can read; who works on it
/// sets it aside.
pub(super) fn ripe(member: &[u8]) -> (u64, &[u8]) {
    let unique = member.iter().position(|byte| *byte == b':').map(|colon| &member[colon + 1..]);
    unique.and_then(number).unwrap_or((0, member))
}

/// `id:at:length:reason` and body.
pub(super) fn dead_letter(topic: &Topic, letter: &[u8]) -> Option<DeadLetter> {
    let (id, rest) = number(letter)?;
    let (at, rest) = number(rest)?;
    let (length, rest) = number(rest)?;
    let (reason, body) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(DeadLetter { id: id.to_string(), topic: topic.clone(), body: text(body), reason: text(reason), at })
}

/// What is not text is no message of anybody's; like this it can be shown.
pub(super) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

pub(super) fn delivery(topic: &Topic, number: &str, receives: u32, body: &[u8]) -> Delivery {
    let body = text(body);
    Delivery { topic: topic.clone(), receipt: Held::receipt(number, topic, receives, &body), body, receives }
}
