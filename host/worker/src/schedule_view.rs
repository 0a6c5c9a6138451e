//! The document of a schedule, which command line and gateway share.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use brrr_protocol::model::{Millis, Topic};
use brrr_protocol::options::Backoff;
use brrr_protocol::records::{Schedule, ScheduleSpec};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::events::time;

/// A schedule as JSON.
#[derive(Debug, Serialize)]
pub struct ScheduleView<'a> {
    /// The name of the schedule.
    pub name: &'a str,
    /// The topic of its jobs.
    pub topic: &'a str,
    /// The task that it starts.
    pub task: &'a str,
    /// The cron pattern, as it was written.
    pub cron: &'a str,
    /// The name of the time zone of the pattern.
    pub tz: &'a str,
    /// The named arguments, if the payload is such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// Any other payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    /// The options of each job that are set.
    pub options: OptionsView<'a>,
    /// `allow`, `skip` or `cancel-previous`.
    pub overlap: &'static str,
    /// How late a tick may be started, for example `1h`.
    pub catch_up: String,
    /// The ticks pass without a job.
    pub paused: bool,
    /// The next tick. `null`: it is paused.
    pub next: Option<String>,
    /// The latest tick that was decided. `null`: none yet.
    pub last: Option<String>,
    /// The job that was started last. `null`: none yet.
    pub last_job: Option<&'a str>,
}

/// The options of a job that are set, as the gateway's clients write them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct OptionsView<'a> {
    /// The longest time of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The most messages that the job may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_messages: Option<u64>,
    /// Who shares the outcomes of its calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The name of its calls for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<&'a str>,
    /// The longest time of one run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_timeout: Option<String>,
    /// How often a failed call is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// The delay before the first retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<String>,
    /// The longest delay before a retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retry_delay: Option<String>,
    /// `exponential` or `fixed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_backoff: Option<&'static str>,
}

impl<'a> ScheduleView<'a> {
    /// The document of a schedule. `now`: the backend's clock.
    #[must_use]
    pub fn of(topic: &'a Topic, name: &'a str, schedule: &'a Schedule, now: Millis) -> Self {
        let Schedule { spec, .. } = schedule;
        let input = named_arguments(&spec.payload);
        Self {
            name,
            topic: topic.as_str(),
            task: &spec.task,
            cron: &spec.cron,
            tz: &spec.tz,
            payload_base64: input.is_none().then(|| STANDARD.encode(&spec.payload)),
            input,
            options: OptionsView::of(spec),
            overlap: spec.overlap.as_str(),
            catch_up: span(spec.catch_up),
            paused: schedule.is_paused,
            next: schedule.next(now).map(time),
            last: (schedule.last > 0).then(|| time(schedule.last)),
            last_job: schedule.last_job.as_ref().map(brrr_protocol::model::JobId::as_str),
        }
    }
}

impl<'a> OptionsView<'a> {
    fn of(spec: &'a ScheduleSpec) -> Self {
        let options = &spec.options;
        Self {
            timeout: spec.timeout.map(span),
            max_messages: Some(spec.max_messages).filter(|most| *most > 0),
            scope: options.scope.map(|scope| scope.to_string()),
            label: options.label.as_deref(),
            task_timeout: options.timeout.map(span),
            max_retries: options.max_retries,
            retry_delay: options.retry_delay.map(span),
            max_retry_delay: options.max_retry_delay.map(span),
            retry_backoff: options.backoff.map(|backoff| match backoff {
                Backoff::Fixed => "fixed",
                Backoff::Exponential => "exponential",
            }),
        }
    }
}

/// A span of time as users write it: `1h 30m`.
fn span(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// The object with the named arguments, if the payload is `[{…}]`. Its text stays as it is, with all digits of its numbers.
fn named_arguments(payload: &[u8]) -> Option<Box<RawValue>> {
    let [object] = <[Box<RawValue>; 1]>::try_from(serde_json::from_slice::<Vec<Box<RawValue>>>(payload).ok()?).ok()?;
    object.get().starts_with('{').then_some(object)
}

#[cfg(test)]
mod tests {
    use brrr_protocol::options::{Options, Scope};
    use brrr_protocol::records::Overlap;
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    fn schedule(payload: &'static str) -> Schedule {
        Schedule {
            spec: ScheduleSpec {
                tz: "Europe/Berlin".into(),
                timeout: Some(Duration::from_secs(90)),
                max_messages: 7,
                options: Options { scope: Some(Scope::Job), backoff: Some(Backoff::Fixed), ..Options::default() },
                overlap: Overlap::Skip,
                ..ScheduleSpec::new("0 3 * * *", "report", Bytes::from_static(payload.as_bytes()), "c".into())
            },
            is_declared: false,
            is_paused: false,
            created: 1,
            changed: 1,
            decided: 1,
            last: 0,
            last_job: None,
            starting: Vec::new(),
            extra: Vec::new(),
        }
    }

    #[test]
    fn a_schedule_is_shown_as_it_would_be_written() {
        let view = |schedule: &Schedule| {
            let topic = "demo".into();
            serde_json::to_value(ScheduleView::of(&topic, "nightly", schedule, 0)).unwrap()
        };
        let mut one = schedule("[{\"n\": 30}]");
        let document = json!({
            "name": "nightly", "topic": "demo", "task": "report", "cron": "0 3 * * *", "tz": "Europe/Berlin",
            "input": {"n": 30}, "options": {"timeout": "1m 30s", "max_messages": 7, "scope": "job", "retry_backoff": "fixed"},
            "overlap": "skip", "catch_up": "1h", "paused": false, "next": "1970-01-01T02:00:00.000Z", "last": null,
            "last_job": null,
        });
        assert_eq!(view(&one), document);
        (one.is_paused, one.last, one.last_job) = (true, 1_000, Some("j".into()));
        let paused = view(&one);
        assert_eq!(
            (&paused["next"], &paused["last"], &paused["last_job"]),
            (&json!(null), &json!("1970-01-01T00:00:01.000Z"), &json!("j"))
        );
        for payload in ["[1]", "[{}, {}]", "x", "", "[\"{}\"]"] {
            let raw = view(&schedule(payload));
            assert_eq!(
                (raw.get("input"), &raw["payload_base64"]),
                (None, &json!(STANDARD.encode(payload))),
                "{payload}"
            );
        }
        // All digits stay.
        let one = schedule("[{\"n\": 12345678901234567890.5}]");
        let topic = "demo".into();
        let text = serde_json::to_string(&ScheduleView::of(&topic, "n", &one, 0)).unwrap();
        assert!(text.contains("{\"n\": 12345678901234567890.5}"), "{text}");
    }
}
