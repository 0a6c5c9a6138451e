//! `setup`: creates what a backend needs on its servers.

use brrr_protocol::model::Topic;
use serde_json::json;

use super::options::{BackendArgs, topic};
use super::output::{Format, print, print_json, say};
use crate::exit::Exit;

/// Create what the backend needs on its servers: the table of DynamoDB, and an SQS queue for each topic.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host setup --queue sqs: --store dynamodb: --topic demo --topic other

What is there already is left as it is, so this can be repeated. No other command creates a table or a queue.")]
pub struct SetupCommand {
    /// A topic that needs a queue. May be repeated.
    #[arg(long = "topic", env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    topics: Vec<Topic>,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: SetupCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open(None).await?;
    let mut made = backend.store().create().await?;
    made.extend(backend.queue().create(&args.topics).await?);
    match format {
        Format::Json => print_json(&json!({"backend": backend.name(), "steps": made}))?,
        Format::Text if made.is_empty() => {
            say(format_args!("{} makes what it needs by itself; there is nothing to set up", backend.name()));
        }
        Format::Text => print(made.join("\n"))?,
    }
    Ok(Exit::Done)
}
