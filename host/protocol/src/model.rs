//! The basic types of the protocol: calls, jobs, topics, and the outcomes of calls.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::options::{Options, Scope};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The text itself.
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
    /// A call's identity (its memo key). Any text. The codec of the caller derives it.
    CallHash
}
name! {
    /// A job's id: a random text. Each top-level schedule makes a new one, and every message on behalf of the job carries it.
    /// In the peers' wire format this is the root id.
    JobId
}
name! {
    /// A queue's name.
    Topic
}

impl CallHash {
    /// The host's own hash, for a call whose caller gave no hash: SHA-256 over the task and payload, each with its length
    /// before it.
    #[must_use]
    pub fn derive(task: &str, payload: &[u8]) -> Self {
        Self::of_parts(&[task.as_bytes(), payload])
    }

    /// The hash of a job's promise. `job`: the job, or the first job of those that retry it.
    #[must_use]
    pub fn of_promise(job: &JobId, name: &[u8]) -> Self {
        Self::of_parts(&[b"brrr.promise", job.as_str().as_bytes(), name])
    }

    /// The hash of this call for those who share its outcome. `job`: the job, or the first job of those that retry it. `clock`:
    /// the parent's clock when it asks for the call.
    #[must_use]
    pub fn within(self, scope: Scope, job: &JobId, clock: Millis) -> Self {
        match scope {
            Scope::Fleet => self,
            Scope::Job => Self::of_parts(&[b"brrr.job", job.as_str().as_bytes(), self.as_str().as_bytes()]),
            Scope::For(time) => {
                let length = Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX).max(1);
                let period = (clock / length).to_be_bytes();
                Self::of_parts(&[b"brrr.for", &length.to_be_bytes(), &period, self.as_str().as_bytes()])
            }
        }
    }

    fn of_parts(parts: &[&[u8]]) -> Self {
        Self(hash_of(parts).into())
    }

    /// The first 8 characters. They are enough to distinguish calls on a screen.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.char_indices().nth(8).map_or(&*self.0, |(end, _)| &self.0[..end])
    }
}

impl JobId {
    /// A job id from 128 random bits, as 32 hex digits. The TypeScript peer uses this form, and it fits a W3C trace id.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }

    /// The id of the job that is started with this key on this topic. All clients that use the key get the same id.
    #[must_use]
    pub fn of_key(topic: &Topic, key: &str) -> Self {
        Self::of_parts(&[b"brrr.key", topic.as_str().as_bytes(), key.as_bytes()])
    }

    /// The id of the job that retries this job, if it is asked for with this key.
    #[must_use]
    pub fn of_retry(job_id: &Self, key: &str) -> Self {
        Self::of_parts(&[b"brrr.retry", job_id.as_str().as_bytes(), key.as_bytes()])
    }

    /// The id of the job that a person starts of a schedule, if it is asked for with this key.
    #[must_use]
    pub fn of_schedule_run(topic: &Topic, schedule: &str, key: &str) -> Self {
        Self::of_parts(&[b"brrr.run", topic.as_str().as_bytes(), schedule.as_bytes(), key.as_bytes()])
    }

    /// The id of a detached job: the job that the call `parent` of the job `job_id` starts as its `n`th, from 0.
    #[must_use]
    pub fn of_detached(job_id: &Self, parent: &CallHash, n: u64) -> Self {
        Self::of_parts(&[b"brrr.detached", job_id.as_str().as_bytes(), parent.as_str().as_bytes(), &n.to_be_bytes()])
    }

    /// An id that follows from these parts. It has the form of a random one.
    fn of_parts(parts: &[&[u8]]) -> Self {
        Self(hash_of(parts)[..32].into())
    }

    /// The id of the job of a tick. So the same tick has the same job, whoever starts it. `created`: when the schedule was added. Both
    /// times in milliseconds since the Unix epoch.
    #[must_use]
    pub fn of_tick(topic: &Topic, schedule: &str, created: Millis, tick: Millis) -> Self {
        let (topic, schedule) = (topic.as_str().as_bytes(), schedule.as_bytes());
        Self::of_parts(&[b"brrr schedule", topic, schedule, &created.to_be_bytes(), &tick.to_be_bytes()])
    }
}

