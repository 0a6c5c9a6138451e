//! The nouns of the protocol: calls, jobs, topics, and how a call can end.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::options::Options;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(s: &str) -> Self {
                Self(s.into())
            }
        }

        impl From<String> for $type {
            fn from(s: String) -> Self {
                Self(s.into())
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

name! {
    /// A call's identity (its memo key). Any text: it is the caller's codec that derives it.
    CallHash
}
name! {
    /// A job: the random token of one top-level schedule, carried by every message sent on its behalf.
    Root
}
name! {
    /// A queue's name.
    Topic
}

impl CallHash {
    /// The host's own hash, for a call whose caller gave none: SHA-256 over the length-prefixed task and payload.
    #[must_use]
    pub fn derive(task: &str, payload: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in [task.as_bytes(), payload] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hex(&hasher.finalize()).into())
    }

    /// The first 8 characters: enough to tell calls apart on a screen.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.char_indices().nth(8).map_or(&*self.0, |(end, _)| &self.0[..end])
    }
}

impl Root {
    /// A root from 128 random bits, as 32 hex digits (the TypeScript peer's form; fits a W3C trace id).
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        // Writing to a String does not fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// A call as its caller asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub hash: CallHash,
    pub task: String,
    pub payload: Bytes,
    pub topic: Topic,
    /// How the caller wants it to be run.
    pub options: Options,
}

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// The time by the clock of this machine.
#[must_use]
pub fn system_now() -> Millis {
    // A clock before 1970 is nobody's; 0 is harmless.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// A call that ended without a value. It counts only within its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: FailureKind,
    pub task: String,
    pub message: String,
    /// How often the handler was run for it.
    pub attempts: u32,
    /// One line a call, from this one down to the first cause.
    pub chain: Vec<String>,
}

impl Failure {
    /// A failure that starts a chain.
    #[must_use]
    pub fn new(kind: FailureKind, task: &str, message: impl Into<String>) -> Self {
        let message = cut(message.into(), MAX_MESSAGE);
        let chain = vec![Self::link(task, &kind, &message)];
        Self { kind, task: task.to_owned(), message, attempts: 1, chain }
    }

    /// The failure of a parent that did not catch `child`.
    #[must_use]
    pub fn of_parent(task: &str, child: &Failure) -> Self {
        let mut chain = vec![format!("{task}: a call failed and it was not caught")];
        chain.extend(child.chain.iter().cloned());
        Self { kind: child.kind.clone(), task: task.to_owned(), message: child.message.clone(), attempts: 1, chain }
    }

    fn link(task: &str, kind: &FailureKind, message: &str) -> String {
        // One line a call: a stack trace in the message stays in the message.
        let first = message.lines().next().unwrap_or_default();
        format!("{task}: {kind}: {}", brief(first))
    }

    /// A failure that a guest made up, or handed on: no longer than one of ours.
    #[must_use]
    pub fn bounded(self) -> Self {
        let chain = self.chain.into_iter().take(MAX_CHAIN).map(|link| cut(link, 2 * MAX_LINK)).collect();
        let kind = match self.kind {
            FailureKind::Other(word) => FailureKind::Other(cut(word, MAX_KIND)),
            known => known,
        };
        Self { kind, message: cut(self.message, MAX_MESSAGE), task: cut(self.task, MAX_LINK), chain, ..self }
    }
}

/// Bytes of a failure's message. It is kept, told and handed on at every step of its way, whatever a guest put into it.
const MAX_MESSAGE: usize = 16 << 10;

/// Bytes that a line of a chain has for what went wrong.
const MAX_LINK: usize = 500;

/// Bytes of a kind that no version of ours knows: a word.
const MAX_KIND: usize = 50;

/// Calls in a chain.
const MAX_CHAIN: usize = 1_000;

/// A text that is short enough for one line.
pub(crate) fn brief(text: &str) -> String {
    cut(text.to_owned(), MAX_LINK)
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.task, self.kind, self.message)
    }
}

/// The kinds of failure that the host itself makes. Records may hold others, from newer versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The handler returned an error.
    Error,
    /// The guest trapped: a panic, an out-of-bounds access, a stack overflow.
    Trap,
    Timeout,
    /// Memory, size of a result, spawn limit.
    Limit,
    Cancelled,
    Nondeterminism,
    Cycle,
    UnknownTask,
    /// It asked for a call under a call hash that stands for another call.
    Conflict,
    /// Set aside after too many deliveries, or because its record does not decode.
    DeadLetter,
    Other(String),
}

impl FailureKind {
    /// Each kind with the word that stands for it in records and in the WIT.
    const WORDS: [(FailureKind, &'static str); 10] = [
        (FailureKind::Error, "error"),
        (FailureKind::Trap, "trap"),
        (FailureKind::Timeout, "timeout"),
        (FailureKind::Limit, "limit"),
        (FailureKind::Cancelled, "cancelled"),
        (FailureKind::Nondeterminism, "nondeterminism"),
        (FailureKind::Cycle, "cycle"),
        (FailureKind::UnknownTask, "unknown-task"),
        (FailureKind::Conflict, "conflict"),
        (FailureKind::DeadLetter, "dead-letter"),
    ];

    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            FailureKind::Other(word) => word,
            known => Self::WORDS.iter().find(|(k, _)| k == known).map_or("error", |(_, w)| w),
        }
    }
}

