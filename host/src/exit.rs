//! Every exit code of `brrr-host`, in one place. They are part of the interface: a number never changes its meaning.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for a worker or gateway: stopped when asked to |
//! | 1 | a fault of this program, or of something that it has no code for |
//! | 2 | usage: an unknown flag, a missing or bad argument |
//! | 3 | the payload is not what the codec takes: not JSON, or of the wrong shape |
//! | 4 | the stored value is not what the codec reads (try `--codec raw`) |
//! | 10 | component: no such file, or it can't be read |
//! | 11 | component: not WebAssembly, or damaged |
//! | 12 | component: a core module, not a component |
//! | 13 | component: it doesn't export the handler of `brrr:worker`, or wants imports that no worker has |
//! | 14 | component: made for another version of `brrr:worker` |
//! | 15 | component: two components claim the same task, or one claims it twice |
//! | 16 | component: it can't be compiled, has no tasks, or fails when asked for them |
//! | 17 | component: it can't be built, because a tool is missing; the message says how to install it |
//! | 18 | component: it can't be built, because a tool failed (a mistake in the sources, mostly) |
//! | 19 | component: the folder is no project that `build` knows, or could be two |
//! | 20 | backend: a URL or option that no backend takes; a Redis that evicts keys |
//! | 21 | backend: it can't be reached, or is busy |
//! | 22 | backend: not a store of ours, or damaged |
//! | 23 | backend: it is read-only |
//! | 24 | backend: written by a newer version of this program |
//! | 25 | backend: no room left |
//! | 26 | backend: any other failure |
//! | 27 | backend: a table or queue (`brrr-host setup`) or a SQLite file is not there |
//! | 30 | the call failed |
//! | 31 | the call failed because no worker handled its task within the grace |
//! | 32 | the call or its job timed out |
//! | 33 | the job was cancelled |
//! | 40 | not there: no outcome yet, or nobody asked for it; no such job, dead letter or call |
//! | 41 | the time given to wait ran out; the job goes on |
//! | 42 | refused: the job is alive (`forget`, `retry`) or over (`cancel`), nothing describes the call (`dlq send`), or the call hash stands for another call |
//! | 43 | stuck work was found, and is not repaired (`doctor`) |
//! | 50 | the address can't be listened on: in use, or not ours |
//! | 60 | tests: a case failed (`brrr-host test`) |
//! | 130 | interrupted (Ctrl-C) before it was done; for a worker: twice |
//! | 141 | nobody reads the output any more |
//! | 143 | terminated (SIGTERM) before it was done; for a worker: twice |

use brrr_protocol::model::FailureKind;
use brrr_protocol::{Error, ErrorKind};
use brrr_worker::topic_worker::StopReason;
use brrr_worker::wasm::LoadError;

use crate::build::BuildError;

/// How the program ends. The numbers are grouped by ten: usage, component, backend, call, waiting, network, tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Fault = 1,
    /// clap's own code.
    Usage = 2,
    BadPayload = 3,
    BadValue = 4,
    NoSuchFile = 10,
    NotWasm = 11,
    CoreModule = 12,
    OtherWorld = 13,
    OtherVersion = 14,
    TaskClaimedTwice = 15,
    BrokenComponent = 16,
    ToolMissing = 17,
    BuildFailed = 18,
    NotAProject = 19,
    BadBackend = 20,
    Unreachable = 21,
    NotAStore = 22,
    ReadOnly = 23,
    NewerSchema = 24,
    Full = 25,
    BackendFailed = 26,
    NotSetUp = 27,
    CallFailed = 30,
    NobodyHandles = 31,
    TimedOut = 32,
    Cancelled = 33,
    NotThere = 40,
    WaitedTooLong = 41,
    Refused = 42,
    StuckWork = 43,
    CannotListen = 50,
    TestsFailed = 60,
    /// 128 + SIGINT, as in shells.
    Interrupted = 130,
    /// 128 + SIGPIPE, as in shells.
    BrokenPipe = 141,
    /// 128 + SIGTERM, as in shells.
    Terminated = 143,
}

impl Exit {
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The exit of another process of this program, by its code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// The exit code for a call that failed.
    #[must_use]
    pub fn of_failure(kind: &FailureKind) -> Self {
        match kind {
            FailureKind::UnknownTask => Self::NobodyHandles,
            FailureKind::Timeout => Self::TimedOut,
            FailureKind::Cancelled => Self::Cancelled,
            _ => Self::CallFailed,
        }
    }
}

