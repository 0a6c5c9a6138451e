//! What clients do, and who repairs and tidies up.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::client::{Client, Forgotten, Retried};
use brrr_protocol::doctor::{Doctor, Finding, Look};
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::ports::{Backend, Kind, NewJob};
use brrr_protocol::{ErrorKind, Result};

use crate::transactions::backend;
use crate::watch::Who;
use crate::world::{Crash, World};

/// What a client does at some step of a random history. It may die over it, and then does it again.
#[derive(Clone, Copy, Debug)]
pub struct Errand {
    pub step: usize,
    pub what: What,
    pub crash: Option<Crash>,
    /// Who does something that nobody needs may leave it at that.
    pub gives_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Schedule(usize),
    Cancel(usize),
    /// Tries a job again, as a new one.
    Retry(usize),
    /// Makes a call be run again by the next job.
    Forget(&'static str),
    /// Looks for stuck work, and repairs what it finds.
    Repair,
    /// Looks for stuck work that is so old (in ms), and notes what it finds.
    Look(u64),
    /// Removes what no live job can reach.
    Collect,
    /// As above, of jobs that ended so long ago (in ms).
    CollectOlder(u64),
}

/// The job that tries this one again.
pub fn again(job_id: &JobId) -> JobId {
    format!("{job_id}-again").into()
}

/// Does an errand; on an error it may have been done in part.
pub async fn run(world: Arc<World>, jobs: Vec<NewJob>, what: What, crash: Option<Crash>) -> Result<()> {
    let note = || {
        let mut state = world.state();
        let state = &mut *state;
        state.watch.note(&state.records)
    };
    let who = match what {
        What::Forget(_) => Who::Forgetter(note()),
        What::Collect | What::CollectOlder(_) => Who::Collector(note()),
        _ => Who::Ours,
    };
    let view = backend(&world, who, crash);
    let client = Client::new(view.clone());
    match what {
        What::Schedule(n) => {
            match client.schedule(&jobs[n], world.now()).await {
                // A call of another payload has the hash.
                Err(error) if error.kind == ErrorKind::Conflict => return Ok(()),
                scheduled => drop(scheduled?),
            }
            world.state().watch.accepted.insert(jobs[n].job_id.clone());
        }
        What::Cancel(n) => drop(client.cancel(&jobs[n].job_id, world.now()).await?),
        What::Retry(n) => {
            let new = again(&jobs[n].job_id);
            if let Retried::As(..) = client.retry(&jobs[n].job_id, new.clone(), world.now()).await? {
                world.state().watch.accepted.insert(new);
            }
        }
        What::Forget(name) => {
            let done = client.forget(&CallHash::from(name), world.now()).await? == Forgotten::Done;
            world.state().watch.removed += usize::from(done);
        }
        What::Repair => drop(repair(view, &world).await?),
        What::Look(age) => {
            let look = Look { now: world.now(), older_than: Duration::from_millis(age) };
            let findings = Doctor::new(view).survey(&look).await?.findings;
            world.state().findings.extend(findings);
        }
        What::Collect => collect(view, &world, 0).await?,
        What::CollectOlder(age) => collect(view, &world, age).await?,
    }
    Ok(())
}

async fn collect(view: Arc<dyn Backend>, world: &World, age: u64) -> Result<()> {
    let plan = Plan { now: world.now(), older_than: Duration::from_millis(age), dry_run: false };
    let collected = Collector::new(view).collect(&plan, |_, _| ()).await?;
    let mut state = world.state();
    state.watch.removed += collected.jobs as usize;
    // What workers have announced stays.
    state.left = state.records.keys().filter(|key| key.kind != Kind::Tasks).cloned().collect();
    Ok(())
}

/// Repairs everything that looks wrong, however young; what that was.
pub async fn repair(view: Arc<dyn Backend>, world: &World) -> Result<Vec<Finding>> {
    let doctor = Doctor::new(view);
    let look = Look { now: world.now(), older_than: Duration::ZERO };
    let findings = doctor.survey(&look).await?.findings;
    for finding in &findings {
        doctor.repair(finding, world.now()).await?;
    }
    Ok(findings)
}
