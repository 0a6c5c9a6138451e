//! What the tasks of a fleet do, as the events of its workers tell it. Pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use brrr_protocol::model::Millis;
use serde::Deserialize;

/// Ends of runs are counted for so long.
pub const WINDOW: Duration = Duration::from_mins(1);

/// The fields of an event that are counted.
#[derive(Clone, Debug, Deserialize)]
pub struct Change {
    at: String,
    subject: String,
    job: String,
    call: String,
    task: String,
    topic: String,
    to: String,
    from: String,
    #[serde(default)]
    retry_in_ms: Millis,
    #[serde(default)]
    failure: Option<Cause>,
}

#[derive(Clone, Debug, Deserialize)]
struct Cause {
    message: String,
}

/// A call in a job.
type Id = (String, String);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Completed,
    /// It failed for good, or its job is over.
    Failed,
    Retried,
    /// It waits for other calls.
    Waits,
}

struct Ended {
    at: Millis,
    task: String,
    end: End,
    took: Millis,
}

/// The calls of a fleet.
#[derive(Default)]
pub struct Activity {
    /// The topic of each call that waits for a worker, and since when.
    waiting: HashMap<Id, (String, Millis)>,
    /// The task of each call that runs, and since when.
    running: HashMap<Id, (String, Millis)>,
    ended: VecDeque<Ended>,
    failures: BTreeMap<String, String>,
}

/// A task in the last minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskActivity {
    pub running: u32,
    pub completed: u32,
    pub failed: u32,
    pub retried: u32,
    /// Runs that ended because they wait for other calls.
    pub waits: u32,
    /// The longest run that ended, or still runs, in milliseconds.
    pub slowest: Millis,
    total: Millis,
    /// The message of its latest failure, since this began.
    pub last_failure: Option<String>,
}

impl TaskActivity {
    fn runs(&self) -> u32 {
        self.completed + self.failed + self.retried + self.waits
    }

    /// The mean of the runs that ended, in milliseconds.
    pub fn mean(&self) -> Option<Millis> {
        self.total.checked_div(self.runs().into())
    }
}

impl Activity {
    /// Notes what an event tells.
    pub fn note(&mut self, change: Change) {
        let Ok(at) = humantime::parse_rfc3339(&change.at) else { return };
        let at = at.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis);
        if change.subject != "task" {
            return;
        }
        let id = (change.job, change.call);
        self.waiting.remove(&id);
        let ran = self.running.remove(&id);
        match change.to.as_str() {
            "ready" => drop(self.waiting.insert(id, (change.topic, at.saturating_add(change.retry_in_ms)))),
            "running" => drop(self.running.insert(id, (change.task.clone(), at))),
            _ => {}
        }
        if let Some(failure) = change.failure {
            self.failures.insert(change.task.clone(), failure.message);
        }
        let end = match (change.from.as_str(), change.to.as_str()) {
            ("running", "completed") => End::Completed,
            ("running", "failed" | "cancelled" | "timed-out") => End::Failed,
            ("running", "ready") => End::Retried,
            ("running", "deferred") => End::Waits,
            _ => return,
        };
        let took = ran.map_or(0, |(_, since)| at.saturating_sub(since));
        self.ended.push_back(Ended { at, task: change.task, end, took });
    }

    /// The tasks of the last minute before `now`.
    pub fn tasks(&mut self, now: Millis) -> BTreeMap<String, TaskActivity> {
        let begin = now.saturating_sub(WINDOW.as_millis() as Millis);
        // Workers publish their events in batches, so these are not exactly in order.
        self.ended.retain(|ended| ended.at >= begin);
        let mut tasks = BTreeMap::<String, TaskActivity>::new();
        for Ended { task, end, took, .. } in &self.ended {
            let task = tasks.entry(task.clone()).or_default();
            match end {
                End::Completed => task.completed += 1,
                End::Failed => task.failed += 1,
                End::Retried => task.retried += 1,
                End::Waits => task.waits += 1,
            }
            task.total += took;
            task.slowest = task.slowest.max(*took);
        }
        for (task, since) in self.running.values() {
            let task = tasks.entry(task.clone()).or_default();
            task.running += 1;
            task.slowest = task.slowest.max(now.saturating_sub(*since));
        }
        for (name, task) in &mut tasks {
            task.last_failure = self.failures.get(name).cloned();
        }
        tasks
    }

    /// For how long the call of a topic has waited that has waited longest, in milliseconds. `None`: none waits, as far as the
    /// events tell.
    pub fn oldest(&self, topic: &str, now: Millis) -> Option<Millis> {
        let of_topic = self.waiting.values().filter(|(of, since)| of == topic && *since <= now);
        of_topic.map(|(_, since)| now - since).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn change(seconds_ago: u64, call: &str, from: &str, to: &str) -> Change {
        let at = std::time::UNIX_EPOCH + Duration::from_millis(NOW - 1_000 * seconds_ago);
        Change {
            at: humantime::format_rfc3339_millis(at).to_string(),
            subject: "task".into(),
            job: "j".into(),
            call: call.into(),
            task: "t".into(),
            topic: "demo".into(),
            to: to.into(),
            from: from.into(),
            retry_in_ms: 0,
            failure: (to == "failed").then(|| Cause { message: "no".into() }),
        }
    }

    #[test]
    fn runs_are_counted_by_their_ends() {
        let mut activity = Activity::default();
        for change in [
            change(90, "old", "ready", "running"),
            change(89, "old", "running", "completed"),
            change(9, "a", "ready", "running"),
            change(5, "a", "running", "completed"),
            change(4, "b", "ready", "running"),
            change(2, "b", "running", "failed"),
            change(3, "c", "ready", "running"),
            change(8, "d", "unscheduled", "ready"),
        ] {
            activity.note(change);
        }
        let tasks = activity.tasks(NOW);
        let task = &tasks["t"];
        assert_eq!((task.completed, task.failed, task.retried, task.running), (1, 1, 0, 1));
        assert_eq!((task.mean(), task.slowest, task.last_failure.as_deref()), (Some(3_000), 4_000, Some("no")));
        assert_eq!((activity.oldest("demo", NOW), activity.oldest("other", NOW)), (Some(8_000), None));
        activity.note(change(1, "d", "ready", "running"));
        assert_eq!(activity.oldest("demo", NOW), None);
    }
}
