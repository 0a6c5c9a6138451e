//! From an empty folder to a printed result, with the binary alone: `new`, `build`, `test`, `run`, `call`.
//!
//! Needs the languages' tools and their registries, as the guests of this repository do.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Ended, Env, Running};

/// The time for a build. It fetches tools, and compiles a standard library where none is there.
const BUILD: Duration = Duration::from_mins(10);

/// An empty folder with the binary.
fn newcomer() -> Env {
    let mut env = Env::new();
    env.leave_home();
    env
}

/// Runs a command that may take as long as a build.
fn build(env: &Env, args: &[&str]) -> Ended {
    let mut command = env.command(args);
    // Variables that cargo sets for its tests are about this repository.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME" {
            command.env_remove(name);
        }
    }
    // Use Go's cache, so that its standard library is not compiled again.
    if let Some(home) = std::env::var_os("HOME") {
        command.env("GOCACHE", Path::new(&home).join(".cache/go-build"));
    }
    Running::start(command).end_within(BUILD)
}

fn from_nothing_to_a_result(language: &str, source: &str) {
    let env = newcomer();
    env.run(["new", "--lang", language, "hello"]).ok();
    let built = build(&env, &["build", "hello"]);
    assert_eq!(built.ok(), "hello/hello.wasm");
    assert!(built.stderr.contains("built hello/hello.wasm"), "{built:#?}");
    let again = build(&env, &["build", "hello"]);
    assert_eq!(again.ok(), "hello/hello.wasm");
    assert!(again.stderr.contains("is up to date"), "{again:#?}");

    let tested = build(&env, &["test", "hello"]);
    assert!(tested.ok().contains("2 cases: 2 passed"), "{tested:#?}");

    let worker = env.start(["run", "--topic", "demo", "hello"]);
    worker.wait_for_stderr("serving topic demo");
    assert_eq!(env.run(["call", "--topic", "demo", "hello", "{\"greetee\": \"John\"}"]).ok(), "Hello, John!");
    worker.wait_for_stdout("Hello, John!");
    let dice = env.run(["call", "--topic", "demo", "dice", "{\"count\": 3}"]);
    let dice: serde_json::Value = serde_json::from_str(dice.ok()).expect("JSON");
    assert_eq!(dice["rolls"].as_array().map(Vec::len), Some(3), "{dice}");
    worker.stop().ok();

    // A mistake in the source is shown with the compiler's message. The last good component stays.
    let before = std::fs::read(env.path("hello/hello.wasm")).expect("a component");
    let source = format!("hello/{source}");
    let right = std::fs::read_to_string(env.path(&source)).expect("a source");
    env.write(&source, format!("{right}\n(((\n"));
    let failed = build(&env, &["build", "hello"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(11), ""), "{failed:#?}");
    let file = source.rsplit('/').next().expect("a name");
    assert!(failed.stderr.contains(file), "the output of the compiler about {file} is missing: {failed:#?}");
    assert!(failed.stderr.contains("error: hello: "), "{failed:#?}");
    assert!(std::fs::read(env.path("hello/hello.wasm")).is_ok_and(|now| now == before), "the old component is kept");
}

#[test]
fn in_rust() {
    from_nothing_to_a_result("rust", "src/lib.rs");
}

#[test]
fn in_python() {
    from_nothing_to_a_result("python", "app.py");
}

#[test]
fn in_javascript() {
    from_nothing_to_a_result("javascript", "app.js");
}

#[test]
fn in_typescript() {
    from_nothing_to_a_result("typescript", "app.ts");
}

#[test]
fn in_go() {
    from_nothing_to_a_result("go", "main.go");
}

#[test]
fn in_c() {
    from_nothing_to_a_result("c", "app.c");
}

#[test]
fn a_component_is_written_to_the_given_path() {
    let env = newcomer();
    env.run(["new", "--lang", "javascript", "hello"]).ok();
    let built = build(&env, &["build", "hello", "-o", "out/there/app.wasm"]);
    assert!(built.ok().ends_with("out/there/app.wasm"), "{built:#?}");
    assert!(env.path("out/there/app.wasm").is_file());
}

