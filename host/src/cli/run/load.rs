//! Loads the named components, and makes one handler for each topic.

use std::path::Path;
use std::sync::Arc;

use brrr_protocol::model::Topic;
use brrr_protocol::records::ServedComponent;
use brrr_worker::deployed::DeployedLoader;
use brrr_worker::signatures::TrustedKeys;
use brrr_worker::topic_worker::Shutdown;
use brrr_worker::wasm::{Engine, EngineOptions, Guest, Output, Overrides, RunLimits, WasmHandler};

use super::RunCommand;
use super::served::Served;
use crate::cli::console::Console;
use crate::cli::source;
use crate::config::Config;
use crate::telemetry::Telemetry;

/// Makes handlers of components, all on one engine.
pub struct Loader {
    engine: Arc<Engine>,
    limits: RunLimits,
    tasks: Overrides,
    output: Arc<dyn Output>,
    trust: TrustedKeys,
}

/// What serves a topic.
pub struct Loaded {
    pub topic: Topic,
    pub handler: WasmHandler,
    /// Its components, for people.
    pub components: Vec<ServedComponent>,
}

impl Loader {
    /// # Errors
    /// When this machine can't run the engine, or a key can't be read.
    pub fn new(
        args: &RunCommand,
        config: &Config,
        max_running: u32,
        shutdown: &Shutdown,
        telemetry: &Telemetry,
    ) -> anyhow::Result<Self> {
        let to_stdout = args.events.as_deref() != Some(Path::new("-"));
        let console = if to_stdout { Console::stdout(shutdown.clone()) } else { Console::stderr(shutdown.clone()) };
        let console: Arc<dyn Output> = Arc::new(console);
        Ok(Self {
            engine: Engine::new(&EngineOptions { max_running, ..EngineOptions::default() })?,
            limits: RunLimits {
                memory: args.memory,
                wall: args.timeout,
                result: args.max_result,
                own_hashes: args.own_hashes.unwrap_or_else(|| args.backend.has_namespace()),
            },
            tasks: config.tasks(),
            output: telemetry.of_output(console),
            trust: TrustedKeys::read(&args.trust)?,
        })
    }

    /// Makes handlers of what was pushed to a topic. It may access what the flags of this worker allow.
    ///
    /// # Errors
    /// When a file or directory of the permissions does not exist.
    pub fn deployed(&self, args: &RunCommand) -> anyhow::Result<DeployedLoader> {
        Ok(DeployedLoader {
            engine: self.engine.clone(),
            limits: self.limits.clone(),
            overrides: self.tasks.clone(),
            output: self.output.clone(),
            grants: args.permissions.permissions()?.grant()?,
            trust: self.trust.clone(),
        })
    }

    /// Loads the components, and joins the components of each topic into one handler. A project is built first, and a component in a
    /// registry is pulled.
    ///
    /// # Errors
    /// When a component can't be built, pulled or served, no trusted key has signed it, or two components of one topic have the same
    /// task.
    pub async fn load(&self, served: &[Served]) -> anyhow::Result<Vec<Loaded>> {
        let mut topics: Vec<(Topic, Vec<Guest>, Vec<ServedComponent>)> = Vec::new();
        for Served { path, topic, grants, build } in served {
            let source = source::read(path, build.as_ref()).await?;
            let (name, pinned) = (source.name.clone(), source.pinned.clone());
            let guest = source.load(&self.engine, &self.trust).await?;
            let component = source::served(&name, pinned.as_ref(), &guest);
            let name = guest.path.display();
            tracing::debug!("loaded {name}: {}", guest.digest);
            for task in &guest.tasks {
                for (key, value) in &task.extra {
                    tracing::warn!(
                        "{name}: the task {} has the option {key}={value}, which this version does not know",
                        task.name
                    );
                }
            }
            let guest = guest.allowing(grants.clone());
            match topics.iter_mut().find(|(known, ..)| known == topic) {
                Some((_, guests, components)) => {
                    guests.push(guest);
                    components.push(component);
                }
                None => topics.push((topic.clone(), vec![guest], vec![component])),
            }
        }
        let loaded = |(topic, guests, components)| {
            let handler = WasmHandler::new(guests, self.limits.clone(), &self.tasks, self.output.clone())?;
            Ok(Loaded { topic, handler, components })
        };
        topics.into_iter().map(loaded).collect()
    }
}