/// SHA-256 over these parts, each with its length before it, in hexadecimal.
fn hash_of(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
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
    /// Identifies the call.
    pub hash: CallHash,
    /// The name of the task that the call runs.
    pub task: String,
    /// The arguments, as the codec of the caller encoded them.
    pub payload: Bytes,
    /// The topic that the call's message is sent to.
    pub topic: Topic,
    /// How the caller wants the call to be run.
    pub options: Options,
}

/// The names of tasks that begin with this are the host's own.
pub const OWN_TASKS: &str = "brrr.";

/// The task of a promise: a call that no worker runs, because somebody outside gives its outcome. Its payload is the promise's
/// name as UTF-8.
pub const PROMISE: &str = "brrr.promise";

impl Call {
    /// Is it a promise? Then it has no message.
    #[must_use]
    pub fn is_promise(&self) -> bool {
        self.task == PROMISE
    }
}

/// Milliseconds since the Unix epoch.
pub type Millis = u64;

/// The time by the clock of this machine.
#[must_use]
pub fn system_now() -> Millis {
    // No real clock is before 1970. If it happens, 0 does no harm.
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// The end of a call without a value. It counts only within its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind of the first cause.
    pub kind: FailureKind,
    /// The name of the task of the call that failed.
    pub task: String,
    /// What the first cause says, for people.
    pub message: String,
    /// How often the handler was run for the call.
    pub attempts: u32,
    /// One line for each call, from this call down to the first cause.
    pub chain: Vec<String>,
    /// What the handler attached to its error for the programs of its callers, in the encoding of its results.
    pub details: Option<Arc<[u8]>>,
}

impl Failure {
    /// A failure that starts a chain.
    #[must_use]
    pub fn new(kind: FailureKind, task: &str, message: impl Into<String>) -> Self {
        let message = cut(message.into(), MAX_MESSAGE);
        let chain = vec![Self::link(task, &kind, &message)];
        Self { kind, task: task.to_owned(), message, attempts: 1, chain, details: None }
    }

    /// The failure of a parent that did not catch `child`.
    #[must_use]
    pub fn of_parent(task: &str, child: &Failure) -> Self {
        let mut chain = vec![format!("{task}: a call failed and it was not caught")];
        chain.extend(child.chain.iter().cloned());
        let (kind, message, details) = (child.kind.clone(), child.message.clone(), child.details.clone());
        Self { kind, task: task.to_owned(), message, attempts: 1, chain, details }
    }

    fn link(task: &str, kind: &FailureKind, message: &str) -> String {
        // One line for each call: if the message contains a stack trace, only its first line is used here.
        format!("{task}: {kind}: {}", brief(first_line(message)))
    }

    /// What the last line of the chain leaves out of the message: its other lines, or all of them if the first one is
    /// too long for the chain.
    pub fn more_lines(&self) -> impl Iterator<Item = &str> {
        let shown = usize::from(first_line(&self.message).len() <= MAX_LINK);
        text_lines(&self.message).skip(shown)
    }

    /// The failure, cut to the limits below. For failures that a guest has made or passed on.
    #[must_use]
    pub fn bounded(self) -> Self {
        let chain = self.chain.into_iter().take(MAX_CHAIN).map(|link| cut(link, 2 * MAX_LINK)).collect();
        let kind = match self.kind {
            FailureKind::Other(word) => FailureKind::Other(cut(word, MAX_KIND)),
            known => known,
        };
        let details = self.details.filter(|details| details.len() <= MAX_DETAILS);
        Self { kind, message: cut(self.message, MAX_MESSAGE), task: cut(self.task, MAX_LINK), chain, details, ..self }
    }
}

/// The most bytes of a failure's message. A guest may put anything into it, and every parent stores, reports and passes on the
/// message.
const MAX_MESSAGE: usize = 16 << 10;

/// The most bytes of a failure's details. Half of them would be of no use, so details that are too large are an error of the
/// handler.
pub const MAX_DETAILS: usize = 64 << 10;

/// The most bytes for the cause in a line of a chain.
const MAX_LINK: usize = 500;

/// The most bytes of a kind that this version does not know. A kind is one word.
const MAX_KIND: usize = 50;

/// The most calls in a chain.
const MAX_CHAIN: usize = 1_000;

/// The first line of a text that has more than white space.
#[must_use]
pub fn first_line(text: &str) -> &str {
    text_lines(text).next().unwrap_or_default()
}

fn text_lines(text: &str) -> impl Iterator<Item = &str> {
    text.trim_end().lines().skip_while(|line| line.trim().is_empty())
}

