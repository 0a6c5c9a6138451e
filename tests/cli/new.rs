//! From an empty folder to a printed result, with the binary alone: `new`, `build`, `test`, `run`, `call`.
//!
//! Needs the languages' tools and their registries, as the guests of this repository do.

use std::path::Path;
use std::time::Duration;

use crate::harness::{Ended, Env, Running};

/// The time for a build. It fetches tools, and compiles a standard library where none is there.
const BUILD: Duration = Duration::from_mins(10);

/// An empty folder with the binary.
pub fn newcomer() -> Env {
    let mut env = Env::new();
    env.leave_home();
    env
}

/// Runs a command that may take as long as a build.
pub fn build(env: &Env, args: &[&str]) -> Ended {
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

fn from_nothing_to_a_result(language: &str, source: &str) -> Env {
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
    env.write(&source, right);
    env
}

#[test]
fn in_rust() {
    from_nothing_to_a_result("rust", "src/lib.rs");
}

#[test]
fn in_python() {
    let env = from_nothing_to_a_result("python", "app.py");

    // A copy of the project builds while the original is elsewhere, and changes nothing of it.
    let copied = std::process::Command::new("cp").arg("-r").arg(env.path("hello")).arg(env.path("copy")).status();
    assert!(copied.is_ok_and(|status| status.success()), "the copy");
    std::fs::rename(env.path("hello"), env.path("moved")).expect("a move");
    let before = files(&env.path("moved"));
    // An import inside of a function, of a package that the copy alone has.
    env.write("copy/requirements.txt", "tzdata\n");
    env.write("copy/app.py", LATE_IMPORTS);
    let built = build(&env, &["build", "copy"]);
    assert_eq!(built.ok(), "copy/copy.wasm");
    assert!(built.stderr.contains("warning: app.py:11: import only_on_my_machine: there is no module"), "{built:#?}");
    assert_eq!(files(&env.path("moved")), before);
    assert!(!env.path("hello").exists(), "the build has made the folder of the original anew");
    assert!(!env.path("copy/__pycache__").exists(), "the build has left compiled files among the sources");
    env.write("copy/cases.toml", "[[case]]\ntask = \"late\"\nresult = \"14:00\"\n");
    assert!(build(&env, &["test", "copy"]).ok().contains("1 passed"));

    // What a function imports and the component can't have is named. So is native code.
    let lacking = LATE_IMPORTS
        .replace("import zoneinfo", "import no_such_package\n    from componentize_py import componentize_py");
    env.write("copy/app.py", lacking);
    let failed = build(&env, &["build", "copy"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(11), ""), "{failed:#?}");
    for words in [
        "app.py:6: import no_such_package: there is no module no_such_package",
        "app.py:7: from componentize_py import componentize_py: componentize_py has native code",
        "componentize_py.abi3.so",
    ] {
        assert!(failed.stderr.contains(words), "{words:?} is not in {failed:#?}");
    }
}

const LATE_IMPORTS: &str = r#"import datetime
import brrr

@brrr.handler_no_arg
async def late():
    import zoneinfo
    noon = datetime.datetime.strptime("2024-07-01 12:00+0000", "%Y-%m-%d %H:%M%z")
    return noon.astimezone(zoneinfo.ZoneInfo("Europe/Zurich")).strftime("%H:%M")

def tries():
    import only_on_my_machine
"#;

/// All files below a folder, with the times at which they were written.
fn files(folder: &Path) -> std::collections::BTreeMap<std::path::PathBuf, std::time::SystemTime> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let meta = path.symlink_metadata().expect("a file");
        if meta.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path, meta.modified().expect("a time"));
        }
    }
    found
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

/// Go has packages of this name, and takes it for no module.
#[test]
fn a_project_may_be_called_go() {
    let env = newcomer();
    env.run(["new", "--lang", "go", "go"]).ok();
    assert_eq!(build(&env, &["build", "go"]).ok(), "go/go.wasm");
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
    for name in ["Hello", "1st", "a b", "..", "a-"] {
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
