//! `conformance`: tests a component that has the tasks of guests/CONFORMANCE.md, in any language.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{TestCommand, run_cases};
use crate::cli::options::{duration, size};
use crate::cli::output::Format;
use crate::cli::permissions::PermissionArgs;
use crate::config::Config;
use crate::exit::Exit;
use crate::testing::Cases;

/// The cases of the guests of all SDKs.
const CASES: &str = include_str!("../../../../guests/conformance.toml");

/// Test a component of a language without an SDK: does it behave as the guests of the SDKs do?
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host conformance guest.wasm
  brrr-host conformance guest.wasm --task fib --task fan_out

The component has the tasks of guests/CONFORMANCE.md, or those of them that --task names. Each case is tried as by
`brrr-host test`: its calls, their order in each replay, its result, and what comes of a failing call.")]
pub struct ConformanceCommand {
    /// The component, or a project's folder, which is built first if needed.
    #[arg(value_name = "GUEST.WASM|DIR")]
    component: PathBuf,

    /// Run only cases with this text in their names. May be repeated.
    #[arg(long, value_name = "TEXT")]
    case: Vec<String>,

    /// Run only cases of this task. May be repeated.
    #[arg(long, value_name = "TASK")]
    task: Vec<String>,

    /// Also write a report in JUnit's format to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,

    /// The most memory that one run may use.
    #[arg(long, env = "BRRR_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    memory: u64,

    /// The longest time that one run may take, if its task does not set a shorter time.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration)]
    timeout: Duration,

    /// The largest result of one call.
    #[arg(long, env = "BRRR_MAX_RESULT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    max_result: u64,

    #[command(flatten)]
    permissions: PermissionArgs,
}

pub async fn run(args: ConformanceCommand, config: &Config, format: Format) -> anyhow::Result<Exit> {
    let ConformanceCommand { component, case, task, junit, memory, timeout, max_result, permissions } = args;
    let args = TestCommand {
        component,
        cases: None,
        with: Vec::new(),
        case,
        task,
        update: false,
        junit,
        orders: 3,
        seed: 1,
        max_calls: 5_000,
        memory,
        timeout,
        max_result,
        permissions,
    };
    let cases = Cases::parse(Path::new("guests/conformance.toml"), CASES.to_owned())?;
    run_cases(args, config, format, Some(cases)).await
}
