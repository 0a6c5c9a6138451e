//! `run`: a worker of each topic, with a gateway beside them if asked for.

mod args;
mod load;
mod observe;
mod processes;
mod served;
mod watch;

use std::path::Path;
use std::sync::Arc;

use brrr_protocol::client::Client;
use brrr_protocol::model::Topic;
use brrr_protocol::step::{CallTopics, Limits};
use futures_util::future::join_all;

use super::output::say;
use super::{Told, approval};
use crate::config::{Config, Section, Setting};
use crate::exit::Exit;
use crate::gateway::Gateway;
use crate::trust;
use crate::units::Interval;
use crate::worker::{Admission, Options, Shutdown, Worker, announce, redrive};
pub use args::Args;
use load::Loader;
use observe::observe;
use processes::Membership;
pub use processes::{Processes, is_parent, supervise};
use served::served;
use watch::{Serving, Watch};

pub async fn run(args: Args, config: Config) -> anyhow::Result<Exit> {
    let member = Membership::find()?;
    let shutdown = match &member {
        Some(member) => member.shutdown()?,
        None => Shutdown::on_signals(
            |name| say(format_args!("{name}: letting running calls end; once more stops at once")),
            |name| say(format_args!("{name}: stopped at once; what was running comes back when its lease runs out")),
        )?,
    };
    // Whatever can be refused is refused before anything runs, the cheapest first.
    if member.is_none() {
        approval::check(&config, args.permissions.yes)?;
    }
    check_events(&args, &config)?;
    let served = served(&args, &config)?;
    let token = args.token.find()?;
    let listener = match &args.http {
        Some(address) if member.as_ref().is_none_or(Membership::has_gateway) => {
            Some((address.listen(token.is_some()).await?, token))
        }
        _ => None,
    };
    let backend = args.backend.open(args.lease).await?;
    let (observer, outlets) = observe(&args, &backend, &shutdown)?;
    let max_running = args.max_running.unwrap_or_else(|| args.processes.share(default_max_running()));
    // Before anything is read: what changes from then on is seen.
    let watch = args.watch.then(|| Watch::start(&served)).transpose()?;
    let loader = Loader::new(&args, &config, max_running, &shutdown)?;
    let handlers = tokio::select! {
        handlers = loader.load(&served) => handlers?,
        // Compiling can take long; there is nothing to drain yet.
        why = shutdown.wait() => return Ok(why),
    };

    let options = Options {
        admission: Admission::new(max_running, backend.is_remote()),
        drain: args.drain,
        limits: Limits {
            spawn_limit: args.spawn_limit,
            unknown_task_grace: args.unknown_task_grace,
            max_deliveries: args.max_deliveries,
            call_topics: Arc::new(CallTopics::announced(args.call_topic.iter().cloned())),
        },
        observer,
    };
    for (topic, handler) in &handlers {
        backend.queue().check(topic, handler.longest_run()).await?;
        let tasks: Vec<String> = handler.tasks().map(|task| task.name.clone()).collect();
        announce(&*backend, topic, &tasks).await?;
        tracing::info!("serving topic {topic} of {}: {}", backend.name(), tasks.join(", "));
    }
    let topics: Vec<Topic> = handlers.iter().map(|(topic, _)| topic.clone()).collect();
    let gateway = listener.map(|(listener, token)| {
        if let Ok(address) = listener.local_addr() {
            tracing::info!("gateway on http://{address}");
        }
        let gateway = Gateway::new(Client::new(backend.clone()), backend.clone(), topics, token);
        let shutdown = shutdown.clone();
        tokio::spawn(async move { gateway.serve(listener, &shutdown).await })
    });
    if let Some(member) = &member {
        member.ready();
    }
    let serving: Vec<_> = handlers.into_iter().map(|(topic, handler)| Serving::new(topic, handler)).collect();
    let start = |Serving { topic, handler, .. }: &Serving| {
        let worker = Worker::new(backend.clone(), handler.clone(), topic.clone(), options.clone(), shutdown.clone());
        // Spawned, so that it runs beside its tasks and not on the thread that only waits.
        tokio::spawn(worker.run())
    };
    let workers: Vec<_> = serving.iter().map(start).collect();
    if let Some(watch) = watch {
        tokio::spawn(watch.serve(loader, served, serving, backend.clone(), shutdown.clone()));
    }
    if let Interval(Some(interval)) = args.redrive {
        tokio::spawn(redrive(backend.clone(), interval, shutdown.clone()));
    }
    // One that stops by itself asks the others to stop.
    let ended = join_all(workers).await;
    // Its observer is the last one; the events end with it.
    drop(options);
    if let Some(gateway) = gateway {
        gateway.await?;
    }
    outlets.finish().await;
    for worker in ended {
        worker??;
    }
    Ok(match shutdown.begun() {
        Some(Exit::BrokenPipe) => Exit::BrokenPipe,
        // Asked to stop, and did.
        _ => Exit::Done,
    })
}

/// A file that was found names no file of events outside of its folder: whoever wrote it could have one overgrown.
fn check_events(args: &Args, config: &Config) -> anyhow::Result<()> {
    let (Some(path), Some(events), false) = (&config.path, &args.events, config.is_named) else { return Ok(()) };
    let of_file = |setting: &Setting| {
        setting.section == Section::Worker && setting.key == "events" && Path::new(&setting.value) == events
    };
    let outside = !trust::is_inside(path.parent().unwrap_or(Path::new("")), events);
    if events.as_os_str() != "-" && outside && config.settings.iter().any(of_file) {
        let (path, events) = (path.display(), events.display());
        let text = format!(
            "{path}: its events go to {events}, outside of its folder; name the file (--config {path}) to allow it"
        );
        return Err(Told::new(Exit::Usage, text).into());
    }
    Ok(())
}

/// A small multiple of the cores: a call that waits for the backend's next commit leaves the core to others.
fn default_max_running() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).unwrap_or(1).saturating_mul(8).clamp(8, 512)
}
