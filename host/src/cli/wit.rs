//! `wit`: prints the interface between host and components, for users without a copy of the repository.

use super::output::print_bytes;
use crate::exit::Exit;
use crate::sdk;

/// Print the WIT of the worlds that components are built for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host wit > wit/worker.wit

Any language that compiles to a component can have handlers: generate its bindings of the world `worker` with its
wit-bindgen. A core module becomes a component with it: see `brrr-host run` of a core module.

In the world `worker-async`, the calls and the handler itself are asynchronous functions of the component model.")]
pub struct WitCommand {}

pub fn run(WitCommand {}: WitCommand) -> anyhow::Result<Exit> {
    print_bytes(&sdk::wit())?;
    Ok(Exit::Done)
}
