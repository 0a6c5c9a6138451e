//! The functions that a guest imports: `tasks` and `log` of `wit/worker.wit`.

use brrr_protocol::codec::{python, typescript};
use brrr_protocol::model::{CallHash, Failure, OWN_TASKS, Outcome, PROMISE, check_name, check_topic};
use brrr_protocol::options::Options;
use brrr_protocol::replay::{Invocation, Want};
use wasmtime::component::{HasSelf, Linker};

use super::asking::ask;
use super::bindings::Worker;
use super::bindings::brrr::worker::{control, log, tasks, types};
use super::home::Home;
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
        calls: Vec<types::Invocation>,
        want: types::Want,
        until: Option<u64>,
    ) -> wasmtime::Result<Vec<Option<types::Outcome>>> {
        may_call(self)?;
        let calls = calls
            .into_iter()
            .map(|call| invocation(call, self.own_hashes, self.home.as_deref()))
            .collect::<Result<Vec<_>, _>>()?;
        ask(&self.replay, calls, want.into(), until).await
    }
}

impl From<types::Want> for Want {
    fn from(want: types::Want) -> Self {
        match want {
            types::Want::All => Self::All,
            types::Want::Some(need) => Self::Some(need),
            types::Want::Progress => Self::Progress,
        }
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
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) -> wasmtime::Result<()> {
        self.printer.log(level.into(), &message, &fields);
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

/// With this option a call is the top call of a job of its own.
const DETACHED: &str = "detached";

/// The call that a guest asks for. `own_hashes`: the guest may not choose a hash that the host would not derive. `home`: the component
/// is called by its digest.
pub(super) fn invocation(
    mut call: types::Invocation,
    own_hashes: bool,
    home: Option<&Home>,
) -> Result<Invocation, BadCall> {
    if let Some(home) = home {
        home.claim(&mut call);
    }
    let derived = derived_hash(&mut call);
    let detached = is_detached(&mut call);
    let options = Options::parse(call.options.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let options = options.and_then(|options| match options {
        // Only the worker may set these options. Otherwise a guest could take more than it was given.
        Options { max_running: None, memory: None, .. } => Ok(options),
        _ => Err("max-running and memory-bytes are options of a task, not of a call".to_owned()),
    });
    let known = named(&call).and_then(|()| if own_hashes { own_hash(&call) } else { Ok(()) });
    let known = known.and(derived).and_then(|derived| Ok((derived, options?, detached?)));
    let (derived, options, detached) = known.map_err(|reason| BadCall { task: shown(&call.task), reason })?;
    Ok(Invocation {
        options,
        task: call.task,
        payload: call.payload.into(),
        topic: call.topic.map(Into::into),
        hash: call.call_hash.map(Into::into),
        peer_hash: derived.map(Into::into),
        detached,
    })
}

/// Removes the option `detached` from a call, and returns what it says.
fn is_detached(call: &mut types::Invocation) -> Result<bool, String> {
    let Some(index) = call.options.iter().position(|(key, _)| key == DETACHED) else { return Ok(false) };
    match call.options.remove(index).1.as_str() {
        "true" if call.task == PROMISE => Err("a promise is no job of its own".to_owned()),
        "true" => Ok(true),
        other => Err(format!("{DETACHED} is true or not there, not {other:?}")),
    }
}

/// Refuses a hash that stands for another call. Whoever may choose a hash can make his value stand for the value of a call that
/// others make.
fn own_hash(call: &types::Invocation) -> Result<(), String> {
    let Some(hash) = &call.call_hash else { return Ok(()) };
    let (task, payload) = (&call.task, &call.payload);
    let is_own = CallHash::derive(task, payload).as_str() == hash
        || python::call_hash_of_payload(task, payload) == *hash
        || typescript::call_hash_of_payload(task, payload) == *hash;
    if is_own {
        return Ok(());
    }
    Err("it has a call hash of its own, which this worker does not take (--own-hashes): leave the hash to the host, and use \
         `scope` to say who shares the outcome"
        .to_owned())
}

/// Are all names of the call valid for records, queues, logs and users?
fn named(call: &types::Invocation) -> Result<(), String> {
    check_name("the task's name", &call.task)?;
    if call.task == PROMISE {
        let name = std::str::from_utf8(&call.payload).map_err(|_| "the promise's name is not UTF-8".to_owned())?;
        check_name("the promise's name", name)?;
        if call.topic.is_some() || call.call_hash.is_some() || !call.options.is_empty() {
            return Err("a promise has no topic, no hash and no options".to_owned());
        }
    } else if call.task.starts_with(OWN_TASKS) {
        return Err(format!("names that begin with {OWN_TASKS} are the host's own, and it has only {PROMISE}"));
    }
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
fn derived_hash(call: &mut types::Invocation) -> Result<Option<String>, String> {
    let Some(index) = call.options.iter().position(|(key, _)| key == HASH_OF) else { return Ok(None) };
    match call.options.remove(index).1.as_str() {
        "python" => Ok(Some(python::call_hash_of_payload(&call.task, &call.payload))),
        "typescript" => Ok(Some(typescript::call_hash_of_payload(&call.task, &call.payload))),
        other => Err(format!("{HASH_OF} is python or typescript, not {other:?}")),
    }
}

#[allow(clippy::result_large_err, reason = "the WIT says how large a failure is")]
pub(super) fn outcome(outcome: Outcome) -> types::Outcome {
    outcome.map(Into::into).map_err(|failure| types::Failure {
        kind: failure.kind.as_str().to_owned(),
        task: failure.task,
        message: failure.message,
        attempts: failure.attempts,
        chain: failure.chain,
        details: failure.details.map(|details| details.to_vec()),
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
        details: failure.details.map(Into::into),
    }
    .bounded()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(hash: Option<&str>, options: &[(&str, &str)]) -> Result<Invocation, BadCall> {
        call_on_worker(hash, options, false)
    }

    fn call_on_worker(hash: Option<&str>, options: &[(&str, &str)], own: bool) -> Result<Invocation, BadCall> {
        let asked = types::Invocation {
            task: "hello".into(),
            payload: br#"[{"a": 1}]"#.into(),
            topic: None,
            call_hash: hash.map(Into::into),
            options: options.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        invocation(asked, own, None)
    }

    #[test]
    fn a_worker_may_refuse_hashes_that_it_would_not_derive() {
        let own = CallHash::derive("hello", br#"[{"a": 1}]"#);
        let python = python::call_hash_of_payload("hello", br#"[{"a": 1}]"#);
        for hash in [own.as_str(), &python] {
            assert!(call_on_worker(Some(hash), &[], true).is_ok());
        }
        let error = call_on_worker(Some("mine"), &[], true).unwrap_err().to_string();
        assert!(error.contains("--own-hashes") && error.contains("hello"), "{error}");
    }

    #[test]
    fn names_of_the_host_are_reserved() {
        let ask = |task: &str, payload: &[u8]| {
            let (task, payload) = (task.into(), payload.into());
            let asked = types::Invocation { task, payload, topic: None, call_hash: None, options: Vec::new() };
            invocation(asked, true, None).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(ask("brrr.promise", b"approval"), Ok(()));
        assert!(ask("brrr.promise", b"").unwrap_err().contains("the promise's name is empty"));
        assert!(ask("brrr.promise", b"\xff").unwrap_err().contains("not UTF-8"));
        assert!(ask("brrr.sleep", b"").unwrap_err().contains("only brrr.promise"));
    }

    #[test]
    fn a_peers_hash_is_derived_from_task_and_payload() {
        let hash = |call: Result<Invocation, BadCall>| {
            let call = call.unwrap();
            call.hash.or(call.peer_hash).map(|hash| hash.as_str().to_owned())
        };
        // The expected hash is from tests/support/vectors/json_calls_python.json.
        let of_python = "129aef7a25910918139b509dd8ad281bfa6570881fc310e5c304b7027fb6eea5";
        assert_eq!(hash(call(None, &[("hash-of", "python")])).as_deref(), Some(of_python));
        assert_ne!(hash(call(None, &[("hash-of", "typescript")])).as_deref(), Some(of_python));
        assert_eq!(hash(call(Some("mine"), &[("hash-of", "python"), ("label", "x")])).as_deref(), Some("mine"));
        assert_eq!(hash(call(None, &[])), None);
        let error = call(Some("\x1b[2J"), &[]).unwrap_err().to_string();
        assert!(error.contains("its hash has a control character"), "{error}");
        let call_on = |topic: &str| {
            let call = types::Invocation {
                task: "hello".into(),
                payload: Vec::new(),
                topic: Some(topic.into()),
                call_hash: None,
                options: Vec::new(),
            };
            invocation(call, false, None).map(drop).map_err(|error| error.to_string())
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