/// The text, cut so that it fits one line.
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

/// The kinds of failure that the host itself makes. Records may hold other kinds, from newer versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The handler returned an error.
    Error,
    /// Somebody outside has rejected the promise.
    Rejected,
    /// The guest trapped: a panic, an out-of-bounds access, a stack overflow.
    Trap,
    /// A run took longer than its time limit, or the job did not end by its deadline.
    Timeout,
    /// Too much memory, too large a result, or too many messages.
    Limit,
    /// The job was cancelled.
    Cancelled,
    /// A replay did not ask for the same calls as the run before it.
    Nondeterminism,
    /// The call would wait for itself, directly or through other calls.
    Cycle,
    /// No worker has handled the task, or no worker has announced the topic of a child, during the grace period.
    UnknownTask,
    /// The call asked for another call under a call hash that stands for a third one.
    Conflict,
    /// The call's message became a dead letter after too many deliveries, or because a record does not decode.
    DeadLetter,
    /// A kind that this version does not know: its word in the record.
    Other(String),
}

impl FailureKind {
    /// Each kind with its word in records and in the WIT.
    const WORDS: [(FailureKind, &'static str); 11] = [
        (FailureKind::Error, "error"),
        (FailureKind::Rejected, "rejected"),
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

    /// The kind's word in records and in the WIT.
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

/// How a call ended, as its parents in one job see it: its value or its failure.
pub type Outcome = std::result::Result<Bytes, Failure>;

/// About how many bytes the outcome takes.
#[must_use]
pub fn size_of_outcome(outcome: &Outcome) -> usize {
    match outcome {
        Ok(value) => value.len(),
        Err(failure) => {
            let links: usize = failure.chain.iter().map(String::len).sum();
            let details = failure.details.as_ref().map_or(0, |details| details.len());
            failure.task.len() + failure.message.len() + links + details
        }
    }
}

/// The most bytes of the name of a task, topic, call or label. Names are in keys, queue names, logs and listings. A key of
/// DynamoDB has at most 2,048 bytes, and people read these names.
pub const LONGEST_NAME: usize = 1_000;

/// Checks whether a text can be used as a name. An attacker may have chosen the text, and many people and systems will see it.
///
/// # Errors
/// What is wrong with the text. The error does not repeat the text.
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

/// The most bytes of a topic. A queue's name in SQS has at most 80 bytes, and the name of the dead-letter queue is the topic
/// with `-dead` at the end.
pub const LONGEST_TOPIC: usize = 75;

/// Checks whether we may listen on this topic and send calls to it. A topic is part of a key in Redis and of a queue's name in
/// SQS. So only characters that both accept are allowed, and no separator is among them: otherwise `a` with `b:c` and `a:b`
/// with `c` would make the same key. Peers may use other names. We read such names, and notify a parent there, but no call of
/// ours goes there.
///
/// # Errors
/// What is wrong with the topic, and what is allowed.
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

/// Checks whether a namespace can be used. An empty text means no namespace. The namespace is put before keys and queue names,
/// followed by a separator. So the namespace must not contain a separator.
///
/// # Errors
/// What is wrong with the namespace, and what is allowed.
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
    fn topics_and_namespaces_contain_no_separators() {
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
    fn chain_and_details_are_the_whole_message() {
        let of = |message: &str| {
            let failure = Failure::new(FailureKind::Error, "t", message);
            let details: Vec<String> = failure.more_lines().map(str::to_owned).collect();
            (failure.chain[0].clone(), details)
        };
        assert_eq!(of("outer\n  caused by: inner\n"), ("t: error: outer".into(), vec!["  caused by: inner".into()]));
        assert_eq!(of("\n \nouter\ninner"), ("t: error: outer".into(), vec!["inner".into()]));
        assert_eq!(of(""), ("t: error: ".into(), vec![]));
        let long = "x".repeat(MAX_LINK + 1);
        assert_eq!(of(&format!("{long}\ny")).1, [long, "y".to_owned()]);
    }

    #[test]
    fn the_size_of_a_failure_is_bounded() {
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
    fn failure_kinds_round_trip_as_words() {
        for (kind, word) in FailureKind::WORDS {
            assert_eq!(kind.as_str(), word);
            assert_eq!(FailureKind::from(word), kind);
        }
    }
}
