//! `run`: runs a worker of each topic, with an HTTP gateway if asked for.

mod args;
mod load;
mod observe;
mod processes;
mod schedules;
mod served;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use brrr_protocol::step::Limits;
use brrr_worker::builder::default_max_running;
use brrr_worker::deployed::{AcceptingHandler, Follower};
use brrr_worker::events::worker_name;
use brrr_worker::gateway::Front;
use brrr_worker::{Health, ServedTopic, StopReason, Worker, WorkerError};

use super::output::say;
use super::signals::on_signals;
use super::{ExitError, approval};
use crate::config::{Config, Section, Setting};
use crate::exit::Exit;
use crate::page;
use crate::registry::is_reference;
use crate::telemetry::Telemetry;
use crate::trust;
pub use args::RunCommand;
use load::Loader;
use observe::observe;
use processes::Membership;
pub use processes::{is_parent, supervise};
use served::served;
use watch::{Serving, Watch};

pub async fn run(args: RunCommand, config: Config) -> anyhow::Result<Exit> {
    let member = Membership::find()?;
    let shutdown = match &member {
        Some(member) => member.shutdown()?,
        None => on_signals(
            |name| say(format_args!("{name}: letting running calls end; once more stops at once")),
            |name| say(format_args!("{name}: stopped at once; what was running comes back when its lease runs out")),
        )?,
    };
    // All refusals come before anything runs, the cheapest check first.
    if member.is_none() {
        approval::check(&config, args.permissions.yes)?;
    }
    check_events(&args, &config)?;
    let served = served(&args, &config)?;
    if let Some(pulled) = served.iter().find(|component| args.watch && is_reference(&component.path)) {
        let text = format!(
            "--watch: {} is in a registry, where no change is seen; leave out --watch, and start again to take what a tag \
             stands for then",
            pulled.path.display()
        );
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    let mut topics: BTreeSet<_> = served.iter().map(|component| component.topic.clone()).collect();
    let deployed = args.topic.clone().filter(|_| served.is_empty());
    topics.extend(deployed.clone());
    let schedules = schedules::plan(&config, args.topic.as_ref(), &topics)?;
    let (token, push_token) = args.token.find()?;
    let health = Health::stalled_after(args.stalled_after);
    let telemetry = Telemetry::start(args.metrics.is_some())?;
    let probes = match &args.metrics {
        Some(address) => {
            let address = address.plus(member.as_ref().map_or(0, Membership::index));
            Some(telemetry.serve(&address, &health).await?)
        }
        None => None,
    };
    // The sockets answer while the backend is opened and components are loaded.
    let front = match &args.http {
        Some(address) if member.as_ref().is_none_or(Membership::has_gateway) => {
            let listener = address.listen(token.is_some()).await?;
            Some((Front::open(listener, &health, &shutdown), token))
        }
        _ => None,
    };
    let backend = args.backend.open(args.lease).await?;
    if config.schedules.is_some() {
        schedules::declare(&backend, &schedules).await?;
    } else if config.path.is_some() {
        schedules::tell_of_others(&backend, &topics).await?;
    }
    let name = worker_name();
    let (observer, outlets) = observe(&args, &name, &backend, &shutdown)?;
    let max_running = args.max_running.unwrap_or_else(|| args.processes.share(default_max_running()));
    // The watch starts before any component is read, so that no later change is missed.
    let watch = args.watch.then(|| Watch::start(&served)).transpose()?;
    let loader = Loader::new(&args, &config, max_running, &shutdown, &telemetry)?;
    let handlers = tokio::select! {
        handlers = loader.load(&served) => handlers?,
        // Compiling can take long. No call is running yet, so there is nothing to wait for.
        why = shutdown.wait() => return Ok(why.into()),
    };

    let mut builder = Worker::builder()
        .open_backend(backend.clone())
        .max_running(max_running)
        .call_limits(Limits {
            max_messages: args.max_messages,
            unknown_task_grace: args.unknown_task_grace,
            max_deliveries: args.max_deliveries,
            keep_logs: args.keep_logs.0,
            ..Limits::default()
        })
        .shutdown_timeout(args.shutdown_timeout)
        .repair_interval(args.repair_interval.0)
        .name(name)
        .observer(telemetry.of_observer(observer))
        .health(health)
        .shutdown(shutdown.clone());
    if let Some(metrics) = &telemetry.metrics {
        builder = builder.metrics(metrics.clone());
    }
    for topic in &args.call_topic {
        builder = builder.call_topic(topic.as_str());
    }
    if let Some((front, token)) = front {
        builder = builder.gateway_behind(front, token).gateway_origins(args.token.http_allow_origin.clone());
        builder = builder.gateway_push_token(push_token).gateway_page(page::files());
    }
    let accepted = if args.accept_code { Some(loader.deployed(&args)?) } else { None };
    let accepting = |served: ServedTopic| {
        if let Some(loader) = &accepted {
            let handler = AcceptingHandler::new(served.handler.get(), backend.clone(), loader.clone());
            served.handler.replace(Arc::new(handler));
        }
        ServedTopic { accepts_code: accepted.is_some(), ..served }
    };
    let mut follower = match deployed {
        Some(topic) => Some(Follower::new(backend.clone(), topic, loader.deployed(&args)?)),
        None => None,
    };
    if let Some(follower) = &mut follower {
        let begun = tokio::select! {
            begun = follower.begin() => begun?,
            why = shutdown.wait() => return Ok(why.into()),
        };
        builder = builder.serve(accepting(begun));
    }
    let mut serving = Vec::new();
    for loaded in handlers {
        let (topic, known) = Serving::new(loaded);
        serving.push(known);
        builder = builder.serve(accepting(topic));
    }
    let worker = builder.build().await.map_err(plain)?;
    if let Some(member) = &member {
        member.ready();
    }
    if let Some(watch) = watch {
        tokio::spawn(watch.serve(loader, served, serving, backend.clone(), shutdown.clone()));
    }
    if let Some(follower) = follower {
        tokio::spawn(follower.follow(shutdown.clone()));
    }
    let ended = worker.run().await;
    outlets.finish().await;
    telemetry.finish(probes).await;
    ended.map_err(plain)?;
    Ok(match shutdown.begun() {
        Some(StopReason::OutputClosed) => Exit::BrokenPipe,
        // The worker was asked to stop, and stopped.
        _ => Exit::Done,
    })
}

/// The inner error, which has its exit code.
fn plain(error: WorkerError) -> anyhow::Error {
    match error {
        WorkerError::Backend(error) => error.into(),
        WorkerError::Component(error) => error.into(),
        WorkerError::Permission(error) => error.into(),
        other @ (WorkerError::Setup(_) | WorkerError::Panicked { .. } | WorkerError::System(_)) => other.into(),
    }
}

/// A `brrr.toml` that was found in a folder must not name a file of events outside of that folder: its author could let
/// this program write into any file of the user.
fn check_events(args: &RunCommand, config: &Config) -> anyhow::Result<()> {
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
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    Ok(())
}