#[test]
fn in_cpp() {
    from_nothing_to_a_result("cpp", "app.cpp");
}

#[test]
fn a_missing_tool_is_named_with_the_line_that_installs_it() {
    for (language, words) in [
        ("rust", ["cargo is needed", "https://rustup.rs"]),
        ("python", ["Python 3.11", "python"]),
        ("javascript", ["Node 20", "node"]),
        ("typescript", ["Node 20", "node"]),
        ("go", ["Go 1.", "go"]),
        // Without bash the build asks for bash. Where bash and its tools are there, it asks for clang.
        ("c", ["bash", "install"]),
        ("c", ["clang", "wasi-libc"]),
        ("cpp", ["clang", "wasi-libc"]),
    ] {
        let env = newcomer();
        env.run(["new", "--lang", language, "hello"]).ok();
        let nowhere = env.path("nowhere");
        std::fs::create_dir(&nowhere).expect("a folder");
        if words[0] == "clang" {
            for tool in ["bash", "basename", "dirname"] {
                let found =
                    ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(tool)).into_iter().find(|p| p.exists());
                std::os::unix::fs::symlink(found.expect("a tool"), nowhere.join(tool)).expect("a link");
            }
        }
        let mut command = env.command(["build", "hello"]);
        command.env("PATH", &nowhere).env_remove("WASI_SDK_PATH");
        let ended = Running::start(command).end();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(11), ""), "{language}: {ended:#?}");
        let error = ended.stderr.lines().find(|line| line.starts_with("error: ")).expect("an error");
        for word in words {
            assert!(error.contains(word), "{language}: {word:?} is not in {error:?}");
        }
        // The advice differs between systems. But there is always a command or an address.
        let how = ["install it: ", "Install ", "install ", "https://"].iter().any(|how| error.contains(how));
        assert!(how, "{language}: how to get it is not in {error:?}");
    }
}

#[test]
fn a_folder_without_a_project_is_an_error() {
    let env = newcomer();
    std::fs::create_dir(env.path("empty")).expect("a folder");
    for command in ["build", "test", "inspect"] {
        env.run([command, "empty"]).refused(11, &["empty", "app.py (Python)", "brrr-host new"]);
    }
    env.run(["run", "empty"]).refused(11, &["empty", "brrr-host new"]);
    std::fs::create_dir(env.path("both")).expect("a folder");
    env.write("both/app.py", "");
    env.write("both/app.js", "");
    env.run(["build", "both"]).refused(11, &["app.py (Python) and app.js (JavaScript)", "both/app.py"]);
    env.run(["build", "none"]).refused(10, &["none", "no such file or folder"]);
    env.write("notes.txt", "");
    env.run(["build", "notes.txt"]).refused(11, &["notes.txt"]);
}

#[test]
fn new_overwrites_nothing() {
    let env = newcomer();
    env.run(["new", "--lang", "c", "hello"]).ok();
    let file = env.path("hello/app.c");
    std::fs::write(&file, "// mine").expect("a file");
    env.run(["new", "--lang", "c", "hello"]).refused(2, &["hello", "not empty"]);
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), "// mine");
    for name in ["Hello", "1st", "a b", ".."] {
        let ended = env.run(["new", "--lang", "c", name]);
        assert!(ended.code == Some(2) && ended.stderr.contains(name), "{ended:#?}");
    }
    let ended = env.run(["new", "--lang", "klingon", "other"]);
    let all = ["rust", "python", "javascript", "typescript", "go", "c, cpp"];
    assert!(ended.code == Some(2) && all.iter().all(|name| ended.stderr.contains(name)), "{ended:#?}");
    let ended = env.run(["new", "other"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("--lang"), "{ended:#?}");
    assert!(!env.path("other").exists());
}
