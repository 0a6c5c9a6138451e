//! The record `dead_letter`: a dead letter of a queue that can't list its dead letters.
//!
//! The id is `TOPIC/TIME-UNIQUE`. TIME is when the message became a dead letter, in digits of fixed length, so that the dead
//! letters of a topic sort by time. No `/` follows the TIME. So the last `/` is always the end of the topic, even if the
//! topic's name contains a `/`.

use bytes::Bytes;

use super::{VERSION, int, string, unsigned, versioned, write_dict};
use crate::error::Result;
use crate::model::{Millis, Topic};
use crate::ports::DeadLetter;
use crate::wire::{entry, text};

const DEAD_LETTER: &str = "a dead letter";

/// The id of a dead letter. `micros`: when the message became a dead letter, in microseconds since 1970. `unique`: a text that
/// distinguishes it from others of the same moment.
#[must_use]
pub fn dead_letter_id(topic: &Topic, micros: u64, unique: &str) -> String {
    format!("{}{micros:017}-{}", dead_letter_ids_of(topic), unique.replace('/', "_"))
}

/// The beginning of the ids of a topic's dead letters.
#[must_use]
pub fn dead_letter_ids_of(topic: &Topic) -> String {
    format!("{topic}/")
}

/// True if this is the id of a dead letter of this topic.
#[must_use]
pub fn is_dead_letter_of(topic: &Topic, id: &str) -> bool {
    id.rsplit_once('/').is_some_and(|(of, _)| of == topic.as_str())
}

/// When the message of this id became a dead letter, in milliseconds since 1970. `None`: the id has another form.
#[must_use]
pub fn dead_letter_time(id: &str) -> Option<Millis> {
    let (time, _) = id.rsplit_once('/')?.1.split_once('-')?;
    time.parse().ok().map(|micros: u64| micros / 1000)
}

/// Encodes the record `dead_letter`: everything of a dead letter except its id.
#[must_use]
pub fn encode_dead_letter(dead_letter: &DeadLetter) -> Bytes {
    write_dict(vec![
        (b"at", int(dead_letter.at)),
        (b"body", string(&dead_letter.body)),
        (b"reason", string(&dead_letter.reason)),
        (b"topic", string(dead_letter.topic.as_str())),
        (b"v", int(VERSION as u64)),
    ])
}

/// Decodes the record `dead_letter` with this id.
///
/// # Errors
/// `Malformed`, with what is wrong.
pub fn decode_dead_letter(id: &str, bytes: &[u8]) -> Result<DeadLetter> {
    let value = versioned(DEAD_LETTER, bytes)?;
    let field = |key| text(DEAD_LETTER, key, entry(DEAD_LETTER, &value, key)?).map(str::to_owned);
    Ok(DeadLetter {
        id: id.to_owned(),
        topic: field("topic")?.into(),
        body: field("body")?,
        reason: field("reason")?,
        at: unsigned(DEAD_LETTER, &value, "at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_round_trips() {
        let topic = Topic::from("t");
        let id = dead_letter_id(&topic, 7, "m/1");
        let dead_letter = DeadLetter { id: id.clone(), topic, body: "b\n".into(), reason: "r".into(), at: 9 };
        assert_eq!(decode_dead_letter(&id, &encode_dead_letter(&dead_letter)).unwrap(), dead_letter);
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
