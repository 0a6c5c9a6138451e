//! The record `dead`: a message that was set aside, of a queue that can't list what it holds.
//!
//! Its id is `TOPIC/TIME-UNIQUE`: the time (when it was set aside) in digits of fixed length, so that a topic's letters come
//! in order; no `/` behind the topic, so that a topic with one in its name is told from another topic's letter.

use bytes::Bytes;

use super::{VERSION, int, string, unsigned, versioned, write_dict};
use crate::error::Result;
use crate::model::{Millis, Topic};
use crate::ports::DeadLetter;
use crate::wire::{entry, text};

const DEAD: &str = "a dead letter";

/// The id of a letter that was set aside at this time, in microseconds. `unique`: whatever tells it from others of that
/// moment.
#[must_use]
pub fn dead_letter_id(topic: &Topic, micros: u64, unique: &str) -> String {
    format!("{}{micros:017}-{}", dead_letter_ids_of(topic), unique.replace('/', "_"))
}

/// What the ids of a topic's letters begin with.
#[must_use]
pub fn dead_letter_ids_of(topic: &Topic) -> String {
    format!("{topic}/")
}

/// Is it the id of a letter of this topic?
#[must_use]
pub fn is_dead_letter_of(topic: &Topic, id: &str) -> bool {
    id.rsplit_once('/').is_some_and(|(of, _)| of == topic.as_str())
}

/// When the letter of this id was set aside, in milliseconds.
#[must_use]
pub fn dead_letter_time(id: &str) -> Option<Millis> {
    let (time, _) = id.rsplit_once('/')?.1.split_once('-')?;
    time.parse().ok().map(|micros: u64| micros / 1000)
}

#[must_use]
pub fn encode_dead_letter(letter: &DeadLetter) -> Bytes {
    write_dict(vec![
        (b"at", int(letter.at)),
        (b"body", string(&letter.body)),
        (b"reason", string(&letter.reason)),
        (b"topic", string(letter.topic.as_str())),
        (b"v", int(VERSION as u64)),
    ])
}

/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_dead_letter(id: &str, bytes: &[u8]) -> Result<DeadLetter> {
    let value = versioned(DEAD, bytes)?;
    let field = |key| text(DEAD, key, entry(DEAD, &value, key)?).map(str::to_owned);
    Ok(DeadLetter {
        id: id.to_owned(),
        topic: field("topic")?.into(),
        body: field("body")?,
        reason: field("reason")?,
        at: unsigned(DEAD, &value, "at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_round_trips() {
        let topic = Topic::from("t");
        let id = dead_letter_id(&topic, 7, "m/1");
        let letter = DeadLetter { id: id.clone(), topic, body: "b\n".into(), reason: "r".into(), at: 9 };
        assert_eq!(decode_dead_letter(&id, &encode_dead_letter(&letter)).unwrap(), letter);
        assert_eq!(dead_letter_time(&dead_letter_id(&"a/b".into(), 7_999, "m-1")), Some(7));
        assert_eq!(dead_letter_time("t/soon-1"), None);
    }

    #[test]
    fn topics_with_separators_are_apart() {
        let (short, long) = (Topic::from("a"), Topic::from("a/b"));
        let id = dead_letter_id(&long, 1, "x/y");
        assert!(is_dead_letter_of(&long, &id) && !is_dead_letter_of(&short, &id));
        assert!(id.starts_with(&dead_letter_ids_of(&short)), "and so lies among the other's when they are listed");
        assert!(dead_letter_id(&short, 9, "") < dead_letter_id(&short, 10, ""));
    }
}
