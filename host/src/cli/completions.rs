//! `completions`: prints a script that completes commands in a shell.

use clap::Command;
use clap_complete::Shell;

use super::output::print_bytes;
use crate::exit::Exit;

/// Print the completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  brrr-host completions bash > ~/.local/share/bash-completion/completions/brrr-host")]
pub struct CompletionsCommand {
    /// The shell.
    shell: Shell,
}

pub fn run(args: &CompletionsCommand, command: &mut Command) -> anyhow::Result<Exit> {
    // The script is written to memory first, because the generator panics when it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "brrr-host", &mut script);
    print_bytes(&script)?;
    Ok(Exit::Done)
}
