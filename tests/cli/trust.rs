//! Folders and files that belong to another user, or come from another person.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::harness::{Env, Running, guest, is_root, skip};

const NOBODY: u32 = 65_534;

#[test]
fn a_file_of_another_user_is_not_followed_unless_it_is_named() {
    if !is_root() {
        return skip("only root can give a file to another user");
    }
    let env = Env::new();
    let file = env.write("brrr.toml", "topic = \"theirs\"\nbackend = \"redis://192.0.2.1\"\n");
    env.run(["config"]).ok();
    chown(&file, Some(NOBODY), None).expect("chown");
    let guest = guest();
    for args in [vec!["config"], vec!["jobs"], vec!["run", guest.to_str().expect("UTF-8")], vec!["dlq", "list"]] {
        env.run(&args).refused(2, &["brrr.toml", "another user (uid 65534)", "--config brrr.toml"]);
    }
    let named = env.run(["config", "--config", "brrr.toml"]);
    assert!(named.ok().contains("192.0.2.1"), "{named:?}");
    // The file is ours, but its folder belongs to another user, who could replace the file. It is refused too.
    chown(&file, Some(0), None).expect("chown");
    chown(env.path(""), Some(NOBODY), None).expect("chown");
    env.run(["config"]).refused(2, &["its folder", "another user"]);
    std::fs::remove_file(file).expect("removed");
    // Data that we keep in such a folder would belong to that user.
    std::fs::create_dir(env.path(".brrr")).expect("a folder");
    chown(env.path(".brrr"), Some(NOBODY), None).expect("chown");
    env.run(["schedule", "fib"]).refused(20, &[".brrr", "another user"]);
}

#[test]
fn a_folder_of_state_that_is_a_link_is_not_followed() {
    let (env, elsewhere) = (Env::new(), Env::new());
    symlink(elsewhere.path(""), env.path(".brrr")).expect("a link");
    env.run(["schedule", "fib"]).refused(20, &[".brrr", "a link"]);
    assert!(!elsewhere.path("state.db").exists());
    let url = elsewhere.url();
    env.run(["schedule", "fib", "--backend", &url]).ok();
}

/// `run` without the `BRRR_YES` that the tests set for all commands.
fn run(env: &Env, more: &[&str]) -> Running {
    let mut command = env.command(["run"].iter().chain(more));
    command.env_remove("BRRR_YES");
    Running::start(command)
}

#[test]
fn grants_of_a_found_file_beyond_its_folder_need_approval() {
    let env = Env::new();
    std::fs::copy(guest(), env.path("app.wasm")).expect("a copy");
    std::fs::create_dir(env.path("data")).expect("a folder");
    let component = "[[components]]\npath = \"app.wasm\"\n";
    for (grant, word) in [
        ("allow-http = [\"example.com\"]", "HTTP to example.com"),
        ("env = [\"HOME\"]", "the variable HOME"),
        ("dirs = [\"/usr::/data:ro\"]", "the folder /usr::/data:ro"),
        ("dirs = [\"data/../..::/data:ro\"]", "the folder data/../..::/data:ro"),
        ("env-file = \"/etc/hostname\"", "the file /etc/hostname"),
    ] {
        env.write("brrr.toml", format!("{component}{grant}\n"));
        run(&env, &[]).end().refused(2, &["brrr.toml", "app.wasm", word, "--yes"]);
    }
    run(&env, &["--processes", "2"]).end().refused(2, &["--yes"]);
    // There is no question about permissions inside of the folder. There is none either about permissions that the user
    // gives by flags, or by naming the file.
    let inside = format!("{component}dirs = [\"data::/data\"]\nenv = [\"MODE=fast\"]\n");
    let asked = format!("{component}allow-http = [\"example.com\"]\n");
    for (file, more) in [
        (&inside, &[][..]),
        (&inside, &["--allow-http", "example.com"]),
        (&asked, &["--yes"]),
        (&asked, &["--config", "brrr.toml"]),
    ] {
        env.write("brrr.toml", file);
        let worker = run(&env, more);
        worker.wait_for_stderr("serving topic");
        let expected = if *file == inside { "may reach: " } else { "may reach: HTTP example.com" };
        assert!(worker.stderr().contains(expected), "{}", worker.stderr());
        worker.stop().ok();
    }
}

/// In a terminal the user is asked once, and the answer is kept until the file grants something else.
#[test]
fn a_user_in_a_terminal_is_asked_once_about_a_found_file() {
    let env = Env::new();
    std::fs::copy(guest(), env.path("app.wasm")).expect("a copy");
    let grant =
        |what: &str| env.write("brrr.toml", format!("[[components]]\npath = \"app.wasm\"\nenv = [\"{what}\"]\n"));
    grant("HOME");
    let program = env!("CARGO_BIN_EXE_brrr-host");
    // `script` runs a command in a new terminal, and shows the command's output.
    let start = |answer: &str| {
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{program} run"), "/dev/null"]);
        let ours = env.command(["run"]);
        let set = ours.get_envs().filter(|(name, _)| *name != "BRRR_YES");
        command.envs(set.filter_map(|(name, value)| Some((name, value?)))).env_remove("BRRR_YES");
        command.current_dir(env.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("TERM", "dumb").process_group(0);
        let mut child = command.spawn().expect("script, of the package bsdutils");
        writeln!(child.stdin.as_mut().expect("its input"), "{answer}").expect("an answer");
        child
    };
    let ends = |answer: &str| {
        let ended = start(answer).wait_with_output().expect("its end");
        (ended.status.code(), String::from_utf8_lossy(&ended.stdout).into_owned())
    };
    let serves = |answer: &str| {
        let mut child = start(answer);
        let mut shown = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        while !shown.contains("serving topic") {
            shown += &lines.next().unwrap_or_else(|| panic!("it ended: {shown}")).expect("a line");
        }
        rustix::process::kill_process_group(Pid::from_child(&child), Signal::TERM).expect("a signal");
        child.wait().expect("its end");
        shown
    };
    for _ in 0..2 {
        let (code, shown) = ends("n");
        assert!(code == Some(2) && shown.contains("the variable HOME") && shown.contains("not allowed"), "{shown}");
    }
    assert!(serves("y").contains("[y/N]"));
    let again = serves("");
    assert!(!again.contains("[y/N]"), "{again}");
    grant("SECRET");
    let (code, shown) = ends("n");
    assert!(code == Some(2) && shown.contains("the variable SECRET"), "{shown}");
}

#[test]
fn a_found_file_sends_events_nowhere_else() {
    let (env, elsewhere) = (Env::new(), Env::new());
    std::fs::copy(guest(), env.path("app.wasm")).expect("a copy");
    let outside = elsewhere.path("events");
    let file =
        |events: &std::path::Path| format!("[worker]\nevents = {events:?}\n[[components]]\npath = \"app.wasm\"\n");
    env.write("brrr.toml", file(&outside));
    env.run(["run"]).refused(2, &["brrr.toml", "outside of its folder", "--config"]);
    symlink(&outside, env.path("link")).expect("a link");
    env.write("brrr.toml", file(std::path::Path::new("link")));
    env.run(["run"]).refused(2, &["outside of its folder"]);
    assert!(!outside.exists());
    env.write("brrr.toml", file(std::path::Path::new("events")));
    let worker = env.start(["run"]);
    worker.wait_for_stderr("serving topic");
    worker.stop().ok();
}
