//! The transitions, one round trip each. They are multi-step if the server forbids scripts, and for rare transitions.

use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::error::Result;
use brrr_protocol::identity::conflict;
use brrr_protocol::model::{CallHash, Failure, JobId, Millis, Outcome};
use brrr_protocol::multi_step::{self, Ports};
use brrr_protocol::ports::{
    Backend, BackendParts, Counters, Deferral, Deferred, EventLog, JobFacts, Key, Loaded, NewJob, Queue, Scheduled,
    Store, Work,
};
use brrr_protocol::records::{JobRecord, JobState, LatestJob, RunRecord, encode_failure};
use brrr_protocol::wire::{CallRecord, Message};
use bytes::Bytes;
use redis::Value;

use super::Redis;
use super::queue::{HeldMessage, delayed, millis};
use super::scripts::{self, Call};
use super::store::bytes;
use crate::poll;

impl Redis {
    fn ports(&self) -> Ports<'_> {
        Ports::of(self, self, self)
    }

    /// Adds the arguments of `ack` in `lua/lib.lua`.
    fn acknowledging<'c>(&self, call: Call<'c>, work: &Work) -> Call<'c> {
        let held = work.receipt.as_ref().map(HeldMessage::of);
        let (number, again) = held.map_or(("", None), |held| (held.number, held.again));
        let (topic, body) = again.unwrap_or_default();
        call.arg(&self.0.worker).arg(number).arg(topic).arg(body)
    }

    /// Adds the arguments of `ack` and `keep_log` in `lua/lib.lua`.
    fn settling<'c>(&self, call: Call<'c>, work: &Work) -> Call<'c> {
        let call = self.acknowledging(call, work);
        match &work.log {
            Some(log) => {
                let (record, keep) = log.parts();
                call.arg(&record[..]).arg(keep)
            }
            None => call.arg("").arg(""),
        }
    }

    pub(super) async fn run(&self, call: Call<'_>, operation: &str) -> Result<Value> {
        call.run(&mut self.0.connections.shared()).await.map_err(self.error(operation))
    }
}

/// Adds the current time, and `1` if this work ends its job, else an empty text.
fn timed<'c>(call: Call<'c>, work: &Work) -> Call<'c> {
    call.arg(work.now).arg(if work.ends_job { "1" } else { "" })
}

/// Decodes pairs of value and failure, one pair for each of the first `calls`. The calls after the last pair were not
/// read.
fn outcomes<'c>(
    job_id: &JobId,
    calls: impl Iterator<Item = &'c CallHash>,
    flat: Value,
) -> Result<Vec<Option<Outcome>>> {
    let Value::Array(items) = flat else { return Err(Redis::unexpected("read outcomes", &flat)) };
    let mut items = items.into_iter();
    let mut outcomes = Vec::with_capacity(items.len() / 2);
    for call in calls {
        let (Some(value), Some(failure)) = (items.next(), items.next()) else { break };
        outcomes.push(multi_step::outcome(job_id, call, bytes(value)?, bytes(failure)?)?);
    }
    Ok(outcomes)
}

/// Decodes the answer of `lua/load.lua`.
fn loaded(message: &Message, answer: Value) -> Result<Loaded> {
    let Message { job_id, call: hash } = message;
    let wrong = |answer: &Value| Redis::unexpected("load a call", answer);
    let Value::Array(parts) = answer else { return Err(wrong(&answer)) };
    let Ok([found, sample]) = <[Value; 2]>::try_from(parts) else { return Err(wrong(&Value::Nil)) };
    let Value::Array(found) = found else { return Err(wrong(&found)) };
    let Ok([call, value, failure, run, job]) = <[Value; 5]>::try_from(found) else { return Err(wrong(&Value::Nil)) };
    let call = bytes(call)?.as_ref().map(CallRecord::decode).transpose().map_err(|e| e.of(&Key::call(hash)))?;
    let job = bytes(job)?.as_deref().map(JobRecord::decode).transpose().map_err(|e| e.of(&Key::job(job_id)))?;
    let run_bytes = bytes(run)?;
    let run = run_bytes.as_deref().map(RunRecord::decode).transpose().map_err(|e| e.of(&Key::run(hash, job_id)))?;
    let named = run.as_ref().map(|run| &run.sample[..]).unwrap_or_default();
    // The run record lists the calls in reverse order.
    let sample = outcomes(job_id, named.iter().rev(), sample)?;
    let outcome = multi_step::outcome(job_id, hash, bytes(value)?, bytes(failure)?)?;
    let job = job.map(Box::new);
    let mut loaded = Loaded { call, job, outcome, run, run_bytes, ..Loaded::default() };
    // If the call has ended, it does not wait any more, and the script did not read the sample.
    if loaded.outcome.is_none() {
        loaded.take_sample(sample);
    }
    Ok(loaded)
}

