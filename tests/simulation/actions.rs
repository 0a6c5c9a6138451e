//! The actions of clients, including repair and garbage collection.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::client::{Client, Forgotten, Retried};
use brrr_protocol::doctor::{Doctor, Finding, Look};
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::model::{CallHash, JobId, Millis};
use brrr_protocol::ports::{Backend, Kind, NewJob};
use brrr_protocol::starting::{StartRequest, StartTime, Started};
use brrr_protocol::{ErrorKind, Result};

use crate::graph::{PROMISED, promise, topic};
use crate::transactions::backend;
use crate::watch::Participant;
use crate::world::{Crash, World};

/// An action that a client performs at some step of a random history. The client may die during the action, and then repeats it.
#[derive(Clone, Copy, Debug)]
pub struct PlannedAction {
    pub step: usize,
    pub action: Action,
    pub crash: Option<Crash>,
    /// After an error the client does not repeat the action. This is allowed for actions that nothing else needs.
    pub gives_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Schedule(usize),
    /// Starts this job with the key. All jobs that are started so have the same key.
    Start(usize),
    Cancel(usize),
    /// Retries a job, as a new job.
    Retry(usize),
    /// Gives the promise of the job `R0` its value, or rejects it.
    Resolve,
    Reject,
    /// Makes the next job run a call again.
    Forget(&'static str),
    /// Looks for stuck work, and repairs what it finds.
    Repair,
    /// Searches for stuck work that is at least this old (in ms), and notes the result.
    Look(u64),
    /// Removes the records that no live job can reach.
    Collect,
    /// As above, but only for jobs that ended at least this long ago (in ms).
    CollectOlder(u64),
}

/// The id of the job that retries this job.
pub fn retry_of(job_id: &JobId) -> JobId {
    format!("{job_id}-again").into()
}

/// The key of all jobs that have one.
const KEY: &str = "key";

/// The id of the job with the key.
pub fn keyed() -> JobId {
    JobId::of_key(&topic(), KEY)
}

/// The request to start this job with the key.
fn request(job: &NewJob, now: Millis) -> StartRequest {
    let call = &job.call;
    StartRequest {
        key: Some(KEY.to_owned()),
        start: if job.start > now { StartTime::At(job.start) } else { StartTime::Now },
        ..StartRequest::new(call.topic.clone(), &call.task, call.payload.clone(), call.hash.clone())
    }
}

/// Performs an action. After an error a part of it may have been done.
pub async fn run(world: Arc<World>, jobs: Vec<NewJob>, action: Action, crash: Option<Crash>) -> Result<()> {
    let note = || {
        let mut state = world.state();
        let state = &mut *state;
        state.watch.note(&state.records)
    };
    let participant = match action {
        Action::Forget(_) => Participant::Forgetter(note()),
        Action::Collect | Action::CollectOlder(_) => Participant::Collector(note()),
        _ => Participant::Ours,
    };
    let view = backend(&world, participant, crash);
    let client = Client::new(view.clone());
    match action {
        Action::Schedule(n) => {
            match client.schedule(&jobs[n], world.now()).await {
                // A call with another payload owns the hash.
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
                scheduled => drop(scheduled?),
            }
            world.state().watch.accepted.insert(jobs[n].job_id.clone());
        }
        Action::Start(n) => {
            let started = match client.start(&request(&jobs[n], world.now()), "unused".into()).await {
                // A call with another payload owns the hash.
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
                started => started?,
            };
            let mut state = world.state();
            if let Started::New { job_id, .. } | Started::Existing { job_id, .. } = &started {
                state.watch.accepted.insert(job_id.clone());
            }
            state.starts.push((n, started));
        }
        Action::Cancel(n) => drop(client.cancel(&jobs[n].job_id, world.now()).await?),
        Action::Retry(n) => {
            let new = retry_of(&jobs[n].job_id);
            if let Retried::As(..) = client.retry(&jobs[n].job_id, new.clone(), world.now()).await? {
                world.state().watch.accepted.insert(new);
            }
        }
        Action::Resolve | Action::Reject => {
            let (job_id, now) = (&jobs[0].job_id, world.now());
            let answered = match action {
                Action::Resolve => client.resolve(job_id, PROMISED, format!("{}(yes)", promise()).into(), now).await?,
                _ => client.reject(job_id, PROMISED, "no", now).await?,
            };
            world.state().answers.push((action, answered));
        }
        Action::Forget(name) => {
            let done = client.forget(&CallHash::from(name), world.now()).await? == Forgotten::Done;
            world.state().watch.removed += usize::from(done);
        }
        Action::Repair => drop(repair(view, &world).await?),
        Action::Look(age) => {
            let look = Look { now: world.now(), older_than: Duration::from_millis(age) };
            let findings = Doctor::new(view).survey(&look).await?.findings;
            world.state().findings.extend(findings);
        }
        Action::Collect => collect(view, &world, 0).await?,
        Action::CollectOlder(age) => collect(view, &world, age).await?,
    }
    Ok(())
}

async fn collect(view: Arc<dyn Backend>, world: &World, age: u64) -> Result<()> {
    let plan = Plan { now: world.now(), older_than: Duration::from_millis(age), dry_run: false };
    let collected = Collector::new(view).collect(&plan, |_, _| ()).await?;
    let mut state = world.state();
    state.watch.removed += collected.jobs as usize;
    // The tasks that workers have announced stay.
    state.left = state.records.keys().filter(|key| key.kind != Kind::Tasks).cloned().collect();
    Ok(())
}

/// Repairs all stuck work that the search finds, of any age. Returns what was found.
pub async fn repair(view: Arc<dyn Backend>, world: &World) -> Result<Vec<Finding>> {
    let doctor = Doctor::new(view);
    let look = Look { now: world.now(), older_than: Duration::ZERO };
    let findings = doctor.survey(&look).await?.findings;
    for finding in &findings {
        doctor.repair(finding, world.now()).await?;
    }
    Ok(findings)
}
