//! Translates the end of a run into the outcome of the call, with messages for the author of the handler.

use std::fmt::Write as _;
use std::time::Duration;

use brrr_protocol::model::{Failure, FailureKind, MAX_DETAILS};
use brrr_protocol::ports::Ended;
use brrr_protocol::{Error, ErrorKind};
use bytes::Bytes;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::FieldMapError;

use super::bindings::brrr::worker::types::{ErrorInfo, HandlerError};
use super::calls::{self, BackendFailed, BadCall, MayNotPoll, NoRoom, Suspended};
use super::concurrent::Stuck;
use super::engine::WASM_STACK;
use super::files::{NoHandles, OPEN_FILES, TooManyFiles};
use super::frames;
use super::http_limits;
use super::state::{OutOfMemory, OutOfTime, resources};
use super::wasi::NoFolder;
use crate::batch::TooMuch;

/// How a guest's function returned: with its own answer, or with an error of the runtime.
pub(super) type Returned = wasmtime::Result<Result<Vec<u8>, HandlerError>>;

/// Details of a run that failed, for the message.
pub(super) struct Circumstances<'a> {
    /// The name of the task.
    pub task: &'a str,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The time limit of the run.
    pub wall: Duration,
    /// The most bytes of the guest's memory.
    pub memory: u64,
    /// The most bytes that the guest may pass to the host at once.
    pub result: u64,
    /// The last text that the guest wrote to stderr.
    pub stderr: String,
}

/// Translates a run's end.
///
/// # Errors
/// The backend's error, when the backend could not be read. The outcome of the call is unknown then.
pub(super) fn ended(returned: Returned, about: &Circumstances<'_>) -> Result<Ended, Error> {
    let (mut failure, retryable) = match returned {
        Ok(Ok(value)) => return Ok(Ended::Completed(Bytes::from(value))),
        Ok(Err(HandlerError::Retryable(error))) => (of_guest(error, about.task), true),
        Ok(Err(HandlerError::Permanent(error))) => (of_guest(error, about.task), false),
        Ok(Err(HandlerError::Child(child))) => (Failure::of_parent(about.task, &calls::failure(child)), false),
        Err(error) if error.is::<Suspended>() => return Ok(Ended::Suspended),
        Err(error) => match error.downcast::<BackendFailed>() {
            // A call hash that stands for another call is a mistake of the guest that asked for it.
            Ok(BackendFailed(error)) if error.kind == ErrorKind::Conflict => {
                (Failure::new(FailureKind::Conflict, about.task, error.to_string()), false)
            }
            Ok(BackendFailed(error)) => return Err(error),
            Err(error) => {
                // Other runs are the cause, so this call has no outcome. (The text of `error` itself says where the
                // guest was.)
                if let Some(why) = error.downcast_ref::<NoHandles>() {
                    return Err(of_host("open a file for a running handler", why.to_string()));
                }
                let (kind, message) = explain(&error, about);
                let mistake = error.is::<MayNotPoll>() || error.is::<BadCall>() || error.is::<Stuck>();
                (Failure::new(kind, about.task, message), !mistake)
            }
        },
    };
    failure.attempts = about.attempt;
    Ok(Ended::Failed { failure, retryable })
}

/// The bytes of a message that are shown before the note that its details were left out.
const SHOWN_BEFORE_NOTE: usize = 8 << 10;

/// The failure of a handler that returned an error.
fn of_guest(ErrorInfo { message, details }: ErrorInfo, task: &str) -> Failure {
    let Some(details) = details else { return Failure::new(FailureKind::Error, task, message) };
    if details.len() > MAX_DETAILS {
        // Behind a message that fills all of its room, the note would be cut off.
        let shown = &message[..message.floor_char_boundary(message.len().min(SHOWN_BEFORE_NOTE))];
        let left_out =
            format!("{shown}\n  its details of {} bytes were left out: at most {MAX_DETAILS} are kept", details.len());
        return Failure::new(FailureKind::Error, task, left_out);
    }
    Failure { details: Some(details.into()), ..Failure::new(FailureKind::Error, task, message) }
}

/// The error of a run that could not begin, because this host can't open a folder that the run was granted.
pub(super) fn not_begun(error: &NoFolder) -> Error {
    of_host("open the folders that a handler was granted", error.to_string())
}

fn of_host(operation: &str, reason: String) -> Error {
    Error::new(ErrorKind::Unavailable, "worker", operation, reason)
}

/// The error of a run that has lost its replay: the backend's code panicked while it was read.
pub(super) fn lost_in_backend() -> Error {
    let operation = "read the outcomes of calls for a running handler";
    Error::new(ErrorKind::Unavailable, "worker", operation, "the backend's code panicked")
}

