//! Every exit code of `brrr-host`, in one place. They are part of the interface: a number never changes its meaning. There is a
//! code where a script would act differently; the message says the rest.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for a worker or gateway: stopped when asked to |
//! | 1 | a fault of this program, or of something that it has no code for |
//! | 2 | usage: an unknown flag, a missing or bad argument, a payload that the codec does not take |
//! | 3 | the stored value is not what the codec reads (try `--codec raw`) |
//! | 10 | component: it can't be loaded, as it is, or no trusted key has signed it (`--trust`) |
//! | 11 | component: it can't be built: no project, a missing tool, or a mistake in the sources |
//! | 20 | backend or registry: it can't be used as it is: a wrong URL or option, a damaged, foreign or read-only store, or one of a newer version; a registry without TLS, without tokens, or with a certificate that is not trusted |
//! | 21 | backend or registry: it can't be reached, is busy or full; the same command may succeed later |
//! | 22 | backend: a table, a queue or a SQLite file is not there yet (`brrr-host setup`) |
//! | 30 | the call failed |
//! | 31 | the call failed because no worker handled its task within the grace, or no worker accepts code (`call --with`) |
//! | 32 | the call or its job timed out |
//! | 33 | the job was cancelled |
//! | 40 | not there: no outcome yet, or nobody asked for it; no such job, dead letter, schedule or call, no such component in a registry |
//! | 41 | the time given to wait ran out; the job goes on |
//! | 42 | refused: a registry takes no such component (`publish`), a worker can't load what was pushed, or it answers calls in another way (`push`), the job is alive (`forget`, `retry`) or over (`cancel`, `resolve`, `reject`), the promise has another answer (`resolve`, `reject`), nothing describes the call (`dlq send`), another schedule has the name (`cron add`), or the call hash stands for another call |
//! | 43 | stuck work was found, and is not repaired (`doctor`) |
//! | 50 | the address can't be listened on: in use, or not ours |
//! | 51 | registry: it wants a login, or another one, or does not let this login do it |
//! | 60 | tests: a case failed (`brrr-host test`) |
//! | 130 | interrupted (Ctrl-C) before it was done; for a worker: twice |
//! | 141 | nobody reads the output any more |
//! | 143 | terminated (SIGTERM) before it was done; for a worker: twice |

use brrr_protocol::model::FailureKind;
use brrr_protocol::{Error, ErrorKind};
use brrr_worker::topic_worker::StopReason;
use brrr_worker::wasm::LoadError;

use crate::build::BuildError;
use crate::registry::RegistryError;

/// How the program ends. The numbers are grouped by ten: usage, component, backend, call, waiting, network, tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Fault = 1,
    /// clap's own code.
    Usage = 2,
    UnreadableValue = 3,
    BadComponent = 10,
    CannotBuild = 11,
    BadBackend = 20,
    Unavailable = 21,
    NotSetUp = 22,
    CallFailed = 30,
    NobodyHandles = 31,
    TimedOut = 32,
    Cancelled = 33,
    NotThere = 40,
    WaitedTooLong = 41,
    Refused = 42,
    StuckWork = 43,
    CannotListen = 50,
    RegistryLogin = 51,
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

const ALL: [Exit; 23] = [
    Exit::Done,
    Exit::Fault,
    Exit::Usage,
    Exit::UnreadableValue,
    Exit::BadComponent,
    Exit::CannotBuild,
    Exit::BadBackend,
    Exit::Unavailable,
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
    Exit::RegistryLogin,
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
            ErrorKind::NotSetUp => Self::NotSetUp,
            ErrorKind::Unavailable | ErrorKind::Full => Self::Unavailable,
            ErrorKind::Conflict => Self::Refused,
            ErrorKind::Config
            | ErrorKind::Corrupt
            | ErrorKind::ReadOnly
            | ErrorKind::NewerSchema
            | ErrorKind::NewerRecord
            | ErrorKind::Malformed
            | ErrorKind::Limit
            | ErrorKind::Internal => Self::BadBackend,
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
            LoadError::Engine { .. } => Self::Fault,
            _ => Self::BadComponent,
        }
    }
}

impl From<&RegistryError> for Exit {
    fn from(error: &RegistryError) -> Self {
        match error {
            RegistryError::NoClient { .. } => Self::Fault,
            RegistryError::NotFound { .. } => Self::NotThere,
            RegistryError::Login { .. } | RegistryError::Forbidden { .. } | RegistryError::BadLogin { .. } => {
                Self::RegistryLogin
            }
            RegistryError::Unusable { .. } => Self::BadBackend,
            RegistryError::NotAComponent { .. } | RegistryError::OtherBytes { .. } => Self::BadComponent,
            RegistryError::Unreachable { .. } => Self::Unavailable,
            RegistryError::Refused { .. } => Self::Refused,
        }
    }
}

impl From<&BuildError> for Exit {
    fn from(error: &BuildError) -> Self {
        match error {
            BuildError::NotFound { .. } => Self::BadComponent,
            BuildError::NotAProject { .. } | BuildError::Missing { .. } | BuildError::Failed { .. } => {
                Self::CannotBuild
            }
            BuildError::File { .. } => Self::Fault,
        }
    }
}

/// The short form of the table above, for `brrr-host --help`.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    a fault of this program
  2    usage, or a payload that the codec does not take
  3    the stored value is not what the codec reads
  10   component: can't be loaded, or is not signed by a trusted key
  11   component: can't be built
  20   backend or registry: can't be used as it is
  21   backend or registry: unreachable, busy or full; try again
  22   backend: not set up
  30   the call failed
  31   no worker handles the task
  32   timed out
  33   cancelled
  40   not there (yet)
  41   waited too long
  42   refused: the job is alive or over, the promise has another answer, or the call hash stands for another call
  43   stuck work was found (doctor)
  50   can't listen on the address
  51   registry: wants a login
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
