//! Builds a worker from the settings that a program gives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brrr_backends::BackendConfig;
use brrr_protocol::events::Observer;
use brrr_protocol::model::{Topic, check_name, check_topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::Backend;
use brrr_protocol::step::{CallTopics, Limits};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::events::worker_name;
use crate::gateway::{Front, Origin, Page, Token};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::native::{self, Call, HandlerResult, NativeHandler};
use crate::permissions::{PermissionError, Permissions};
use crate::served::{HandlerSet, ServedTopic};
use crate::topic_worker::{Admission, Shutdown, WorkerOptions, announce};
use crate::wasm::{Engine, EngineOptions, Guest, LoadError, Output, Overrides, RunLimits, TracingOutput, WasmHandler};
use crate::worker::Worker;

/// Why a worker can't be built, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The backend can't be opened, or one of its operations failed.
    #[error(transparent)]
    Backend(#[from] brrr_protocol::Error),
    /// A component can't be served.
    #[error(transparent)]
    Component(#[from] LoadError),
    /// A permission of a component can't be parsed, or can't be granted on this machine.
    #[error(transparent)]
    Permission(#[from] PermissionError),
    /// A setting of the builder is not valid.
    #[error("{0}")]
    Setup(String),
    /// A part of the worker panicked, which is a fault of this library. It held messages, which are delivered again.
    #[error("the worker's {part} panicked: {text}")]
    Panicked {
        /// A topic's loop or the gateway.
        part: &'static str,
        /// What the panic said.
        text: String,
    },
    /// The system refused a thread or signal handlers.
    #[error("the system refuses what a worker needs: {0}")]
    System(#[from] std::io::Error),
}

/// The settings of a worker. See [`Worker::builder`].
#[must_use = "a worker runs when it is built and run"]
pub struct WorkerBuilder {
    backend: BackendSource,
    topics: Vec<TopicPlan>,
    served: Vec<ServedTopic>,
    limits: RunLimits,
    overrides: Overrides,
    max_running: u32,
    call_limits: Limits,
    call_topics: Vec<Topic>,
    shutdown_timeout: Duration,
    repair_interval: Option<Duration>,
    output: Arc<dyn Output>,
    name: Option<String>,
    observer: Option<Arc<dyn Observer>>,
    gateway: Option<GatewaySource>,
    origins: Vec<Origin>,
    push_token: Option<Token>,
    page: Page,
    shutdown: Option<Shutdown>,
    metrics: Option<Arc<Metrics>>,
    health: Option<Health>,
    /// The first invalid setting so far.
    mistake: Option<String>,
}

enum GatewaySource {
    Socket(TcpListener, Option<Token>),
    Front(Front, Option<Token>),
}

enum BackendSource {
    Config(BackendConfig),
    Open(Arc<dyn Backend>),
}

/// A topic with the components and handlers of its tasks.
struct TopicPlan {
    topic: Topic,
    components: Vec<(PathBuf, Permissions)>,
    handlers: Vec<(String, Options, native::Function)>,
}

impl Default for WorkerBuilder {
    fn default() -> Self {
        Self {
            backend: BackendSource::Config(BackendConfig::default()),
            topics: Vec::new(),
            served: Vec::new(),
            limits: RunLimits::default(),
            overrides: Overrides::default(),
            max_running: default_max_running(),
            call_limits: Limits::default(),
            call_topics: Vec::new(),
            shutdown_timeout: Duration::from_secs(25),
            repair_interval: Some(Duration::from_mins(10)),
            output: Arc::new(TracingOutput),
            name: None,
            observer: None,
            gateway: None,
            origins: Vec::new(),
            push_token: None,
            page: Page::default(),
            shutdown: None,
            metrics: None,
            health: None,
            mistake: None,
        }
    }
}

impl WorkerBuilder {
    /// The backend of messages, records and counters: `memory:`, `sqlite:app.db`, `redis://HOST`, … The default is
    /// `sqlite:.brrr/state.db`.
    pub fn backend(self, url: impl Into<String>) -> Self {
        self.backend_config(BackendConfig::at(url))
    }

    /// The backends of messages, records and counters, as one configuration.
    pub fn backend_config(self, config: BackendConfig) -> Self {
        Self { backend: BackendSource::Config(config), ..self }
    }

    /// A backend that is open already. The rest of the program can share it.
    pub fn open_backend(self, backend: Arc<dyn Backend>) -> Self {
        Self { backend: BackendSource::Open(backend), ..self }
    }

    /// The topic of the components and handlers that are added from here on. A worker may have several topics.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        if let Err(reason) = check_topic(&topic) {
            self.mistaken(reason);
        }
        let topic = Topic::from(topic);
        if let Some(index) = self.topics.iter().position(|plan| plan.topic == topic) {
            let plan = self.topics.remove(index);
            self.topics.push(plan);
        } else {
            self.topics.push(TopicPlan { topic, components: Vec::new(), handlers: Vec::new() });
        }
        self
    }

    /// Serves the tasks of a component. The component may access nothing outside of itself.
    pub fn component(self, path: impl AsRef<Path>) -> Self {
        self.component_with(path, Permissions::default())
    }

    /// Serves the tasks of a component. The component may access what `permissions` allow.
    ///
    /// ```no_run
    /// use brrr_worker::Worker;
    /// use brrr_worker::permissions::Permissions;
    ///
    /// # async fn example() -> Result<(), brrr_worker::WorkerError> {
    /// let permissions = Permissions {
    ///     http: vec!["api.example.com".parse()?],
    ///     env: vec!["API_TOKEN".parse()?],
    ///     dirs: vec!["data::/data:ro".parse()?],
    /// };
    /// Worker::builder().topic("demo").component_with("tasks.wasm", permissions).run().await
    /// # }
    /// ```
    pub fn component_with(mut self, path: impl AsRef<Path>, permissions: Permissions) -> Self {
        let path = path.as_ref().to_path_buf();
        match self.topics.last_mut() {
            Some(plan) => plan.components.push((path, permissions)),
            None => self.mistaken(format!("{}: name its topic first, with `topic`", path.display())),
        }
        self
    }

    /// Handles a task by an async function. The function's value is encoded as JSON.
    pub fn handler<F, Running, T>(self, task: impl Into<String>, handler: F) -> Self
    where
        F: Fn(Call) -> Running + Send + Sync + 'static,
        Running: Future<Output = HandlerResult<T>> + Send + 'static,
        T: Serialize,
    {
        self.handler_with(task, Options::default(), handler)
    }

    /// Handles a task by an async function, with options such as its retries.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use brrr_worker::{Call, Options, Worker};
    ///
    /// # async fn example() -> Result<(), brrr_worker::WorkerError> {
    /// let options = Options { max_retries: Some(5), retry_delay: Some(Duration::from_secs(1)), ..Options::default() };
    /// Worker::builder()
    ///     .topic("demo")
    ///     .handler_with("size", options, |call: Call| async move {
    ///         let path: String = call.argument("path")?;
    ///         Ok(std::fs::metadata(path)?.len())
    ///     })
    ///     .run()
    ///     .await
    /// # }
    /// ```
    pub fn handler_with<F, Running, T>(mut self, task: impl Into<String>, options: Options, handler: F) -> Self
    where
        F: Fn(Call) -> Running + Send + Sync + 'static,
        Running: Future<Output = HandlerResult<T>> + Send + 'static,
        T: Serialize,
    {
        let task = task.into();
        if let Err(reason) = check_name("the task's name", &task) {
            self.mistaken(reason);
        }
        match self.topics.last_mut() {
            Some(plan) => plan.handlers.push((task, options, native::function(handler))),
            None => self.mistaken(format!("the task {task}: name its topic first, with `topic`")),
        }
        self
    }

    /// Serves a topic by a handler of your own.
    pub fn serve(mut self, topic: ServedTopic) -> Self {
        self.served.push(topic);
        self
    }

    /// The limits of one run: memory, time and result.
    pub fn run_limits(self, limits: RunLimits) -> Self {
        Self { limits, ..self }
    }

    /// Options of tasks, by the names of the tasks. They override the options of the components. `*`: all other tasks.
    pub fn task_options(self, options: Overrides) -> Self {
        Self { overrides: options, ..self }
    }

    /// The most runs at once. The default is eight for each core.
    pub fn max_running(self, runs: u32) -> Self {
        Self { max_running: runs.max(1), ..self }
    }

    /// The limits of a job besides the limits of single runs. `call_topic` names the topics that its calls may go to.
    pub fn call_limits(self, limits: Limits) -> Self {
        Self { call_limits: limits, ..self }
    }

    /// The name of the worker in the list of workers. No other worker may have it. The default is [`worker_name`].
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Lets handlers call a topic that no worker has announced.
    pub fn call_topic(mut self, topic: impl Into<String>) -> Self {
        let topic = topic.into();
        if let Err(reason) = check_topic(&topic) {
            self.mistaken(reason);
        }
        self.call_topics.push(topic.into());
        self
    }

    /// How long running calls may continue after the worker was asked to stop. The default is 25 s.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        Self { shutdown_timeout: timeout, ..self }
    }

    /// How often the worker looks for stuck work and repairs it. `None`: never. The default is every 10 minutes.
    pub fn repair_interval(self, interval: Option<Duration>) -> Self {
        Self { repair_interval: interval, ..self }
    }

    /// Receives the output of components. By default it goes to `tracing`.
    pub fn output(self, output: Arc<dyn Output>) -> Self {
        Self { output, ..self }
    }

    /// Receives the events of calls and jobs.
    pub fn observer(self, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { observer, ..self }
    }

    /// Serves the topics over HTTP as well. Clients must send the token. `None`: every client that can connect may send
    /// requests.
    ///
    /// ```no_run
    /// use brrr_worker::Worker;
    /// use brrr_worker::gateway::Token;
    /// use tokio::net::TcpListener;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = TcpListener::bind("127.0.0.1:8080").await?;
    /// let token = Token::find(None)?;
    /// Worker::builder().topic("demo").component("tasks.wasm").gateway(listener, token).run().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn gateway(self, listener: TcpListener, token: Option<Token>) -> Self {
        Self { gateway: Some(GatewaySource::Socket(listener, token)), ..self }
    }

    /// As `gateway`, for a socket that answers already: `/healthz` and `/readyz` at once, and all else when the worker runs.
    pub fn gateway_behind(self, front: Front, token: Option<Token>) -> Self {
        Self { gateway: Some(GatewaySource::Front(front, token)), ..self }
    }

    /// Lets web pages of these origins use the gateway. Without one, only pages that the gateway's own host serves may send requests.
    pub fn gateway_origins(self, origins: Vec<Origin>) -> Self {
        Self { origins, ..self }
    }

    /// Clients of the gateway with this token may upload components and push revisions. Without one, nobody may.
    pub fn gateway_push_token(self, token: Option<Token>) -> Self {
        Self { push_token: token, ..self }
    }

    /// The files of the web page that the gateway serves at `/ui`. Without them `/ui` says that there is no page.
    pub fn gateway_page(self, page: Page) -> Self {
        Self { page, ..self }
    }

    /// Records metrics. Without this, nothing is recorded.
    ///
    /// ```no_run
    /// use brrr_worker::{Metrics, Worker};
    ///
    /// # async fn example() -> Result<(), brrr_worker::WorkerError> {
    /// // The program has set a provider, which exports what is recorded.
    /// let metrics = Metrics::new(&opentelemetry::global::meter("brrr"));
    /// Worker::builder().topic("demo").component("tasks.wasm").metrics(metrics).run().await
    /// # }
    /// ```
    pub fn metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Tells `health` how the worker does. A gateway of the worker answers `/healthz` and `/readyz` by it.
    pub fn health(self, health: Health) -> Self {
        Self { health: Some(health), ..self }
    }

    /// The program can stop the worker through `shutdown`. Without it, only SIGINT, SIGTERM and SIGHUP stop the worker.
    ///
    /// ```no_run
    /// use brrr_worker::{Shutdown, StopReason, Worker};
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let shutdown = Shutdown::default();
    /// let worker = Worker::builder().topic("demo").component("tasks.wasm").shutdown(shutdown.clone()).build().await?;
    /// let running = tokio::spawn(worker.run());
    /// // Later:
    /// shutdown.begin(StopReason::Requested);
    /// running.await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(self, shutdown: Shutdown) -> Self {
        Self { shutdown: Some(shutdown), ..self }
    }

    fn mistaken(&mut self, reason: String) {
        self.mistake.get_or_insert(reason);
    }

    /// Opens the backend, loads the components, and announces the tasks.
    ///
    /// # Errors
    /// When a setting is not valid, the backend can't be opened, or a component can't be served.
    pub async fn build(self) -> Result<Worker, WorkerError> {
        if let Some(reason) = self.mistake {
            return Err(WorkerError::Setup(reason));
        }
        let backend = match self.backend {
            BackendSource::Open(backend) => backend,
            BackendSource::Config(config) => config.open().await?,
        };
        let (backend, output, observer) = match &self.metrics {
            Some(metrics) => {
                (metrics.of_backend(backend), metrics.of_output(self.output), Some(metrics.of_observer(self.observer)))
            }
            None => (backend, self.output, self.observer),
        };
        let mut served = self.served;
        let mut engine = None;
        for plan in self.topics {
            let load = Loading {
                engine: &mut engine,
                max_running: self.max_running,
                limits: &self.limits,
                overrides: &self.overrides,
                output: &output,
            };
            served.push(load.topic(plan).await?);
        }
        if served.is_empty() {
            return Err(WorkerError::Setup("a worker needs a topic with a task: see `topic` and `handler`".to_owned()));
        }
        for ServedTopic { topic, tasks, longest_run, .. } in &served {
            backend.queue().check(topic, *longest_run).await?;
            announce(&*backend, topic, tasks).await?;
            let names = tasks.keys().cloned().collect::<Vec<_>>().join(", ");
            let colon = if names.is_empty() { "" } else { ": " };
            tracing::info!("serving topic {topic} of {}{colon}{names}", backend.name());
        }
        let shutdown = match self.shutdown {
            Some(shutdown) => shutdown,
            None => Shutdown::on_any_signal()?,
        };
        let call_topics = Arc::new(CallTopics::announced(self.call_topics));
        let options = WorkerOptions {
            admission: Admission::new(self.max_running, backend.is_remote()),
            shutdown_timeout: self.shutdown_timeout,
            limits: Limits { call_topics, ..self.call_limits },
            observer,
        };
        let (push_token, page, repair_interval) = (self.push_token, self.page, self.repair_interval);
        let name = self.name.unwrap_or_else(worker_name);
        let (metrics, health, origins) = (self.metrics, self.health.unwrap_or_default(), self.origins);
        let gateway = match self.gateway {
            Some(GatewaySource::Socket(listener, token)) => Some((Front::open(listener, &health, &shutdown), token)),
            Some(GatewaySource::Front(front, token)) => Some((front, token)),
            None => None,
        };
        Ok(Worker {
            name,
            backend,
            served,
            options,
            gateway,
            origins,
            push_token,
            page,
            repair_interval,
            shutdown,
            metrics,
            health,
        })
    }

    /// Builds the worker, and runs it until it is asked to stop.
    ///
    /// # Errors
    /// As `build` and [`Worker::run`].
    pub async fn run(self) -> Result<(), WorkerError> {
        self.build().await?.run().await
    }
}