/// The kind of failure and a message. The first line of the message can be shown alone.
pub(super) fn explain(error: &wasmtime::Error, about: &Circumstances<'_>) -> (FailureKind, String) {
    let (kind, summary) = summary(error, about);
    let mut message = summary;
    // A language runtime that stops regularly writes the reason to stderr.
    for line in about.stderr.lines() {
        let _ = write!(message, "\n  stderr: {line}");
    }
    if kind != FailureKind::Error
        && let Some(trace) = error.downcast_ref::<WasmBacktrace>()
    {
        for function in frames::names(trace) {
            let _ = write!(message, "\n  at {function}");
        }
    }
    (kind, message)
}

fn summary(error: &wasmtime::Error, about: &Circumstances<'_>) -> (FailureKind, String) {
    if let Some(OutOfMemory { limit }) = error.downcast_ref() {
        return (FailureKind::Limit, format!("it needs more than the memory limit of {}", size(*limit as u64)));
    }
    if error.is::<NoRoom>() {
        let text = format!(
            "the calls that it asks for and their results take more than its memory limit of {}: return less from each, or \
             let calls of their own add up parts of them",
            size(about.memory)
        );
        return (FailureKind::Limit, text);
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        let most = resources(about.memory);
        let text = format!("it holds more than {most} things of its host at once: timers, streams, requests");
        return (FailureKind::Limit, text);
    }
    if matches!(error.downcast_ref(), Some(FieldMapError::TotalSizeTooBig | FieldMapError::TooManyFields)) {
        let text = format!("the headers of one of its requests take more than {}", size(http_limits::FIELDS as u64));
        return (FailureKind::Limit, text);
    }
    if error.is::<TooManyFiles>() {
        return (FailureKind::Limit, format!("it holds more than {OPEN_FILES} files and streams open at once"));
    }
    if error.is::<OutOfTime>() {
        return (FailureKind::Timeout, format!("it ran longer than its time limit of {:?}", about.wall));
    }
    if let Some(MayNotPoll(why)) = error.downcast_ref() {
        return (FailureKind::Error, format!("it may not call other tasks: {why}"));
    }
    if let Some(error) = error.downcast_ref::<BadCall>() {
        return (FailureKind::Error, error.to_string());
    }
    if let Some(error) = error.downcast_ref::<Stuck>() {
        return (FailureKind::Error, error.to_string());
    }
    if error.is::<TooMuch>() {
        let text =
            format!("it waits for more than {} of calls at once: the size limit of a result", size(about.result));
        return (FailureKind::Limit, text);
    }
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return (FailureKind::Trap, format!("it exited with status {status} instead of returning"));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return (FailureKind::Trap, if is_below_memory(error) { STACK_IN_MEMORY.to_owned() } else { trapped(*trap) });
    }
    let cause = error.root_cause().to_string();
    // wasmtime has no error type for this case.
    if cause.contains("fuel allocated for hostcalls") {
        let text = format!("it handed over more than {} at once: the size limit of a result", size(about.result));
        return (FailureKind::Limit, text);
    }
    (FailureKind::Trap, cause)
}

/// C, C++ and Rust keep their variables on a stack of their own, which their linkers put at the begin of the memory.
const STACK_IN_MEMORY: &str = "its stack overflowed, as it used memory just below address 0: does it recurse without end, or have \
                               large arrays in its functions? (A pointer to null with a negative index does the same.)";

/// Has it used memory below its first byte? That is near the end of 32 bits. Only the text of the error has the address.
fn is_below_memory(error: &wasmtime::Error) -> bool {
    const NEAR: u64 = 64 << 20;
    const END: u64 = 1 << 32;
    let address = error.chain().find_map(|cause| {
        let text = cause.to_string();
        let (_, rest) = text.split_once("memory fault at wasm address 0x")?;
        u64::from_str_radix(rest.split_whitespace().next()?, 16).ok()
    });
    // A field of what is below is at a positive offset from there.
    address.is_some_and(|address| (END - NEAR..END + NEAR).contains(&address))
}

fn trapped(trap: Trap) -> String {
    match trap {
        Trap::StackOverflow => {
            format!("its stack of {} overflowed: does it recurse without end?", size(WASM_STACK as u64))
        }
        Trap::UnreachableCodeReached => "it gave up: a panic, an abort or a failed assertion".to_owned(),
        other => format!("it trapped: {}", other.to_string().trim_start_matches("wasm trap: ")),
    }
}

/// The size as "256 MiB". Round sizes, such as limits, are exact.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift) {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(256 << 20), "256 MiB");
        assert_eq!(size(3 << 30), "3 GiB");
        assert_eq!(size(1000), "1000 bytes");
    }
}