/// Decodes the answer of `lua/defer.lua`. `None`: the job is over.
fn deferred(d: &Deferral<'_>, answer: Value) -> Result<Option<Deferred>> {
    let wrong = |answer: &Value| Redis::unexpected("defer a call", answer);
    let Value::Array(items) = &answer else { return Err(wrong(&answer)) };
    let words: Vec<String> = items
        .iter()
        .map(|item| redis::from_redis_value(item.clone()))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| wrong(&answer))?;
    let Some((first, rest)) = words.split_first() else { return Err(wrong(&answer)) };
    Ok(match first.as_str() {
        "over" => None,
        "limit" => Some(Deferred::TooManyMessages),
        "other" => {
            let [index, there] = rest else { return Err(wrong(&answer)) };
            let call =
                index.parse().ok().and_then(|index: usize| d.wait.calls.get(index)).ok_or_else(|| wrong(&answer))?;
            return Err(conflict(&call.hash, &call.task, there));
        }
        "cycle" => Some(Deferred::Cycle(rest.iter().map(|hash| CallHash::from(hash.as_str())).collect())),
        "waiting" => {
            let queued = rest.iter().map(|index| index.parse().map_err(|_| wrong(&answer)));
            Some(Deferred::Waiting { queued: queued.collect::<Result<_>>()? })
        }
        _ => return Err(wrong(&answer)),
    })
}

#[async_trait]
impl BackendParts for Redis {
    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn counters(&self) -> &dyn Counters {
        self
    }

    fn events(&self) -> Option<&dyn EventLog> {
        Some(self)
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        let channel = self.0.keys.over();
        tokio::select! {
            version = poll::changed(version, at_most) => version,
            // The next looks are frequent again: the end of another job may be near. A change has another version.
            // Whoever looks only once needs no connection for it.
            () = self.0.over.heard(&self.0.connections, &channel), if version > 0 => if version == 1 { 2 } else { 1 },
        }
    }
}

