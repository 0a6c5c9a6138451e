//! Components that are refused at the start, and the messages for them.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::options::Scope;
use brrr_worker::wasm::{LoadError, Overrides, RunLimits, Task, WasmHandler};
use serde_json::json;

use crate::fixture::{Fixture, SDK, other_world};
use crate::rig::{Lines, load};

/// Loads bytes that can't be served, and returns the error. Each message is one line that names the file.
async fn refused(bytes: &[u8]) -> LoadError {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("guest.wasm");
    fs::write(&path, bytes).unwrap();
    let Err(error) = load(&path).await else { panic!("it was loaded") };
    let text = error.to_string();
    assert!(text.contains("guest.wasm: "), "{text}");
    assert!(!text.lines().next().unwrap().is_empty());
    error
}

#[tokio::test]
async fn a_valid_component_describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture { tasks: &[("a", false, None), ("b", true, Some(1500))], ..Fixture::default() };
    let path = fixture.write(folder.path());
    let guest = load(&path).await.unwrap();
    assert_eq!(guest.path, path);
    assert_eq!(guest.size, fs::metadata(&path).unwrap().len());
    assert_eq!(guest.digest.len(), 64);
    assert_eq!((guest.sdk.as_str(), guest.sdk_version.as_str()), SDK);
    assert_eq!(guest.wit_version, "0.2.0");
    assert!(guest.imports.contains(&"brrr:worker/tasks@0.2.0".to_owned()), "{:?}", guest.imports);
    let names: Vec<_> = guest.tasks.iter().map(|t| (t.name.as_str(), t.leaf)).collect();
    assert_eq!(names, [("a", false), ("b", true)]);
    assert_eq!(guest.tasks[1].options.timeout.unwrap().as_millis(), 1500);
    assert_eq!(guest.tasks[0].options.timeout, None);
}

#[tokio::test]
async fn no_such_file() {
    let error = load(Path::new("/no/such/guest.wasm")).await.err().unwrap();
    assert!(matches!(error, LoadError::NotFound { .. }));
    assert!(error.to_string().starts_with("/no/such/guest.wasm: no such file"), "{error}");
}

#[tokio::test]
async fn a_folder() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load(folder.path()).await.err().unwrap(), LoadError::Unreadable { .. }));
}