impl From<&str> for FailureKind {
    fn from(word: &str) -> Self {
        Self::WORDS.iter().find(|(_, w)| *w == word).map_or_else(|| Self::Other(word.to_owned()), |(k, _)| k.clone())
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a call ended, as its parents in one job see it.
pub type Outcome = std::result::Result<Bytes, Failure>;

/// Bytes that it takes, about.
#[must_use]
pub fn size_of_outcome(outcome: &Outcome) -> usize {
    match outcome {
        Ok(value) => value.len(),
        Err(failure) => {
            let links: usize = failure.chain.iter().map(String::len).sum();
            failure.task.len() + failure.message.len() + links
        }
    }
}

/// Bytes of the name of a task, topic, call or label. They are in keys, queues' names, logs and listings: DynamoDB has keys of
/// 2,048 bytes, and people read them.
pub const LONGEST_NAME: usize = 1_000;

/// Is a text fit to name something? Whoever chooses it may be hostile, and many people and systems will see it.
///
/// # Errors
/// What is wrong with it; the text itself is not repeated.
pub fn check_name(what: &str, name: &str) -> std::result::Result<(), String> {
    if name.is_empty() {
        Err(format!("{what} is empty"))
    } else if name.len() > LONGEST_NAME {
        Err(format!("{what} has {} bytes; at most {LONGEST_NAME} are allowed", name.len()))
    } else if let Some(control) = name.chars().find(|c| c.is_control()) {
        Err(format!("{what} has a control character ({})", control.escape_default()))
    } else {
        Ok(())
    }
}

/// Bytes of a topic: a queue's name in SQS has at most 80, and `-dead` is put behind it.
pub const LONGEST_TOPIC: usize = 75;

/// May we listen on this topic, or send calls to it? A topic is a key in Redis and a queue's name in SQS, so it is made of what
/// both take, and nothing in it separates: `a` with `b:c` would be `a:b` with `c`. Peers may use other names. Those are read, and a
/// parent there is woken, but no call of ours goes there.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn check_topic(topic: &str) -> std::result::Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !topic.is_empty() && topic.len() <= LONGEST_TOPIC && topic.chars().all(plain) {
        return Ok(());
    }
    let shown: String = topic.chars().take(LONGEST_TOPIC).flat_map(char::escape_debug).collect();
    Err(format!(
        "the topic \"{shown}\" can't be used: a topic has 1 to {LONGEST_TOPIC} letters (a-z, A-Z), digits, `-` and `_`"
    ))
}

/// Can this namespace keep a fleet apart? Empty: there is none. It stands before keys and queues' names, with a separator that
/// it must not have itself.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn check_namespace(namespace: &str) -> std::result::Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if namespace.len() > 30 || !namespace.chars().all(plain) {
        return Err("a namespace has up to 30 letters (a-z, A-Z), digits, `-` and `_`".to_owned());
    }
    if namespace == "brrr" {
        return Err("the namespace brrr is the prefix of our own keys; take another one".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_namespaces_have_nothing_that_separates() {
        for topic in ["a", "brrr-py-demo", "A_1", &"x".repeat(75)] {
            assert_eq!(check_topic(topic), Ok(()));
        }
        for topic in ["", "brrr:leases", "app:session:1", "brrr_count/x", "a.b", "é", "a b", "a\n", &"x".repeat(76)] {
            let error = check_topic(topic).unwrap_err();
            assert!(error.contains("letters") && !error.contains('\n'), "{error}");
        }
        assert_eq!(check_namespace("").and(check_namespace("team-1")), Ok(()));
        for namespace in ["brrr", "a:b", "a/b", &"x".repeat(31)] {
            assert!(check_namespace(namespace).is_err(), "{namespace}");
        }
    }

    #[test]
    fn a_derived_hash_separates_task_and_payload() {
        assert_ne!(CallHash::derive("ab", b"c"), CallHash::derive("a", b"bc"));
        assert_eq!(CallHash::derive("a", b"bc").as_str().len(), 64);
    }

    #[test]
    fn short_hashes_respect_characters() {
        assert_eq!(CallHash::from("日本日本日本日本日本").short(), "日本日本日本日本");
        assert_eq!(CallHash::from("abc").short(), "abc");
    }

    #[test]
    fn a_failure_has_bounds() {
        let long = "é".repeat(MAX_MESSAGE);
        let failure = Failure::new(FailureKind::Error, "t", long.as_str());
        assert!(failure.message.len() <= MAX_MESSAGE + 3 && failure.message.ends_with('…'));
        assert!(failure.chain[0].len() < MAX_LINK + 20, "{}", failure.chain[0].len());
        let made_up = Failure { chain: vec![long.clone(); 2 * MAX_CHAIN], task: long, ..failure }.bounded();
        assert!(made_up.chain.len() == MAX_CHAIN && made_up.chain[0].len() < 2 * MAX_LINK + 4);
        assert!(made_up.task.len() < MAX_LINK + 4);
        let kind = FailureKind::Other("é".repeat(MAX_MESSAGE));
        assert!(Failure { kind, ..made_up }.bounded().kind.as_str().len() < MAX_KIND + 4);
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(check_name("a task", "fetch/é 1"), Ok(()));
        for (name, why) in
            [("", "empty"), (&*"x".repeat(1_001), "1001 bytes"), ("a\x1b[2J", "\\u{1b}"), ("\0", "control")]
        {
            let error = check_name("a task", name).unwrap_err();
            assert!(error.contains(why) && error.len() < 100, "{error}");
        }
    }

    #[test]
    fn kinds_and_words_agree() {
        for (kind, word) in FailureKind::WORDS {
            assert_eq!(kind.as_str(), word);
            assert_eq!(FailureKind::from(word), kind);
        }
    }
}
