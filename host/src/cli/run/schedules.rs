//! The schedules of `brrr.toml`: `run` puts them in place at its start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use brrr_protocol::records::ScheduleSpec;
use brrr_protocol::schedules::{Declared, Put, Schedules};

use crate::cli::ExitError;
use crate::cli::encode::{Codec, encode};
use crate::cli::options::topic;
use crate::config::{CodecWord, Config, ScheduleEntry};
use crate::exit::Exit;

/// The schedules of the file, by topic. Topics without schedules are those of which the file may have removed some.
pub type Plan = BTreeMap<Topic, BTreeMap<String, Put>>;

/// What the file says of schedules. `own`: the topic of entries without a topic. `served`: the topics of this worker.
///
/// # Errors
/// When an entry can't be used: which one, and why.
pub fn plan(config: &Config, own: Option<&Topic>, served: &BTreeSet<Topic>) -> anyhow::Result<Plan> {
    let mut plan = Plan::new();
    let Some(entries) = &config.schedules else { return Ok(plan) };
    plan.extend(served.iter().map(|topic| (topic.clone(), BTreeMap::new())));
    for entry in entries {
        let wrong = |text: String| {
            let path = config.path.as_ref().map_or_else(String::new, |path| format!("{}: ", path.display()));
            ExitError::new(Exit::Usage, format!("{path}the schedule {}: {text}", entry.name))
        };
        let named = entry.topic.as_deref().map(topic).transpose().map_err(wrong)?;
        let topic = named.or_else(|| own.cloned());
        let topic = topic.ok_or_else(|| wrong("on which topic? --topic TOPIC, or `topic` in brrr.toml".to_owned()))?;
        let put = put(entry).map_err(wrong)?;
        if plan.entry(topic.clone()).or_default().insert(entry.name.clone(), put).is_some() {
            return Err(wrong(format!("topic {topic} has two of this name")).into());
        }
    }
    Ok(plan)
}

fn put(entry: &ScheduleEntry) -> Result<Put, String> {
    let given = match (&entry.input, &entry.payload) {
        (Some(_), Some(_)) => return Err("`input` and `payload` say the same thing; give one of them".to_owned()),
        (Some(input), None) => serde_json::to_vec(input).map_err(|error| error.to_string())?,
        (None, payload) => payload.clone().unwrap_or_default().into_bytes(),
    };
    let codec = match entry.codec {
        CodecWord::Python => Codec::Python,
        CodecWord::Typescript => Codec::Typescript,
        CodecWord::Raw => Codec::Raw,
    };
    let encoded = encode(codec, &entry.task, given)?;
    let spec = ScheduleSpec {
        tz: entry.tz.clone(),
        options: entry.options(),
        timeout: entry.timeout(),
        max_messages: entry.max_messages(),
        overlap: entry.overlap.into(),
        catch_up: entry.catch_up(),
        ..ScheduleSpec::new(entry.cron.clone(), entry.task.clone(), encoded.payload, encoded.hash)
    };
    spec.check()?;
    Ok(Put { spec, is_paused: entry.paused, is_declared: true, may_replace: true })
}

/// Puts the schedules of the file in place, and removes those that it no longer has.
///
/// # Errors
/// When the backend fails. Safe to repeat.
pub async fn declare(backend: &Arc<dyn Backend>, plan: &Plan) -> brrr_protocol::Result<()> {
    for (topic, file) in plan {
        let schedules = Schedules::new(backend.clone(), topic.clone());
        let Declared { added, changed, removed, of_persons } = schedules.declare(file, backend.now()).await?;
        for (names, what) in [(&added, "added"), (&changed, "changed"), (&removed, "removed")] {
            if !names.is_empty() {
                tracing::info!("schedules of topic {topic}, as brrr.toml has them: {what}: {}", names.join(", "));
            }
        }
        for name in of_persons {
            tracing::warn!(
                "schedule {name} of topic {topic} stays as `cron add` has made it, and not as in brrr.toml; `cron remove` it, \
                 or give the one in brrr.toml another name"
            );
        }
    }
    Ok(())
}

/// Tells of schedules that a file has declared once and that this file says nothing of.
///
/// # Errors
/// When the backend fails.
pub async fn tell_of_others(backend: &Arc<dyn Backend>, served: &BTreeSet<Topic>) -> brrr_protocol::Result<()> {
    for topic in served {
        let all = match Schedules::new(backend.clone(), topic.clone()).list().await {
            Ok(all) => all,
            // The worker tells of it.
            Err(error) if error.is_unreadable() => continue,
            Err(error) => return Err(error),
        };
        let declared: Vec<_> = all.iter().filter(|(_, one)| one.is_declared).map(|(name, _)| name.as_str()).collect();
        if !declared.is_empty() {
            tracing::info!(
                "topic {topic} has schedules that a brrr.toml has declared, and this one has no [[schedules]]: {}; they go on; \
                 `schedules = []` removes them",
                declared.join(", ")
            );
        }
    }
    Ok(())
}
