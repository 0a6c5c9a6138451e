//! Components that are made to harm the commands that read them. For each one the command ends with one clear line and
//! an exit code, in bounded time and memory.

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, other_world};
use crate::harness::{Ended, Env, Running};

/// The start of a debug build, ten seconds of `describe`, and a reserve for a busy machine.
const TIME: Duration = Duration::from_secs(40);

/// In MiB: the 256 MiB that `describe` may have, and the memory that compiling needs.
const MEMORY: u64 = 500;

/// A component with `body` as the body of `describe`.
fn describing(body: &str) -> Vec<u8> {
    Fixture { describe: Some(body), ..Fixture::default() }.component()
}

/// A component whose `describe` grows its memory by 32 MiB and returns a component of no SDK with this many tasks. The tasks
/// are all zeros, and begin at 128 KiB.
fn zeros(tasks: usize, more: &str) -> Vec<u8> {
    describing(&format!(
        "(drop (memory.grow (i32.const 512)))
         (i32.store (i32.const 2064) (i32.const 131072))
         (i32.store (i32.const 2068) (i32.const {tasks}))
         {more}
         (i32.const 2048)"
    ))
}

/// A component with `parts`, and with a `handler` whose functions have the wrong types. So it tests the errors that are
/// found before the types are checked.
fn text(parts: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {parts}
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $h (export "describe" (func $f)) (export "handle" (func $f)))
            (export "brrr:worker/handler@0.2.0" (instance $h)))"#
    );
    wat::parse_str(text).expect("a component")
}

/// A body that calls a trapping function with this name.
fn in_function(name: &str) -> String {
    format!("(call $bad)) (func $bad (@name \"{name}\") (result i32) (unreachable)")
}

/// 400 bytes of a mangled C++ name. Each type consists of two of the types before it, so the demangled name has the
/// first type 2^36 times.
fn doubled() -> String {
    let digit = |n| char::from_digit(n, 36).expect("a digit").to_ascii_uppercase();
    (0..36).fold("_Z1f1AIiiE".to_owned(), |name, n| name + &format!("S_IS{0}_S{0}_E", digit(n)))
}

fn repeated(n: usize, part: impl Fn(usize) -> String) -> String {
    (0..n).fold(String::new(), |mut all, n| {
        write!(all, "{}", part(n)).expect("memory");
        all
    })
}

