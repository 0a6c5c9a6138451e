//! The arguments of `test`.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::options::{duration, size};
use crate::cli::permissions::PermissionArgs;

/// Test a component's tasks in memory: their results, and that their calls don't depend on the order in which results
/// arrive.
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
pub struct TestCommand {
    /// The component, a project's folder or source, which is built first if needed, or oci://REGISTRY/NAME:TAG.
    #[arg(value_name = "GUEST.WASM|DIR|OCI", default_value = ".")]
    pub component: PathBuf,

    /// The file of test cases. Not given: cases.toml beside the component.
    #[arg(value_name = "CASES.TOML")]
    pub cases: Option<PathBuf>,

    /// Another component, which handles calls of the first component's tasks. May be repeated.
    #[arg(long, value_name = "GUEST.WASM|DIR|OCI")]
    pub with: Vec<PathBuf>,

    /// Run only cases with this text in their names. May be repeated.
    #[arg(long, value_name = "TEXT")]
    pub case: Vec<String>,

    /// Run only cases of this task. May be repeated.
    #[arg(long, value_name = "TASK")]
    pub task: Vec<String>,

    /// Write missing or different results, errors and output into the file of cases. Nothing else in the file changes.
    #[arg(long)]
    pub update: bool,

    /// Also write a report in JUnit's format to this file.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,

    /// How many shuffled orders of arrival to try, in addition to the fixed orders.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub orders: u64,

    /// The seed of the shuffled orders. The same seed gives the same orders.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,

    /// The most calls of one case. With more, the test reports that the handler never ends.
    // Twice the number of calls that a handler usually gathers. A handler that never ends reaches it within seconds in
    // any language.
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    pub max_calls: usize,

    /// The most memory that one run may use.
    // The same default as for a worker.
    #[arg(long, env = "BRRR_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub memory: u64,

    /// The longest time that one run may take, if its task does not set a shorter time.
    // Shorter than a worker's timeout, because a developer waits for the tests.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub timeout: Duration,

    /// The largest result of one call.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub max_result: u64,

    #[command(flatten)]
    pub permissions: PermissionArgs,
}

impl TestCommand {
    /// Is this case selected?
    pub fn selects(&self, name: &str, task: &str) -> bool {
        (self.case.is_empty() || self.case.iter().any(|text| name.contains(text.as_str())))
            && (self.task.is_empty() || self.task.iter().any(|only| only == task))
    }
}
