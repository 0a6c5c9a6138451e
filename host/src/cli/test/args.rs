//! The arguments of `test`.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::options::{duration, size};
use crate::cli::permissions::PermissionArgs;

/// Try a component's tasks in memory: results as expected, and the same calls whatever comes when.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host test
  brrr-host test guest.wasm cases.toml --task total --update
  brrr-host test guest.wasm --junit report.xml --output json

cases.toml says what is called and what is to come of it:

  [[case]]
  task = \"total\"
  input = { cart = \"c1\" }
  result = 7

  [[case.child]]            # what a call of it gives; others are run for real
  task = \"price\"
  input = { item = \"pear\" }
  result = 3

Each case is replayed wherever it could be made to wait, with the results of its calls arriving in several orders. It
fails when a replay asks for other calls, when the result is not the expected one or depends on the order, and when a
failing call makes it crash. Nothing is queued or stored.")]
pub struct Args {
    /// The component, or a project's folder or source: it is built first if it has to be.
    #[arg(value_name = "GUEST.WASM|DIR", default_value = ".")]
    pub component: PathBuf,

    /// The cases; cases.toml beside it unless given.
    #[arg(value_name = "CASES.TOML")]
    pub cases: Option<PathBuf>,

    /// Another component that handles calls of the first one's tasks; may be given several times.
    #[arg(long, value_name = "GUEST.WASM|DIR")]
    pub with: Vec<PathBuf>,

    /// Only cases with this in their name; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub case: Vec<String>,

    /// Only cases of this task; may be given several times.
    #[arg(long, value_name = "TASK")]
    pub task: Vec<String>,

    /// Write results, errors and output that are missing or different into the file of cases, and nothing else.
    #[arg(long)]
    pub update: bool,

    /// Write a report in JUnit's form as well.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// How many shuffled orders of arrival to try, beside the ordered ones.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub orders: u64,

    /// Where the shuffling begins: the same number, the same orders.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// So many calls of one case are taken for a handler that never ends.
    // Twice what people gather at once; an endless one is found in some seconds in any language.
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    pub max_calls: usize,

    /// The memory that one run may use.
    // As a worker's.
    #[arg(long, env = "BRRR_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub memory: u64,

    /// The time that one run may take, if its task doesn't say less.
    // Less than a worker's: whoever tests sits and waits.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,

    /// The size of what one call may return.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub max_result: u64,

    #[command(flatten)]
    pub permissions: PermissionArgs,
}

impl Args {
    /// Is a case to be tried?
    pub fn selects(&self, name: &str, task: &str) -> bool {
        (self.case.is_empty() || self.case.iter().any(|text| name.contains(text.as_str())))
            && (self.task.is_empty() || self.task.iter().any(|only| only == task))
    }
}