#[tokio::test]
async fn not_wasm() {
    for bytes in [&b""[..], b"hello", b"\0as", b"\x7fELF....", b"(module)"] {
        let error = refused(bytes).await;
        assert!(matches!(error, LoadError::NotWasm { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_core_module() {
    let error = refused(&wat::parse_str("(module)").unwrap()).await;
    assert!(matches!(error, LoadError::CoreModule { .. }));
    assert!(error.to_string().contains("wasm-tools component new"), "{error}");
}

#[tokio::test]
async fn a_core_module_with_wasi_needs_the_adapter() {
    let module =
        r#"(module (import "env" "f" (func)) (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))))"#;
    let error = refused(&wat::parse_str(module).unwrap()).await;
    assert!(matches!(error, LoadError::CoreModule { preview1: true, .. }));
    assert!(error.to_string().contains("--adapt wasi_snapshot_preview1.reactor.wasm"), "{error}");
}

#[tokio::test]
async fn a_proposal_that_is_off_on_purpose_is_named() {
    for (module, name) in [
        ("(type (struct (field i32))) (func (drop (struct.new 0 (i32.const 1))))", "garbage collection (GC)"),
        ("(tag $t) (func (throw $t))", "exceptions"),
        ("(memory 1 2 shared)", "threads"),
        ("(memory 1) (memory 1)", "several memories"),
        ("(func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2)))", "wide arithmetic"),
    ] {
        let component = format!(
            r#"(component
                (core module {module})
                (core module $m (func (export "f")))
                (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (instance $h (export "describe" (func $f)) (export "handle" (func $f)))
                (export "brrr:worker/handler@0.2.0" (instance $h)))"#
        );
        let error = refused(&wat::parse_str(&component).unwrap()).await;
        let LoadError::SwitchedOff { uses, .. } = &error else { panic!("{name}: {error}") };
        assert!(uses.starts_with(name), "{error}");
        assert!(!error.to_string().contains("newer"), "{error}");
    }
}

#[tokio::test]
async fn a_component_of_another_world() {
    let error = refused(&other_world()).await;
    let LoadError::OtherWorld { exports, .. } = &error else { panic!("{error}") };
    assert_eq!(exports, &["fixtures:elsewhere/teapot@1.0.0"]);
    assert!(matches!(refused(&wat::parse_str("(component)").unwrap()).await, LoadError::OtherWorld { .. }));
}

#[tokio::test]
async fn a_component_of_another_version() {
    for version in ["0.1.0", "0.9.0", "1.2.0"] {
        let error = refused(&Fixture { version, ..Fixture::default() }.component()).await;
        let LoadError::OtherVersion { found, .. } = &error else { panic!("{error}") };
        assert_eq!(found, version);
        assert!(error.to_string().contains("speaks 0.2.0"), "{error}");
    }
}

/// Loads a component whose only task has these options.
async fn with_options(options: &[(&str, &str)]) -> Result<Task, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = Fixture { options, ..Fixture::default() }.write(folder.path());
    load(&path).await.map(|mut guest| guest.tasks.remove(0))
}

#[tokio::test]
async fn what_a_task_says_of_itself_is_read() {
    let task = with_options(&[
        ("leaf", "true"),
        ("max-retries", "3"),
        ("scope", "15m"),
        ("description", "Says it again.\nAnd again."),
        ("input-schema", r#"{"type": "object", "required": ["n"]}"#),
        ("output-schema", "true"),
    ]);
    let task = task.await.unwrap();
    assert!(task.leaf && task.extra.is_empty(), "{task:?}");
    assert_eq!(task.options.max_retries, Some(3));
    assert_eq!(task.options.scope, Some(Scope::For(Duration::from_mins(15))));
    assert_eq!(task.description.as_deref(), Some("Says it again.\nAnd again."));
    assert_eq!(task.input_schema, Some(json!({"type": "object", "required": ["n"]})));
    assert_eq!(task.output_schema, Some(json!(true)));

    let task = with_options(&[("leaf", "false")]).await.unwrap();
    assert!(!task.leaf && task.description.is_none() && task.input_schema.is_none() && task.output_schema.is_none());
}

/// A component of a later SDK can be served.
#[tokio::test]
async fn an_option_that_this_version_does_not_know_is_kept() {
    let task = with_options(&[("colour", "blue"), ("timeout-ms", "50"), ("empty", "")]).await.unwrap();
    let mut extra: Vec<_> = task.extra.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    extra.sort_unstable();
    assert_eq!(extra, [("colour", "blue"), ("empty", "")]);
    assert_eq!(task.options.timeout.unwrap().as_millis(), 50);
}

#[tokio::test]
async fn what_a_task_can_not_say_of_itself() {
    let long = "x".repeat((4 << 10) + 1);
    let large = format!("\"{}\"", "x".repeat(64 << 10));
    let many: Vec<_> = (0..=100).map(|n| format!("option{n}")).collect();
    let many: Vec<_> = many.iter().map(|key| (key.as_str(), "")).collect();
    for (options, why) in [
        (&[("leaf", "yes")][..], "`true` or `false`"),
        (&[("timeout-ms", "soon")], "timeout-ms"),
        (&[("scope", "everybody")], "scope"),
        (&[("description", &long)], "more than 4096 bytes"),
        (&[("input-schema", "{")], "its input-schema is not JSON"),
        (&[("output-schema", "3")], "its output-schema is no JSON Schema"),
        (&[("output-schema", &large)], "its output-schema has more than 64 KiB"),
        (&[("a\nb", "")], "the name of an option"),
        (&[("colour", "\u{1b}[2J")], "the option colour"),
        (&many, "at most 100"),
    ] {
        let error = with_options(options).await.err().unwrap_or_else(|| panic!("{why}"));
        let LoadError::BadOption { task, reason, .. } = &error else { panic!("{error}") };
        assert_eq!(task, "echo");
        assert!(reason.contains(why), "{why}: {reason}");
    }
}

#[tokio::test]
async fn names_of_the_host_are_not_for_tasks() {
    for name in ["brrr.x", "brrr.promise"] {
        let error = refused(&Fixture { tasks: &[(name, false, None)], ..Fixture::default() }.component()).await;
        assert!(matches!(error, LoadError::BadName { .. }), "{error}");
        assert!(error.to_string().contains("begins with brrr."), "{error}");
    }
    let named = Fixture { tasks: &[("brrr", false, None), ("a.brrr.b", false, None)], ..Fixture::default() };
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(load(&named.write(folder.path())).await.unwrap().tasks.len(), 2);
}

#[tokio::test]
async fn an_unknown_import() {
    let error = refused(&Fixture { name: "teapot", world: "unknown-import", ..Fixture::default() }.component()).await;
    let LoadError::UnknownImport { import, .. } = &error else { panic!("{error}") };
    assert_eq!(import, "fixtures:elsewhere/teapot@1.0.0");
}

#[tokio::test]
async fn the_right_names_with_other_types() {
    let bytes = wat::parse_str(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $h (export "describe" (func $f)) (export "handle" (func $f)))
            (export "brrr:worker/handler@0.2.0" (instance $h)))"#,
    );
    let error = refused(&bytes.unwrap()).await;
    assert!(matches!(error, LoadError::Unfit { .. }), "{error}");
}

#[tokio::test]
async fn damaged() {
    let whole = Fixture::default().component();
    let error = refused(&whole[..whole.len() / 2]).await;
    assert!(matches!(error, LoadError::Invalid { .. }), "{error}");
    // Whichever byte is changed, the result is an error or a guest, and never a panic.
    for offset in (8..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x55;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("guest.wasm");
        fs::write(&path, bytes).unwrap();
        let _ = load(&path).await;
    }
}

#[tokio::test]
async fn describe_traps() {
    let error = refused(&Fixture { describe: Some("(unreachable)"), ..Fixture::default() }.component()).await;
    assert!(matches!(error, LoadError::DescribeFailed { .. }), "{error}");
    assert!(error.to_string().contains("it gave up"), "{error}");
}

#[tokio::test]
async fn describe_calls_a_task() {
    let describe = Some("(call $poll_children (i32.const 1) (i32.const 255))");
    let error = refused(&Fixture { describe, ..Fixture::default() }.component()).await;
    assert!(error.to_string().contains("from `describe`"), "{error}");
}

#[tokio::test]
async fn describe_never_ends() {
    let describe = Some("(loop $forever (br $forever)) (unreachable)");
    let error = refused(&Fixture { describe, ..Fixture::default() }.component()).await;
    assert!(matches!(error, LoadError::DescribeTimeout { .. }), "{error}");
}

#[tokio::test]
async fn no_task_and_a_task_twice() {
    let error = refused(&Fixture { tasks: &[], ..Fixture::default() }.component()).await;
    assert!(matches!(error, LoadError::NoTasks { .. }), "{error}");
    let twice = [("same", false, None), ("same", false, None)];
    let error = refused(&Fixture { tasks: &twice, ..Fixture::default() }.component()).await;
    assert!(matches!(&error, LoadError::TaskTwice { task, .. } if task == "same"), "{error}");
}

#[tokio::test]
async fn two_components_with_one_task() {
    let folder = tempfile::tempdir().unwrap();
    let first = load(&Fixture::default().write(folder.path())).await.unwrap();
    let rude = Fixture { name: "rude", tasks: &[("other", false, None), ("echo", false, None)], ..Fixture::default() };
    let second = load(&rude.write(folder.path())).await.unwrap();
    let joined =
        WasmHandler::new(vec![first, second], RunLimits::default(), &Overrides::default(), Arc::new(Lines::default()));
    let error = joined.err().unwrap();
    let text = error.to_string();
    for part in ["echo.wasm", "rude.wasm", "\"echo\""] {
        assert!(text.contains(part), "{text}");
    }
}
