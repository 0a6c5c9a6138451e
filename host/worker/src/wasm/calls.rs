//! The functions that a guest imports: `tasks` and `log` of `wit/worker.wit`.

use brrr_protocol::codec::{python, typescript};
use brrr_protocol::model::{Failure, Outcome, check_name, check_topic};
use brrr_protocol::options::Options;
use brrr_protocol::replay::Invocation;
use wasmtime::component::{HasSelf, Linker};

use super::asking::ask;
use super::bindings::Worker;
use super::bindings::brrr::worker::{control, log, tasks, types};
use super::output::LogLevel;
use super::state::State;

/// The run waits for other calls and must be dropped. This is no failure, but it is passed on as an error.
#[derive(Debug, thiserror::Error)]
#[error("suspended")]
pub(super) struct Suspended;

/// The backend could not be read during a poll.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct BackendFailed(pub brrr_protocol::Error);

/// A guest asked for more outcomes or calls than the host may keep for it.
#[derive(Debug, thiserror::Error)]
#[error("no room for what it asks for")]
pub(super) struct NoRoom;

/// A guest called a task where this is not allowed. The text says why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct MayNotPoll(pub &'static str);

/// A guest asked for a call that can't be made.
#[derive(Debug, thiserror::Error)]
#[error("its call of {task} can't be made: {reason}")]
pub(super) struct BadCall {
    task: String,
    reason: String,
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    Worker::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl types::Host for State {}

impl tasks::Host for State {
    async fn poll(
        &mut self,
        calls: Vec<tasks::Invocation>,
        need: Option<u32>,
    ) -> wasmtime::Result<Vec<Option<tasks::Outcome>>> {
        may_call(self)?;
        let calls = calls.into_iter().map(invocation).collect::<Result<Vec<_>, _>>()?;
        ask(&self.replay, calls, need).await
    }
}

/// Why `describe` must not call.
pub(super) const FROM_DESCRIBE: &str = "it called another task from `describe`, where there is no call yet";

/// Refuses the calls of a leaf.
pub(super) fn may_call(state: &State) -> Result<(), MayNotPoll> {
    if state.leaf {
        return Err(MayNotPoll(
            "it is a leaf, which gets the real clock and random numbers, and so may not call other tasks; remove `leaf` \
             from its options, or the calls from its code",
        ));
    }
    Ok(())
}

impl control::Host for State {
    fn time_left_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.left_ms())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.printer.log(level.into(), &message);
        Ok(())
    }
}

impl From<log::Level> for LogLevel {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Trace => Self::Trace,
            log::Level::Debug => Self::Debug,
            log::Level::Info => Self::Info,
            log::Level::Warn => Self::Warn,
            log::Level::Error => Self::Error,
        }
    }
}

/// With this option the host derives the hash of a peer's call. A guest in an interpreter would need 50 times as long.
const HASH_OF: &str = "hash-of";

pub(super) fn invocation(mut call: tasks::Invocation) -> Result<Invocation, BadCall> {
    let derived = derived_hash(&mut call);
    let options = Options::parse(call.options.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let options = options.and_then(|options| match options {
        // Only the worker may set these options. Otherwise a guest could take more than it was given.
        Options { max_running: None, memory: None, .. } => Ok(options),
        _ => Err("max-running and memory-bytes are options of a task, not of a call".to_owned()),
    });
    let known = named(&call).and(derived).and_then(|derived| Ok((derived, options?)));
    let (derived, options) = known.map_err(|reason| BadCall { task: shown(&call.task), reason })?;
    Ok(Invocation {
        options,
        task: call.task,
        payload: call.payload.into(),
        topic: call.topic.map(Into::into),
        hash: call.call_hash.or(derived).map(Into::into),
    })
}

/// Are all names of the call valid for records, queues, logs and users?
fn named(call: &tasks::Invocation) -> Result<(), String> {
    check_name("the task's name", &call.task)?;
    call.topic.as_deref().map_or(Ok(()), check_topic)?;
    call.call_hash.as_deref().map_or(Ok(()), |hash| check_name("its hash", hash))?;
    let label = call.options.iter().find(|(key, _)| key == "label");
    label.map_or(Ok(()), |(_, label)| check_name("its label", label))
}

/// The name of a task for a message. It is shortened and escaped.
fn shown(task: &str) -> String {
    crate::text::line(&task.chars().take(60).collect::<String>()).into_owned()
}

/// Removes the option `hash-of` from a call, and returns the hash that it asks for.
fn derived_hash(call: &mut tasks::Invocation) -> Result<Option<String>, String> {
    let Some(index) = call.options.iter().position(|(key, _)| key == HASH_OF) else { return Ok(None) };
    match call.options.remove(index).1.as_str() {
        "python" => Ok(Some(python::call_hash_of_payload(&call.task, &call.payload))),
        "typescript" => Ok(Some(typescript::call_hash_of_payload(&call.task, &call.payload))),
        other => Err(format!("{HASH_OF} is python or typescript, not {other:?}")),
    }
}

pub(super) fn outcome(outcome: Outcome) -> tasks::Outcome {
    outcome.map(Into::into).map_err(|failure| types::Failure {
        kind: failure.kind.as_str().to_owned(),
        task: failure.task,
        message: failure.message,
        attempts: failure.attempts,
        chain: failure.chain,
    })
}

/// A child's failure that the guest returned.
pub(super) fn failure(failure: types::Failure) -> Failure {
    Failure {
        kind: failure.kind.as_str().into(),
        task: failure.task,
        message: failure.message,
        attempts: failure.attempts,
        chain: failure.chain,
    }
    .bounded()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(hash: Option<&str>, options: &[(&str, &str)]) -> Result<Invocation, BadCall> {
        invocation(tasks::Invocation {
            task: "hello".into(),
            payload: br#"[{"a": 1}]"#.into(),
            topic: None,
            call_hash: hash.map(Into::into),
            options: options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        })
    }

    #[test]
    fn a_peers_hash_is_derived_from_task_and_payload() {
        let hash = |call: Result<Invocation, BadCall>| call.unwrap().hash.map(|hash| hash.as_str().to_owned());
        // The expected hash is from tests/support/vectors/json_calls_python.json.
        let of_python = "129aef7a25910918139b509dd8ad281bfa6570881fc310e5c304b7027fb6eea5";
        assert_eq!(hash(call(None, &[("hash-of", "python")])).as_deref(), Some(of_python));
        assert_ne!(hash(call(None, &[("hash-of", "typescript")])).as_deref(), Some(of_python));
        assert_eq!(hash(call(Some("mine"), &[("hash-of", "python"), ("label", "x")])).as_deref(), Some("mine"));
        assert_eq!(hash(call(None, &[])), None);
        let error = call(Some("\x1b[2J"), &[]).unwrap_err().to_string();
        assert!(error.contains("its hash has a control character"), "{error}");
        let call_on = |topic: &str| {
            let call = tasks::Invocation {
                task: "hello".into(),
                payload: Vec::new(),
                topic: Some(topic.into()),
                call_hash: None,
                options: Vec::new(),
            };
            invocation(call).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(call_on("other-demo"), Ok(()));
        let error = call_on("brrr:leases").unwrap_err();
        assert!(error.contains("hello") && error.contains("brrr:leases") && error.contains("letters"), "{error}");
        let error = call(None, &[("label", "")]).unwrap_err().to_string();
        assert!(error.contains("its label is empty"), "{error}");
        let error = call(None, &[("hash-of", "go")]).unwrap_err().to_string();
        assert!(error.contains("hello") && error.contains("python or typescript"), "{error}");
    }
}
