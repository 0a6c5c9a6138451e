//! `wit`: prints the interface between host and components, for users without a copy of the repository.

use super::ExitError;
use super::output::print_bytes;
use crate::exit::Exit;
use crate::sdk;

/// Print the WIT of the world that components are built for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host wit > wit/worker.wit
  brrr-host wit 0.2 > wit/worker.wit

Any language that compiles to a component can have handlers: generate its bindings of the world `worker` with its
wit-bindgen. A core module becomes a component with it: see `brrr-host run` of a core module.

0.1 is the world of all SDKs. In 0.2, calls and the handler itself are asynchronous functions.")]
pub struct WitCommand {
    /// The version of brrr:worker.
    #[arg(value_name = "VERSION", default_value = "0.1")]
    version: String,
}

pub fn run(args: WitCommand) -> anyhow::Result<Exit> {
    let wit = sdk::wit(&args.version).ok_or_else(|| {
        ExitError::new(
            Exit::Usage,
            format!("{}: no version of brrr:worker that this host speaks: 0.1 or 0.2", args.version),
        )
    })?;
    print_bytes(&wit)?;
    Ok(Exit::Done)
}
