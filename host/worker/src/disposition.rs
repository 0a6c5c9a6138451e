//! What a worker does about the outcome of one message, or about an error: one exhaustive match.

use std::time::Duration;

use brrr_protocol::model::Failure;
use brrr_protocol::records::JobState;
use brrr_protocol::step::Step;
use brrr_protocol::{Error, ErrorKind, Result};

/// What is left to do after a step.
#[derive(Debug)]
pub enum Disposition {
    /// Settled, nothing to say.
    Nothing,
    /// Settled; people want to know that the call failed.
    ReportFailure(Failure),
    /// Settled; people want to know that the call failed, and is tried again.
    ReportRetry { failure: Failure, attempt: u32, after: Duration },
    /// Settled: its job is over.
    ReportReleased(JobState),
    /// Settled; people want to know that a message was set aside, and why.
    ReportSetAside(String),
    /// The backend has a bad moment: return the message, to be tried again a little later.
    GiveBack(Error),
    /// Nothing can be said about the message: let its lease run out. Unlike a return that counts as a delivery, so
    /// that a message which always does this ends among the dead letters.
    LetLeaseRunOut(Error),
    /// No message can succeed until a person has seen to the backend.
    Stop(Error),
}

impl From<Result<Step>> for Disposition {
    fn from(result: Result<Step>) -> Self {
        match result {
            Ok(step) => match step {
                Step::Completed | Step::Deferred { .. } | Step::AlreadyEnded | Step::NotReady | Step::GivenBack(_) => {
                    Self::Nothing
                }
                Step::Failed(failure) => Self::ReportFailure(failure),
                Step::Retried { failure, attempt, after } => Self::ReportRetry { failure, attempt, after },
                Step::Released(state) => Self::ReportReleased(state),
                Step::SetAside(reason) => Self::ReportSetAside(reason),
            },
            Err(error) => match error.kind {
                ErrorKind::Unavailable => Self::GiveBack(error),
                // A server makes room or fails over while its workers wait. A file waits for a person.
                ErrorKind::Full | ErrorKind::ReadOnly if error.backend == "redis" => Self::GiveBack(error),
                ErrorKind::Full
                | ErrorKind::ReadOnly
                | ErrorKind::Corrupt
                | ErrorKind::NewerSchema
                | ErrorKind::NotSetUp => Self::Stop(error),
                // A newer worker may be the next to get it.
                ErrorKind::Config
                | ErrorKind::Malformed
                | ErrorKind::NewerRecord
                | ErrorKind::Limit
                | ErrorKind::Conflict
                | ErrorKind::Internal => Self::LetLeaseRunOut(error),
            },
        }
    }
}

/// How long to wait before the backend is tried again, after so many failures in a row.
#[must_use]
pub fn backoff(failures: u32) -> Duration {
    // 50 ms bridges a busy moment; 5 s is soon enough for a server that restarts.
    let doubled = Duration::from_millis(50).saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(Duration::from_secs(5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use brrr_protocol::model::FailureKind;

    fn of(kind: ErrorKind) -> Disposition {
        Err(Error::new(kind, "test", "do it", "it broke")).into()
    }

    #[test]
    fn only_what_a_person_must_see_to_stops_the_worker() {
        assert!(matches!(of(ErrorKind::Unavailable), Disposition::GiveBack(_)));
        assert!(matches!(of(ErrorKind::Full), Disposition::Stop(_)));
        for kind in [ErrorKind::Full, ErrorKind::ReadOnly] {
            let of_a_server = Disposition::from(Err(Error::new(kind, "redis", "do it", "it broke")));
            assert!(matches!(of_a_server, Disposition::GiveBack(_)), "{kind:?}");
        }
        assert!(matches!(of(ErrorKind::Limit), Disposition::LetLeaseRunOut(_)), "a topic that can't take messages");
        assert!(matches!(of(ErrorKind::NewerSchema), Disposition::Stop(_)));
        assert!(matches!(of(ErrorKind::Internal), Disposition::LetLeaseRunOut(_)));
    }

    #[test]
    fn a_failed_call_is_reported_and_nothing_else() {
        let failure = Failure::new(FailureKind::Error, "fib", "no");
        let disposition = Disposition::from(Ok(Step::Failed(failure.clone())));
        assert!(matches!(disposition, Disposition::ReportFailure(told) if told == failure));
        assert!(matches!(Disposition::from(Ok(Step::NotReady)), Disposition::Nothing));
    }

    #[test]
    fn backoff_grows_to_a_bound() {
        assert_eq!(backoff(1), Duration::from_millis(50));
        assert_eq!(backoff(3), Duration::from_millis(200));
        assert_eq!(backoff(u32::MAX), Duration::from_secs(5));
    }
}
