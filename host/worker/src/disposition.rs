//! What a worker does after the outcome of one message, or after an error.

use std::time::Duration;

use brrr_protocol::model::Failure;
use brrr_protocol::records::JobState;
use brrr_protocol::step::Step;
use brrr_protocol::{Error, ErrorKind, Result};

/// The action that is left after a step.
#[derive(Debug)]
pub enum Disposition {
    /// The message is settled, and there is nothing to report.
    Nothing,
    /// The message is settled, and the call's failure is reported.
    ReportFailure(Failure),
    /// The message is settled. The call failed and is retried, which is reported. `attempt` is the number of the next
    /// attempt, and `after` is the delay before it.
    ReportRetry { failure: Failure, attempt: u32, after: Duration },
    /// The message is settled: the call was abandoned, because its job is over.
    ReportAbandoned(JobState),
    /// The message is now a dead letter, for this reason.
    ReportDeadLetter(String),
    /// The backend fails for the moment. The message is given back, and delivered again a little later.
    Nack(Error),
    /// It is unknown what is wrong with the message, so its lease runs out. Unlike a nack, this counts as a
    /// delivery. So a message that always fails in this way becomes a dead letter.
    LetLeaseRunOut(Error),
    /// No message can succeed until a person has repaired the backend.
    Stop(Error),
}

impl From<Result<Step>> for Disposition {
    fn from(result: Result<Step>) -> Self {
        match result {
            Ok(step) => match step {
                Step::Completed | Step::Deferred { .. } | Step::AlreadyEnded | Step::NotReady | Step::Nacked(_) => {
                    Self::Nothing
                }
                Step::Failed(failure) => Self::ReportFailure(failure),
                Step::Retried { failure, attempt, after } => Self::ReportRetry { failure, attempt, after },
                Step::Abandoned(state) => Self::ReportAbandoned(state),
                Step::DeadLettered(reason) => Self::ReportDeadLetter(reason),
            },
            Err(error) => match error.kind {
                ErrorKind::Unavailable => Self::Nack(error),
                // A server can make room or fail over while its workers wait. A file needs a person.
                ErrorKind::Full | ErrorKind::ReadOnly if error.backend == "redis" => Self::Nack(error),
                ErrorKind::Full
                | ErrorKind::ReadOnly
                | ErrorKind::Corrupt
                | ErrorKind::NewerSchema
                | ErrorKind::NotSetUp => Self::Stop(error),
                // The next delivery may go to a newer worker.
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

/// How long to wait before the backend is used again, after this many failures in a row.
#[must_use]
pub fn backoff(failures: u32) -> Duration {
    // 50 ms is enough for a short overload. 5 s is soon enough for a server that restarts.
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
    fn only_errors_that_a_person_must_fix_stop_the_worker() {
        assert!(matches!(of(ErrorKind::Unavailable), Disposition::Nack(_)));
        assert!(matches!(of(ErrorKind::Full), Disposition::Stop(_)));
        for kind in [ErrorKind::Full, ErrorKind::ReadOnly] {
            let of_a_server = Disposition::from(Err(Error::new(kind, "redis", "do it", "it broke")));
            assert!(matches!(of_a_server, Disposition::Nack(_)), "{kind:?}");
        }
        assert!(matches!(of(ErrorKind::Limit), Disposition::LetLeaseRunOut(_)), "a topic that can't take messages");
        assert!(matches!(of(ErrorKind::NewerSchema), Disposition::Stop(_)));
        assert!(matches!(of(ErrorKind::Internal), Disposition::LetLeaseRunOut(_)));
    }

    #[test]
    fn only_failed_calls_are_reported() {
        let failure = Failure::new(FailureKind::Error, "fib", "no");
        let disposition = Disposition::from(Ok(Step::Failed(failure.clone())));
        assert!(matches!(disposition, Disposition::ReportFailure(reported) if reported == failure));
        assert!(matches!(Disposition::from(Ok(Step::NotReady)), Disposition::Nothing));
    }

    #[test]
    fn backoff_grows_to_a_bound() {
        assert_eq!(backoff(1), Duration::from_millis(50));
        assert_eq!(backoff(3), Duration::from_millis(200));
        assert_eq!(backoff(u32::MAX), Duration::from_secs(5));
    }
}
