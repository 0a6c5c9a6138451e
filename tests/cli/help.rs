//! What the program says about itself.

use std::path::Path;

use crate::harness::Env;

const COMMANDS: [&str; 22] = [
    "run",
    "call",
    "schedule",
    "read",
    "jobs",
    "job",
    "cancel",
    "retry",
    "resolve",
    "reject",
    "cron",
    "dlq",
    "events",
    "forget",
    "serve",
    "push",
    "publish",
    "pull",
    "inspect",
    "test",
    "wit",
    "completions",
];

/// The subcommands of `cron`.
const CRON: [&str; 8] = ["add", "list", "show", "pause", "resume", "remove", "run-now", "next"];

/// The subcommands of `dlq`.
const DLQ: [&str; 4] = ["list", "show", "send", "drop"];

#[test]
fn help_is_as_recorded() {
    let env = Env::new();
    let mut parts = vec![env.run(["--help"]).ok().to_owned()];
    for command in COMMANDS {
        let help = env.run([command, "--help"]);
        assert!(help.ok().contains("Example"), "{command} has no example");
        parts.push(format!("$ brrr-host {command} --help\n{}", help.ok()));
    }
    for action in CRON {
        parts.push(format!("$ brrr-host cron {action} --help\n{}", env.run(["cron", action, "--help"]).ok()));
    }
    for action in DLQ {
        parts.push(format!("$ brrr-host dlq {action} --help\n{}", env.run(["dlq", action, "--help"]).ok()));
    }
    // clap shows values from the environment. A test has other values there than a user.
    let all = parts.join("\n\n");
    let all =
        all.replace("[env: BRRR_TOPIC=demo]", "[env: BRRR_TOPIC=]").replace("[env: BRRR_YES=1]", "[env: BRRR_YES=]")
            + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cli/help.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &all).expect("help.txt");
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        all == recorded,
        "the help differs from tests/cli/help.txt; record it with UPDATE=1 if that is meant. Now:\n{all}"
    );
}

#[test]
fn completions_for_every_shell() {
    let env = Env::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = env.run(["completions", shell]);
        for command in COMMANDS {
            assert!(script.ok().contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn version_and_colour() {
    let env = Env::new();
    assert_eq!(env.run(["--version"]).ok(), concat!("brrr-host ", env!("CARGO_PKG_VERSION")));
    let ended = env.run(["call", "fib", "nonsense"]);
    assert!(!ended.stderr.contains('\x1b'), "no colour off a terminal: {ended:#?}");
}