#[async_trait]
impl Backend for Redis {
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        if !self.may_script() {
            return multi_step::schedule(&self.ports(), job, now).await;
        }
        let call = &job.call;
        let script = scripts::SCHEDULE.call(&self.0.keys).arg(call.hash.as_str()).arg(job.job_id.as_str());
        let script = script.arg(call.topic.as_str()).arg(&CallRecord::encode(&call.task, &call.payload)[..]);
        let (job_id, is_delayed) = (job.job_id.clone(), job.is_delayed(now));
        let record = job.record(now).encode();
        let script = script.arg(&record[..]).arg(&LatestJob::unsent(job_id.clone()).encode()[..]);
        let script = script.arg(&LatestJob::sent(job_id, is_delayed).encode()[..]).arg(now);
        // A job with a deadline has a second message, which is sent at the deadline.
        let messages = job.messages(now);
        let first = messages.first().filter(|_| is_delayed);
        let script = [messages.get(1), first].into_iter().fold(script, |script, later| match later {
            Some(later) => script.arg(millis(later.delay)).arg(delayed(0, later.body.as_bytes())),
            None => script.arg("").arg(""),
        });
        let facts = JobFacts::of(&record);
        let alive = self.0.keys.jobs_in(facts.state);
        let script = script.args(self.0.keys.jobs_like(&facts).into_iter().chain(alive));
        let answer = self.run(script, "schedule a job").await?;
        if let Value::Array(_) = &answer
            && let Ok((there,)) = redis::from_redis_value::<(String,)>(answer.clone())
        {
            return Err(conflict(&call.hash, &call.task, &there));
        }
        match redis::from_redis_value::<String>(answer.clone()).as_deref() {
            Ok("queued") => Ok(Scheduled::Queued),
            Ok("done") => Ok(Scheduled::AlreadyDone),
            Ok("taken") => Ok(Scheduled::Taken),
            _ => Err(Self::unexpected("schedule a job", &answer)),
        }
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        if !self.may_script() {
            return multi_step::load(self, work).await;
        }
        let Message { job_id, call } = &work.message;
        let script = scripts::LOAD.call(&self.0.keys).arg(call.as_str()).arg(job_id.as_str());
        loaded(&work.message, self.run(script, "load a call").await?)
    }

    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        if !self.may_script() || calls.is_empty() {
            return multi_step::outcomes(self, job_id, calls).await;
        }
        let script = scripts::OUTCOMES.call(&self.0.keys).arg(job_id.as_str()).args(calls.iter().map(CallHash::as_str));
        outcomes(job_id, calls.iter(), self.run(script, "read outcomes").await?)
    }

    async fn defer(&self, d: &Deferral<'_>) -> Result<Deferred> {
        if !self.may_script() {
            return multi_step::defer(&self.ports(), d).await;
        }
        let Message { job_id, call } = &d.work.message;
        let script =
            scripts::DEFER.call(&self.0.keys).arg(job_id.as_str()).arg(call.as_str()).arg(d.work.topic.as_str());
        let script = script.arg(d.work.now).arg(d.max_messages.min(1 << 53));
        let script = script.arg(d.run_before.map(|bytes| &bytes[..]).unwrap_or_default());
        let script = script.arg(&d.run_after.encode()[..]).arg(d.wait.need);
        let script = script.arg(if d.wait.fast { "1" } else { "" }).arg(d.wait.pace);
        let mut script = self.settling(script, d.work);
        for child in &d.wait.calls {
            let options = multi_step::run_with_options(child).map(|run| run.encode()).unwrap_or_default();
            script = script.arg(child.hash.as_str()).arg(child.topic.as_str());
            script = script.arg(&CallRecord::encode(&child.task, &child.payload)[..]).arg(&options[..]);
            script = script.arg(if child.is_promise() { "1" } else { "" });
        }
        if let Some(deferred) = deferred(d, self.run(script, "defer a call").await?)? {
            return Ok(deferred);
        }
        self.abandon(d.work).await?;
        Ok(Deferred::JobOver)
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        if !self.may_script() {
            return multi_step::complete(&self.ports(), work, value).await;
        }
        let Message { job_id, call } = &work.message;
        let script = scripts::COMPLETE.call(&self.0.keys).arg(call.as_str()).arg(job_id.as_str()).arg(&value[..]);
        let script = self.settling(timed(script, work), work);
        self.run(script, "complete a call").await.map(drop)
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        if !self.may_script() {
            return multi_step::fail(&self.ports(), work, failure).await;
        }
        let Message { job_id, call } = &work.message;
        let script = scripts::FAIL.call(&self.0.keys).arg(call.as_str()).arg(job_id.as_str()).arg(work.topic.as_str());
        let script = self.settling(timed(script.arg(&encode_failure(failure)[..]), work), work);
        self.run(script, "fail a call").await.map(drop)
    }

    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()> {
        if !self.may_script() {
            return multi_step::notify_parents(&self.ports(), work, end).await;
        }
        let Message { job_id, call } = &work.message;
        let script = scripts::NOTIFY_PARENTS.call(&self.0.keys).arg(call.as_str()).arg(job_id.as_str());
        let script = timed(script.arg(work.topic.as_str()).arg(end.as_str()), work);
        self.run(self.acknowledging(script, work), "notify the parents of a call").await.map(drop)
    }

    // Seldom needed, and many accesses long: no script.
    async fn abandon(&self, work: &Work) -> Result<()> {
        multi_step::abandon(&self.ports(), work).await
    }

    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        multi_step::end_job(self, job_id, failure, now).await
    }

    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        if !self.may_script() {
            return multi_step::forget_calls(self, job_id, calls, had_value).await;
        }
        let script = scripts::FORGET.call(&self.0.keys).arg(job_id.as_str()).arg(u8::from(had_value));
        match self.run(script.args(calls.iter().map(CallHash::as_str)), "forget calls").await? {
            Value::Array(forgotten) if forgotten.len() == calls.len() => {
                Ok(forgotten.iter().map(|forgotten| *forgotten == Value::Int(1)).collect())
            }
            other => Err(Redis::unexpected("forget calls", &other)),
        }
    }
}