/// The state that loading the topics needs.
struct Loading<'a> {
    /// The engine, which is created for the first component.
    engine: &'a mut Option<Arc<Engine>>,
    max_running: u32,
    limits: &'a RunLimits,
    overrides: &'a Overrides,
    output: &'a Arc<dyn Output>,
}

impl Loading<'_> {
    async fn topic(self, plan: TopicPlan) -> Result<ServedTopic, WorkerError> {
        // Components have digests of their own.
        let digest = if plan.handlers.is_empty() { "".into() } else { native::of_program().await };
        let mut native = NativeHandler::new(digest, self.limits.wall, self.limits.memory, self.output.clone());
        for (task, options, function) in plan.handlers {
            let levels = [self.overrides.get(&task), self.overrides.get("*"), Some(&options)];
            let options = levels.into_iter().flatten().fold(Options::default(), |near, far| near.over(far));
            if !native.add(&task, &options, function) {
                return Err(twice(&plan.topic, &task));
            }
        }
        let mut guests = Vec::new();
        for (path, permissions) in plan.components {
            if self.engine.is_none() {
                let options = EngineOptions { max_running: self.max_running, ..EngineOptions::default() };
                *self.engine = Some(Engine::new(&options)?);
            }
            let Some(engine) = self.engine.as_ref() else { unreachable!("it was just made") };
            let guest = Guest::load(engine, &path, &|_| {}).await?;
            guests.push(guest.allowing(permissions.grant()?));
        }
        let wasm = WasmHandler::new(guests, self.limits.clone(), self.overrides, self.output.clone())?;
        if let Some(task) = wasm.tasks().find(|task| native.names().any(|name| name == task.name)) {
            return Err(twice(&plan.topic, &task.name));
        }
        let set = HandlerSet { native, wasm };
        let tasks = set.infos();
        if tasks.is_empty() {
            return Err(WorkerError::Setup(format!("the topic {} has no task: see `handler`", plan.topic)));
        }
        let longest_run = set.longest_run();
        let (handler, components) = (Arc::new(set).into(), Arc::default());
        let (revisions, accepts_code) = (None, false);
        Ok(ServedTopic { topic: plan.topic, handler, tasks, longest_run, revisions, components, accepts_code })
    }
}

fn twice(topic: &Topic, task: &str) -> WorkerError {
    WorkerError::Setup(format!("the topic {topic} has two handlers of the task {task}"))
}

/// The default number of runs at once: several for each core, because a call that waits for the backend's next commit
/// does not use its core.
#[must_use]
pub fn default_max_running() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores).unwrap_or(1).saturating_mul(8).clamp(8, 512)
}