const ALL: [Exit; 36] = [
    Exit::Done,
    Exit::Fault,
    Exit::Usage,
    Exit::BadPayload,
    Exit::BadValue,
    Exit::NoSuchFile,
    Exit::NotWasm,
    Exit::CoreModule,
    Exit::OtherWorld,
    Exit::OtherVersion,
    Exit::TaskClaimedTwice,
    Exit::BrokenComponent,
    Exit::ToolMissing,
    Exit::BuildFailed,
    Exit::NotAProject,
    Exit::BadBackend,
    Exit::Unreachable,
    Exit::NotAStore,
    Exit::ReadOnly,
    Exit::NewerSchema,
    Exit::Full,
    Exit::BackendFailed,
    Exit::NotSetUp,
    Exit::CallFailed,
    Exit::NobodyHandles,
    Exit::TimedOut,
    Exit::Cancelled,
    Exit::NotThere,
    Exit::WaitedTooLong,
    Exit::Refused,
    Exit::StuckWork,
    Exit::CannotListen,
    Exit::TestsFailed,
    Exit::Interrupted,
    Exit::BrokenPipe,
    Exit::Terminated,
];

impl From<StopReason> for Exit {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Interrupt => Self::Interrupted,
            StopReason::Terminate | StopReason::HangUp => Self::Terminated,
            StopReason::OutputClosed => Self::BrokenPipe,
            StopReason::Requested => Self::Done,
            StopReason::Failed => Self::Fault,
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Config => Self::BadBackend,
            ErrorKind::NotSetUp => Self::NotSetUp,
            ErrorKind::Unavailable => Self::Unreachable,
            ErrorKind::Corrupt => Self::NotAStore,
            ErrorKind::ReadOnly => Self::ReadOnly,
            ErrorKind::NewerSchema | ErrorKind::NewerRecord => Self::NewerSchema,
            ErrorKind::Full => Self::Full,
            ErrorKind::Conflict => Self::Refused,
            ErrorKind::Malformed | ErrorKind::Limit | ErrorKind::Internal => Self::BackendFailed,
        }
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        error.kind.into()
    }
}

impl From<&LoadError> for Exit {
    fn from(error: &LoadError) -> Self {
        match error {
            LoadError::NotFound { .. } | LoadError::Unreadable { .. } => Self::NoSuchFile,
            LoadError::NotWasm { .. } => Self::NotWasm,
            LoadError::CoreModule { .. } => Self::CoreModule,
            LoadError::OtherWorld { .. } | LoadError::UnknownImport { .. } => Self::OtherWorld,
            LoadError::OtherVersion { .. } => Self::OtherVersion,
            LoadError::TaskTwice { .. } | LoadError::TaskClaimedByTwo { .. } => Self::TaskClaimedTwice,
            LoadError::Invalid { .. }
            | LoadError::TooMuchToCompile { .. }
            | LoadError::Unfit { .. }
            | LoadError::DescribeFailed { .. }
            | LoadError::DescribeTimeout { .. }
            | LoadError::BadName { .. }
            | LoadError::BadOption { .. }
            | LoadError::NoTasks { .. }
            | LoadError::TooManyTasks { .. } => Self::BrokenComponent,
            LoadError::Engine { .. } => Self::Fault,
        }
    }
}

impl From<&BuildError> for Exit {
    fn from(error: &BuildError) -> Self {
        match error {
            BuildError::NotFound { .. } => Self::NoSuchFile,
            BuildError::NotAProject { .. } => Self::NotAProject,
            BuildError::Missing { .. } => Self::ToolMissing,
            BuildError::Failed { .. } => Self::BuildFailed,
            BuildError::File { .. } => Self::Fault,
        }
    }
}

/// The short form of the table above, for `brrr-host --help`.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    a fault of this program
  2    usage
  3    the payload is not what the codec takes
  4    the stored value is not what the codec reads
  10   component: no such file
  11   component: not WebAssembly
  12   component: a core module
  13   component: of another world
  14   component: for another version of brrr:worker
  15   component: a task is claimed twice
  16   component: can't be compiled or described
  17   component: a tool to build it is missing
  18   component: the build failed
  19   component: not a project
  20   backend: bad URL
  21   backend: unreachable
  22   backend: not a store of ours
  23   backend: read-only
  24   backend: of a newer version
  25   backend: no room left
  26   backend: another failure
  27   backend: not set up
  30   the call failed
  31   no worker handles the task
  32   timed out
  33   cancelled
  40   not there (yet)
  41   waited too long
  42   refused: the job is alive or over, or the call hash stands for another call
  43   stuck work was found (doctor)
  50   can't listen on the address
  60   tests: a case failed
  130  interrupted
  141  nobody reads the output
  143  terminated";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_help_and_readme_list_the_same_codes() {
        let number = |text: &str| text.trim().parse::<u8>().ok();
        let documented: Vec<u8> = include_str!("exit.rs")
            .lines()
            .filter_map(|line| number(line.strip_prefix("//! | ")?.split('|').next()?))
            .collect();
        let helped: Vec<u8> = HELP.lines().filter_map(|line| number(line.split_whitespace().next()?)).collect();
        assert_eq!(documented, helped);
        assert!(documented.is_sorted());
        let table: String = include_str!("exit.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! |"))
            .map(|row| format!("|{row}\n"))
            .collect();
        assert!(include_str!("../../README.md").contains(&table), "README.md is to have this table:\n{table}");
        assert_eq!(documented, ALL.map(Exit::code), "ALL");
    }
}
