//! `serve`: runs the HTTP gateway without a worker.

use brrr_protocol::client::Client;
use brrr_worker::Health;
use brrr_worker::gateway::{Address, Front, Gateway};

use super::options::{BackendArgs, TokenArgs, TopicArgs};
use super::output::say;
use super::signals::on_signals;
use crate::exit::Exit;
use crate::page;
use crate::telemetry::Telemetry;

/// Serve a topic over HTTP, without a worker.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host serve --topic demo --http 8080
  curl -X POST 'http://localhost:8080/hello?greetee=John'    # 202, queued
  curl 'http://localhost:8080/hello?greetee=John'            # 200 with the result, 404 before

A task that no worker of the topic has announced is 404. Where none has announced anything, every task is accepted.")]
pub struct ServeCommand {
    #[command(flatten)]
    topic: TopicArgs,

    /// The address to listen on: `8080`, `:8080` (both on this machine only), `HOST:PORT`.
    #[arg(long, env = "BRRR_HTTP", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    http: Address,

    #[command(flatten)]
    token: TokenArgs,

    /// Serve metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`, on this address, to everybody who can
    /// reach it: `9464`, `:9464` (both on this machine only), `HOST:PORT`.
    #[arg(long, env = "BRRR_METRICS", value_name = "ADDRESS")]
    metrics: Option<Address>,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: ServeCommand) -> anyhow::Result<Exit> {
    let shutdown = on_signals(
        |name| say(format_args!("{name}: finishing the requests that are open; once more stops at once")),
        |name| say(format_args!("{name}: stopped")),
    )?;
    let (token, push_token) = args.token.find()?;
    let health = Health::default();
    let telemetry = Telemetry::start(args.metrics.is_some())?;
    let probes = match &args.metrics {
        Some(address) => Some(telemetry.serve(address, &health).await?),
        None => None,
    };
    let listener = args.http.listen(token.is_some()).await?;
    let address = listener.local_addr()?;
    let front = Front::open(listener, &health, &shutdown);
    let backend = args.backend.open_shared().await?;
    tracing::info!("serving topic {} of {} on http://{address}", args.topic.topic, backend.name());
    let backend = match &telemetry.metrics {
        Some(metrics) => metrics.of_backend(backend),
        None => backend,
    };
    let topics = vec![args.topic.topic];
    health.watch_backend(backend.clone(), topics.clone(), telemetry.metrics.clone());
    health.serves(&shutdown);
    let gateway = Gateway::new(Client::new(backend.clone()), backend, topics, token);
    let gateway = gateway.allowing_origins(args.token.http_allow_origin).taking_code(push_token);
    gateway.with_page(page::files()).serve_behind(front, &shutdown).await;
    telemetry.finish(probes).await;
    Ok(Exit::Done)
}
