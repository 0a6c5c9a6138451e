//! Backends that can't be used: each gives one clear line and an exit code.

use std::process::Command;

use crate::harness::{Env, guest, is_root, skip};

/// A user who is not root.
const NOBODY: u32 = 65534;

#[test]
fn a_bad_url() {
    let env = Env::new();
    env.run(["call", "fib", "--backend", "oracle:x"]).refused(20, &["oracle:", "sqlite:PATH"]);
    env.run(["call", "fib", "--backend", "state.db"]).refused(20, &["no scheme"]);
    env.run(["call", "fib", "--backend", "memory:"]).refused(20, &["memory:", "one process"]);
    let guest = guest();
    env.run(["run", guest.to_str().expect("UTF-8"), "--backend", "redis://127.0.0.1:1"])
        .refused(21, &["redis://127.0.0.1:1"]);
}

#[test]
fn the_environment_names_a_backend_and_the_flag_wins() {
    let env = Env::new();
    let mut command = env.command(["read", "fib"]);
    command.env("BRRR_BACKEND", "oracle:x");
    crate::harness::Running::start(command).end().refused(20, &["oracle:"]);
    let mut command = env.command(["schedule", "fib", "--backend", "sqlite:other.db"]);
    command.env("BRRR_BACKEND", "oracle:x");
    assert_eq!(crate::harness::Running::start(command).end().code, Some(0));
    assert!(env.path("other.db").exists());
}

#[test]
fn a_file_that_is_no_database() {
    let env = Env::new();
    env.write("notes.txt", "Dear diary, ".repeat(100));
    env.run(["call", "fib", "--backend", "sqlite:notes.txt"]).refused(20, &["notes.txt", "not a SQLite database"]);
}

#[test]
fn a_folder_instead_of_a_file() {
    let env = Env::new();
    std::fs::create_dir(env.path("folder")).expect("a folder");
    let ended = env.run(["call", "fib", "--backend", "sqlite:folder"]);
    assert!((20..30).contains(&ended.code.unwrap_or_default()), "{ended:#?}");
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("folder"), "{ended:#?}");
}

#[test]
fn a_newer_schema() {
    let env = Env::new();
    drop(env.backend());
    let db = rusqlite::Connection::open(env.path(".brrr/state.db")).expect("the database");
    db.pragma_update(None, "user_version", 1000).expect("a version");
    drop(db);
    env.run(["call", "fib"]).refused(20, &["state.db", "newer"]);
}

#[test]
fn a_read_only_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut env = Env::new();
    drop(env.backend());
    let mode = |path: &str, mode| {
        std::fs::set_permissions(env.path(path), std::fs::Permissions::from_mode(mode)).expect("chmod");
    };
    mode(".brrr/state.db", 0o444);
    mode(".brrr", 0o555);
    if is_root() {
        // Root may write to read-only files, so the commands run as another user.
        env.become_user(NOBODY);
    }
    env.run(["call", "fib"]).refused(20, &["state.db", "may not write"]);
    env.run(["schedule", "fib"]).refused(20, &["state.db"]);
    let _ = std::fs::set_permissions(env.path(".brrr"), std::fs::Permissions::from_mode(0o755));
}

/// A file system of a few hundred kilobytes. It is unmounted on drop.
struct TinyDisk<'a>(&'a Env);

impl TinyDisk<'_> {
    fn mount(env: &Env) -> Option<TinyDisk<'_>> {
        std::fs::create_dir(env.path("tiny")).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"])
            .arg(env.path("tiny"))
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(TinyDisk(env))
    }
}

impl Drop for TinyDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path("tiny")).status();
    }
}

#[test]
fn a_full_disk() {
    let env = Env::new();
    let Some(_disk) = TinyDisk::mount(&env) else { return skip("a full disk: may not mount a tmpfs here") };
    let backend = "sqlite:tiny/state.db";
    env.run(["schedule", "noop", "--backend", backend]).ok();
    let big = env.write("big", vec![b'x'; 1 << 20]);
    let big = format!("@{}", big.display());
    env.run(["schedule", "noop", &big, "--codec", "raw", "--backend", backend]).refused(21, &["no room left"]);
    // The job that was accepted before is still there.
    assert_eq!(env.run(["read", "noop", "--backend", backend]).code, Some(40));
}

#[test]
fn a_disk_that_fills_up_stops_the_worker() {
    let env = Env::new();
    let Some(_disk) = TinyDisk::mount(&env) else { return skip("a full disk: may not mount a tmpfs here") };
    let backend = "sqlite:tiny/state.db";
    let worker = env.worker(&["--backend", backend]);
    env.run(["schedule", "big_result", "{\"bytes\": 1000000}", "--backend", backend]).ok();
    let ended = worker.end();
    assert_eq!(ended.code, Some(21), "{ended:#?}");
    assert!(ended.stderr.lines().any(|l| l.starts_with("error: ") && l.contains("no room left")), "{ended:#?}");
}

/// Commands that only read create neither a folder nor a file. They say that there is nothing yet.
#[test]
fn reading_commands_create_nothing() {
    let env = Env::new();
    let looks: [&[&str]; 12] = [
        &["jobs"],
        &["job", "x"],
        &["read", "fib"],
        &["dlq", "list"],
        &["dlq", "show", "x"],
        &["doctor"],
        &["doctor", "--fix"],
        &["events"],
        &["gc", "--older-than", "1d"],
        &["forget", "fib"],
        &["cancel", "x"],
        &["retry", "x"],
    ];
    for args in looks {
        env.run(args).refused(22, &[".brrr/state.db", "there is no such file yet", "schedule"]);
    }
    env.run(["config"]).ok();
    let left = std::fs::read_dir(env.path(".")).expect("the folder").count();
    assert_eq!(left, 0, "nothing was made");
    env.run(["schedule", "fib"]).ok();
    assert!(env.run(["jobs"]).ok().contains("fib"));
}

/// The database and the event files hold what users pass to their calls, so other users may not read them.
#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut env = Env::new();
    let worker = env.worker(&["--events", "events.jsonl"]);
    env.run(["call", "fib", "{\"n\": 3}"]).ok();
    let mode = |name: &str| {
        let found = std::fs::metadata(env.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        found.permissions().mode() & 0o777
    };
    for (name, expected) in [
        (".brrr", 0o700),
        (".brrr/state.db", 0o600),
        (".brrr/state.db-wal", 0o600),
        (".brrr/state.db-shm", 0o600),
        ("events.jsonl", 0o600),
    ] {
        assert_eq!(mode(name), expected, "{name}");
    }
    if is_root() {
        env.become_user(NOBODY);
        let others = env.run(["jobs"]);
        assert!(others.code != Some(0) && !others.stdout.contains("fib"), "{others:#?}");
    } else {
        skip("only job_id can look as somebody else");
    }
    worker.stop().ok();
}