fn leb(mut n: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (n & 0x7f) as u8;
        n >>= 7;
        if n == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

pub fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [vec![id], leb(body.len()), body.to_vec()].concat()
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

const HANDLER: &[u8] = b"\0\x19brrr:worker/handler@0.2.0";

/// Components nested to this depth.
fn nested(depth: usize) -> Vec<u8> {
    let nested = (0..depth).fold(COMPONENT.to_vec(), |inner, _| [COMPONENT, &section(4, &inner)].concat());
    // The handler is an instance of another component, which is empty.
    let empty = [section(4, COMPONENT), section(5, &[1, 0, 1, 0])].concat();
    let handler = section(11, &[&[1][..], HANDLER, &[5, 0, 0]].concat());
    [COMPONENT, &section(4, &nested), &empty, &handler].concat()
}

/// A component with an unused custom section of this size.
pub fn with_custom(bytes: usize) -> Vec<u8> {
    let body = [vec![1, b'x'], vec![0; bytes]].concat();
    [Fixture::default().component(), section(0, &body)].concat()
}

/// A component with an import or export whose name has arbitrary bytes. No tool would write such a name.
pub fn named(import: bool, name: &str) -> Vec<u8> {
    let name = [vec![0], leb(name.len()), name.as_bytes().to_vec()].concat();
    // The import or export is an instance of an empty component, or of an empty instance type.
    let empty = [section(4, COMPONENT), section(5, &[1, 0, 0, 0])].concat();
    let body = if import {
        let import = section(10, &[&[1][..], &name, &[5, 0]].concat());
        [section(7, &[1, 0x42, 0]), import, empty, section(11, &[&[1][..], HANDLER, &[5, 1, 0]].concat())].concat()
    } else {
        [empty, section(11, &[&[1][..], &name, &[5, 0, 0]].concat())].concat()
    };
    [COMPONENT, &body].concat()
}

/// All bad components: name of the case, bytes, exit code, and a part of the message.
fn all() -> Vec<(&'static str, Vec<u8>, i32, &'static str)> {
    let whole = Fixture::default().component();
    let seed = fastrand::u64(..);
    println!("seed of the random bytes: {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut noise = |bytes: usize| (0..bytes).map(|_| random.u8(..)).collect::<Vec<_>>();
    let tasks = |tasks: &[(&str, bool, Option<u64>)]| Fixture { tasks, ..Fixture::default() }.component();
    let option = |key: u64, length: usize, value: u64, value_length: usize| {
        zeros(
            1,
            &format!(
                "(i32.store (i32.const 131072) (i32.const 2080)) (i32.store (i32.const 131076) (i32.const 1))
                 (i32.store8 (i32.const 2080) (i32.const 97))
                 (i32.store (i32.const 131080) (i32.const 2088)) (i32.store (i32.const 131084) (i32.const 1))
                 (i64.store (i32.const 2112) (i64.const {key})) (i64.store (i32.const 2120) (i64.const {value}))
                 (i32.store (i32.const 2088) (i32.const 2112)) (i32.store (i32.const 2092) (i32.const {length}))
                 (i32.store (i32.const 2096) (i32.const 2120)) (i32.store (i32.const 2100) (i32.const {value_length}))"
            ),
        )
    };
    let name_of = |bytes: usize| {
        format!("(i32.store (i32.const 131072) (i32.const 200000)) (i32.store (i32.const 131076) (i32.const {bytes}))")
    };
    let escapes = "\u{1b}[2J\u{1b}[31m";
    vec![
        ("empty", Vec::new(), 10, "the file is empty"),
        ("noise", noise(1 << 20), 10, "not WebAssembly"),
        ("noise in a component", [COMPONENT, &noise(1 << 20)].concat(), 10, "could not be compiled"),
        ("truncated", whole[..whole.len() - 40].to_vec(), 10, "could not be compiled"),
        ("a core module", wat::parse_str("(module)").expect("a module"), 10, "a core WebAssembly module"),
        ("another world", other_world(), 10, "does not export brrr:worker/handler"),
        ("describe traps", describing("(unreachable)"), 10, "it gave up"),
        (
            "describe traps in a function of an endless name",
            describing(&in_function(&doubled())),
            10,
            "at fixture!f(A<int, int>, A<A<int",
        ),
        (
            "describe takes memory",
            describing("(loop $more (drop (memory.grow (i32.const 16))) (br $more)) (unreachable)"),
            10,
            "the memory limit of 256 MiB",
        ),
        (
            // The compiler would need gigabytes and minutes for this component.
            "40,000 variables in 100,000 blocks",
            describing(&format!(
                "(local {}) {} (i32.const 4096)",
                "i32 ".repeat(40_000),
                "(if (local.get 0) (then (local.set 1 (i32.const 1))))".repeat(100_000)
            )),
            10,
            "too many variables",
        ),
        ("no tasks", tasks(&[]), 10, "has no tasks"),
        ("a task twice", tasks(&[("a", false, None), ("a", false, None)]), 10, "claims the task \"a\" twice"),
        ("a name of control characters", tasks(&[(escapes, false, None)]), 10, "a control character"),
        ("100,000 tasks", zeros(100_000, ""), 10, "100000 tasks; a component may have 1000"),
        ("1,000,000 tasks", zeros(1_000_000, ""), 10, "`describe`"),
        ("a name of megabytes", zeros(1, &name_of(10 << 20)), 10, "has 10485760 bytes; at most 1000"),
        ("a name twice, of megabytes", zeros(2, &name_of(8 << 20)), 10, "at most 1000"),
        (
            "an option of control characters",
            option(0x1b5b, 2, 0, 1),
            10,
            "the name of an option has a control character",
        ),
        (
            // The name "label", and a sequence that clears a terminal.
            "a label of control characters",
            option(0x006c_6562_616c, 5, 0x4a32_5b1b, 4),
            10,
            "the option label has a control character",
        ),
        ("a memory of 4 GiB", text("(core module $x (memory 65536)) (core instance (instantiate $x))"), 10, "bad.wasm"),
        ("2,000 modules", text(&repeated(2_000, |_| "(core module)".into())), 10, "could not be compiled"),
        (
            "900 instances",
            text(&format!("(core module $x) {}", repeated(900, |_| "(core instance (instantiate $x))".into()))),
            10,
            "50",
        ),
        (
            "100 memories",
            text(&format!(
                "(core module $x {}) (core instance (instantiate $x))",
                repeated(100, |_| "(memory 1)".into())
            )),
            10,
            "uses several memories in one module",
        ),
        (
            "a list of lists of lists",
            text(&format!("(type $t0 (list u8)) {}", repeated(20_000, |n| format!("(type $t{} (list $t{n}))", n + 1)))),
            10,
            "could not be compiled",
        ),
        ("components in components", nested(20_000), 10, "components nest more than 50 deep"),
        ("an import of control characters", named(true, escapes), 10, "which this host does not provide"),
        ("an import of a long name", named(true, &"x".repeat(90_000)), 10, "which this host does not provide"),
        ("an export of control characters", named(false, escapes), 10, "does not export brrr:worker/handler"),
        ("an export of a long name", named(false, &"x".repeat(90_000)), 10, "does not export brrr:worker/handler"),
        (
            "a long version",
            named(false, &format!("brrr:worker/handler@9.{}", "9".repeat(90_000))),
            10,
            "this host speaks",
        ),
    ]
}

#[track_caller]
fn bounded(name: &str, ended: &Ended, code: i32, words: &str) {
    println!("{name}: {} MiB: {}", ended.peak, ended.stderr.trim_end());
    ended.refused(code, &[words]);
    assert!(ended.stderr.len() < 10_000, "{name}: a message of {} bytes", ended.stderr.len());
    for line in ended.stderr.lines() {
        assert!(line.len() < 5_000, "{name}: a line of {} bytes", line.len());
        assert!(!line.contains(char::is_control), "{name}: {line:?}");
    }
    assert!(ended.peak < MEMORY, "{name}: {} MiB", ended.peak);
}

#[test]
fn a_bad_component_is_refused_in_one_line() {
    let (env, begun) = (Env::new(), Instant::now());
    let endless = Fixture { describe: Some("(loop $forever (br $forever)) (unreachable)"), ..Fixture::default() };
    let endless = endless.write(&env.path(""));
    let endless = env.start(["run", endless.to_str().expect("UTF-8")]);
    for (n, (name, bytes, code, words)) in all().into_iter().enumerate() {
        let path = env.write("bad.wasm", bytes);
        // Both commands read components with the same code. To alternate them halves the time of the test.
        let command = if n % 2 == 0 { "run" } else { "inspect" };
        let start = Instant::now();
        let ended = env.run([command, path.to_str().expect("UTF-8")]);
        bounded(name, &ended, code, words);
        assert!(start.elapsed() < TIME, "{name}: {:?}", start.elapsed());
    }
    bounded("endless", &endless.end(), 10, "did not name its tasks (`describe`) within 10 s");
    println!("all in {:.1?}", begun.elapsed());
}

#[test]
fn paths_of_no_regular_files_are_refused() {
    let env = Env::new();
    let refused = |path: &str, code: i32, words: &str| {
        for command in ["run", "inspect"] {
            bounded(path, &env.run([command, path]), code, words);
        }
    };
    std::fs::create_dir(env.path("folder.wasm")).expect("a folder");
    refused("folder.wasm", 11, "folder.wasm");
    // This device has no end.
    refused("/dev/zero", 10, "not WebAssembly");
    // A sparse file needs no disk space.
    let huge = env.write("huge.wasm", COMPONENT);
    std::fs::File::options().write(true).open(huge).and_then(|file| file.set_len(300 << 30)).expect("a sparse file");
    refused("huge.wasm", 10, "larger than 256 MiB");
}

#[test]
fn a_large_harmless_component_is_served() {
    let env = Env::new();
    let path = env.write("large.wasm", with_custom(64 << 20));
    let ended = env.run(["inspect", path.to_str().expect("UTF-8")]);
    assert!(ended.ok().contains("echo"), "{ended:#?}");
    assert!(ended.peak < MEMORY, "{} MiB", ended.peak);
}

/// The command reads a pipe to which no process writes. It must react to an interrupt while it reads.
#[test]
fn reading_a_component_can_be_interrupted() {
    let env = Env::new();
    let pipe = env.path("pipe.wasm");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let worker: Running = env.start(["run", "pipe.wasm", "--log-level", "debug"]);
    // Opening the pipe for writing returns when the command has opened it for reading.
    let writer = std::fs::File::options().write(true).open(&pipe).expect("the pipe");
    worker.signal(rustix::process::Signal::TERM);
    let ended = worker.end_within(Duration::from_secs(20));
    assert_eq!(ended.code, Some(143), "{ended:#?}");
    drop(writer);
}
