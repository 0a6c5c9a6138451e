//! The database file: files that are wrong, old, foreign, full or forbidden, and several handles on one file.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use brrr_backends::{Sqlite, open};
use brrr_protocol::model::{JobId, Topic};
use brrr_protocol::ports::{Backend, BackendParts as _, Deferral, Key, Kind, NewJob, Outgoing, Swap, Work};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Wait;
use brrr_protocol::wire::Message;
use brrr_protocol::{Error, ErrorKind};
use bytes::Bytes;
use rusqlite::Connection;
use support::until;
use tempfile::tempdir;

fn refused(path: &Path) -> Error {
    let error = Sqlite::open(path).err().expect("refused");
    assert!(error.to_string().contains(&path.display().to_string()), "names the file: {error}");
    error
}

fn value(name: &str) -> Key {
    Key::new(name, Kind::Value)
}

#[tokio::test]
async fn a_missing_folder_is_created() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a/b/state.db");
    Sqlite::open(&path).unwrap();
    assert!(path.exists());
    let url = format!("sqlite:{}?lease=250ms", path.display());
    let backend = open(&url).await.unwrap();
    assert_eq!(backend.queue().lease(), Duration::from_millis(250));
    assert_eq!(backend.name(), format!("sqlite:{}", path.display()));
}

/// A process that opens a new file while another process is creating it must not report a file of another program.
#[test]
fn a_new_file_may_be_opened_by_several_at_once() {
    let folder = tempdir().unwrap();
    for n in 0..100 {
        let path = folder.path().join(format!("{n}.db"));
        let together = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    together.wait();
                    Sqlite::open(&path).unwrap();
                });
            }
        });
    }
}

#[tokio::test]
async fn a_reopened_file_has_everything_that_was_written() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    {
        let first = Sqlite::open(&path).unwrap();
        first.put_all(&["a", "b"]).await;
        let message = Outgoing { topic: "t".into(), body: "x".into(), delay: Duration::ZERO };
        first.queue().send_many(&[message]).await.unwrap();
        first.counters().incr("n", 3).await.unwrap();
    }
    let again = Sqlite::open(&path).unwrap();
    assert_eq!(again.store().get(&value("b")).await.unwrap(), Some(Bytes::from_static(b"b")));
    assert_eq!(again.queue().depth(&"t".into()).await.unwrap(), 1);
    assert_eq!(again.counters().incr("n", 1).await.unwrap(), 4);
}

/// A transaction reads all records of an id at once, so it must know the name of each kind.
#[tokio::test]
async fn a_transaction_reads_each_kind_of_record() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (job_id, content) = (JobId::from("r"), Bytes::from_static(b"x"));
    let of_calls = [Kind::Call, Kind::Value, Kind::Unnotified, Kind::LatestJob];
    let others = [Kind::Run(job_id.clone()), Kind::Failure(job_id), Kind::Tasks, Kind::Schedules, Kind::DeadLetter];
    let of_code = [Kind::Deployments, Kind::Manifest, Kind::Chunk, Kind::Upload];
    let kinds = of_calls.into_iter().chain(others).chain(of_code);
    let keys: Vec<Key> = kinds.map(|kind| Key::new(&kind.name(), kind.clone())).collect();
    let first = Sqlite::open(&path).unwrap();
    for key in &keys {
        first.store().put(key, content.clone()).await.unwrap();
    }
    drop(first);
    let again = Sqlite::open(&path).unwrap();
    for key in &keys {
        assert_eq!(again.store().swap(key, Some(&content), None).await.unwrap(), Swap::Done, "{key:?}");
    }
}

trait PutAll {
    async fn put_all(&self, names: &[&str]);
}

impl PutAll for Sqlite {
    async fn put_all(&self, names: &[&str]) {
        for name in names {
            self.store().put(&value(name), Bytes::copy_from_slice(name.as_bytes())).await.unwrap();
        }
    }
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let text = "This is a letter to my aunt. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(error.to_string().contains("not a SQLite database"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE song (title TEXT)").unwrap();
    let error = refused(&path);
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(error.to_string().contains("another program"), "{error}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(Sqlite::open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let error = refused(&path);
    assert_eq!(error.kind, ErrorKind::NewerSchema);
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_reported_as_damaged() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    {
        let backend = Sqlite::open(&path).unwrap();
        for n in 0..200 {
            backend.store().put(&value(&n.to_string()), vec![1; 1000].into()).await.unwrap();
        }
    }
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let error = match Sqlite::open(&path) {
        Err(error) => error,
        Ok(backend) => backend.store().get(&value("7")).await.unwrap_err(),
    };
    assert_eq!(error.kind, ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_folder_or_a_file_in_the_way_is_named() {
    let folder = tempdir().unwrap();
    assert_eq!(refused(folder.path()).kind, ErrorKind::Config);
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = refused(&file.join("state.db"));
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_loses_nothing() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let backend = Sqlite::options().max_pages(64).open(&path).unwrap();
    backend.put_all(&["a"]).await;
    let mut stored = Vec::new();
    let error = loop {
        let name = format!("big {}", stored.len());
        match backend.store().put(&value(&name), vec![1; 20_000].into()).await {
            Ok(()) => stored.push(name),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "64 pages have taken more than they hold");
    };
    assert_eq!(error.kind, ErrorKind::Full);
    assert!(error.to_string().contains("no room left"), "{error}");
    // A value that is too big does not block small values, in the same transaction or after it.
    let backend = Arc::new(backend);
    let mut runs = Vec::new();
    for n in 0..100 {
        let backend = backend.clone();
        runs.push(tokio::spawn(async move {
            let size = if n % 5 == 0 { 100_000 } else { 3 };
            let put = backend.store().put(&value(&format!("n{n}")), vec![1; size].into()).await;
            (size, put.map_err(|e| e.kind))
        }));
    }
    for run in runs {
        let (size, result) = run.await.unwrap();
        assert_eq!(result, if size == 3 { Ok(()) } else { Err(ErrorKind::Full) });
    }
    for name in stored {
        assert!(backend.store().get(&value(&name)).await.unwrap().is_some());
    }
}

/// The part of the next test that runs as another user. Prints the result of opening the file.
#[test]
fn child_opens() {
    let Ok(path) = std::env::var("BRRR_OPEN") else { return };
    match Sqlite::open(&path) {
        Ok(_) => println!("<opened>"),
        Err(error) => println!("<{:?}> {error}", error.kind),
    }
}

/// Opens the file as a user that permissions apply to. Returns `None` if this user cannot become another user.
fn open_as_nobody(path: &Path) -> Option<String> {
    let program = std::env::current_exe().unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let output = command.args(["--exact", "child_opens", "--nocapture"]).env("BRRR_OPEN", path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.contains('<') {
        eprintln!("skipped: can't run as another user: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(text)
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_written_is_called_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let allow = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let folder = tempdir().unwrap();
    allow(folder.path(), 0o755);
    let path = folder.path().join("state.db");

    // The file cannot be created.
    allow(folder.path(), 0o555);
    let Some(text) = open_as_nobody(&path) else { return };
    assert!(text.contains("<ReadOnly>"), "{text}");
    let deeper = folder.path().join("new/state.db");
    assert!(open_as_nobody(&deeper).unwrap().contains("<ReadOnly>"));

    // The file exists and cannot be written.
    allow(folder.path(), 0o777);
    drop(Sqlite::open(&path).unwrap());
    allow(&path, 0o444);
    let text = open_as_nobody(&path).unwrap();
    assert!(text.contains("<ReadOnly>") && text.contains("may not write"), "{text}");

    // The file can be written, but its folder cannot, so SQLite cannot create its log there.
    allow(&path, 0o666);
    allow(folder.path(), 0o555);
    let text = open_as_nobody(&path).unwrap();
    assert!(text.contains("<ReadOnly>") && text.contains("folder"), "{text}");

    // Both can be written.
    allow(folder.path(), 0o777);
    assert!(open_as_nobody(&path).unwrap().contains("<opened>"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_see_each_others_writes_at_once() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let handles = [Sqlite::open(&path).unwrap(), Sqlite::open(&path).unwrap()];
    let key = value("n");
    let mut before: Option<Bytes> = None;
    for n in 0..100 {
        let new = Bytes::from(n.to_string());
        let writer = &handles[n % 2];
        assert_eq!(writer.store().swap(&key, before.as_ref(), Some(new.clone())).await.unwrap(), Swap::Done);
        let reader = &handles[(n + 1) % 2];
        let outcome = reader.outcomes(&"r".into(), &["n".into()]).await.unwrap();
        assert_eq!(outcome, [Some(Ok(new.clone()))]);
        assert_eq!(reader.store().get(&key).await.unwrap(), Some(new.clone()));
        assert_eq!(writer.counters().incr("count", 1).await.unwrap(), n as u64 + 1);
        before = Some(new);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_and_a_change_reach_another_handle() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let (here, there) = (Sqlite::open(&path).unwrap(), Arc::new(Sqlite::open(&path).unwrap()));
    let waiter = there.clone();
    let receiver =
        tokio::spawn(async move { waiter.queue().receive(&"t".into(), 1, Duration::from_secs(60)).await.unwrap() });
    let version = there.changed(0, Duration::ZERO).await;
    let waiter = there.clone();
    let watcher = tokio::spawn(async move { waiter.changed(version, Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let message = Outgoing { topic: "t".into(), body: "x".into(), delay: Duration::ZERO };
    here.queue().send_many(&[message]).await.unwrap();
    let limit = Duration::from_secs(30);
    assert_eq!(tokio::time::timeout(limit, receiver).await.unwrap().unwrap().len(), 1);
    assert_ne!(tokio::time::timeout(limit, watcher).await.unwrap().unwrap(), version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_of_another_process_is_waited_for() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let backend = Arc::new(Sqlite::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = backend.clone();
    let write = tokio::spawn(async move { writing.store().put(&value("a"), Bytes::new()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!write.is_finished());
    // Opening the file needs no lock.
    drop(Sqlite::open(&path).unwrap());
    // Readers do not wait.
    assert_eq!(backend.store().get(&value("a")).await.unwrap(), None);
    other.execute_batch("COMMIT").unwrap();
    write.await.unwrap().unwrap();
}

/// Checks SQLite's query plan for each statement that lists jobs: each statement uses an index, and none sorts.
#[tokio::test]
async fn jobs_are_listed_by_an_index() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    drop(Sqlite::open(&path).unwrap());
    let conn = Connection::open(&path).unwrap();
    for sql in [
        "SELECT n, id FROM job JOIN name USING (n) WHERE n > 5 AND 'job' = 'job' ORDER BY n LIMIT 9",
        "SELECT position, id FROM job JOIN name USING (n) WHERE position < 5 ORDER BY position DESC LIMIT 9",
    ] {
        let mut explain = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let lines = explain.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let plan = lines.collect::<Result<Vec<_>, _>>().unwrap();
        assert!(plan.iter().all(|line| line.starts_with("SEARCH ")), "{sql}: {plan:?}");
    }
}

/// A client repeats a `schedule`, and the record of its job cannot be read. The repetition fails after it has written the call's
/// description. That write is rolled back. The earlier description is still there, although it was never read.
#[tokio::test]
async fn a_transition_that_fails_hides_nothing() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let job = new_job("r", "c");
    {
        let first = Sqlite::open(&path).unwrap();
        first.schedule(&job, 1).await.unwrap();
        first.store().put(&Key::job(&"r".into()), Bytes::from_static(b"damage")).await.unwrap();
    }
    let backend = Sqlite::open(&path).unwrap();
    let error = backend.schedule(&job, 2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed, "{error}");
    // The records that the writing connection has in its cache.
    let found = backend.store().swap(&Key::call(&"c".into()), None, None).await.unwrap();
    assert!(matches!(found, Swap::Mismatch(Some(_))), "{found:?}");
    let message = Message { job_id: "other".into(), call: "c".into() };
    let work = Work { message, topic: "t".into(), receipt: None, ends_job: false, now: 1_000_000, log: None };
    assert!(backend.load(&work).await.unwrap().call.is_some());
}

/// Another program locks the file for longer than a lease. The workers that hold messages cannot renew their leases, and no other
/// worker takes the messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_outlive_a_lock_of_another_process() {
    const LEASE: Duration = Duration::from_millis(400);
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let open = || Arc::new(Sqlite::options().lease(LEASE).open(&path).unwrap());
    let (mine, other) = (open(), open());
    let topic = Topic::from("t");
    let messages = (0..4).map(|n| Outgoing { topic: topic.clone(), body: n.to_string(), delay: Duration::ZERO });
    mine.queue().send_many(&messages.collect::<Vec<_>>()).await.unwrap();
    let held = mine.queue().receive(&topic, 4, Duration::ZERO).await.unwrap();
    assert_eq!(held.len(), 4);
    let receipts: Vec<_> = held.into_iter().map(|delivery| delivery.receipt).collect();
    // Idle workers, in this process and in another process.
    let idle = [mine.clone(), other].map(|backend| {
        let topic = topic.clone();
        tokio::spawn(async move { backend.queue().receive(&topic, 4, 8 * LEASE).await.unwrap().len() })
    });
    let renewing = tokio::spawn(async move {
        for _ in 0..3 * 10 {
            tokio::time::sleep(LEASE / 3).await;
            assert_eq!(mine.queue().extend(&receipts).await.unwrap(), [true; 4]);
        }
        for receipt in &receipts {
            mine.queue().ack(receipt).await.unwrap();
        }
    });
    let lock = tokio::task::spawn_blocking(move || {
        let locker = Connection::open(&path).unwrap();
        locker.busy_timeout(Duration::from_secs(10)).unwrap();
        for _ in 0..2 {
            locker.execute_batch("BEGIN IMMEDIATE").unwrap();
            std::thread::sleep(3 * LEASE);
            locker.execute_batch("COMMIT").unwrap();
            std::thread::sleep(LEASE / 2);
        }
    });
    lock.await.unwrap();
    renewing.await.unwrap();
    for idle in idle {
        assert_eq!(idle.await.unwrap(), 0, "messages that somebody held were delivered again");
    }
}

#[tokio::test]
async fn a_file_becomes_smaller_when_its_records_are_gone() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let size = || std::fs::metadata(&path).unwrap().len();
    let keys: Vec<Key> = (0..2_000).map(|n| value(&n.to_string())).collect();
    let backend = Sqlite::open(&path).unwrap();
    let records: Vec<_> = keys.iter().map(|key| (key.clone(), Bytes::from(vec![7; 4_000]))).collect();
    backend.store().put_many(&records).await.unwrap();
    drop(backend);
    let full = size();
    let backend = Sqlite::open(&path).unwrap();
    backend.store().remove_many(&keys).await.unwrap();
    backend.store().compact().await.unwrap();
    drop(backend);
    assert!(10 * size() < full, "{full} bytes became {}", size());
    let backend = Sqlite::open(&path).unwrap();
    assert_eq!(backend.store().get(&keys[0]).await.unwrap(), None);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempdir().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    let wide = |name: &str, mode| {
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let beside = |name: &str| [name.to_owned(), format!("{name}-wal"), format!("{name}-shm")];
    for name in ["made/for/it.db", ".brrr/state.db"] {
        let backend = Sqlite::open(folder.path().join(name)).unwrap();
        backend.store().put(&value("a"), Bytes::new()).await.unwrap();
        assert!(beside(name).iter().all(|file| mode(file) == 0o600), "{:?}", beside(name).map(|file| mode(&file)));
    }
    assert_eq!(["made", "made/for", ".brrr"].map(mode), [0o700; 3]);
    // A file in a `.brrr` folder belongs to us, and is made private. Elsewhere its owner may want other users to read it.
    for name in ["made/for/it.db", ".brrr/state.db"] {
        wide(name, 0o664);
    }
    wide(".brrr", 0o755);
    wide("made", 0o755);
    for name in ["made/for/it.db", ".brrr/state.db"] {
        drop(Sqlite::open(folder.path().join(name)).unwrap());
    }
    assert_eq!(["made", "made/for/it.db", ".brrr", ".brrr/state.db"].map(mode), [0o755, 0o664, 0o700, 0o600]);
}

#[tokio::test]
async fn a_missing_file_is_an_error_if_none_may_be_created() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a/state.db");
    let error = Sqlite::options().must_exist(true).open(&path).err().expect("refused");
    assert_eq!(error.kind, ErrorKind::NotSetUp, "{error}");
    assert!(!folder.path().join("a").exists());
    drop(Sqlite::open(&path).unwrap());
    Sqlite::options().must_exist(true).open(&path).unwrap();
}

fn new_job(job_id: &str, call: &str) -> NewJob {
    let call = brrr_protocol::model::Call {
        hash: call.into(),
        task: "t".into(),
        payload: Bytes::new(),
        topic: "t".into(),
        options: brrr_protocol::options::Options::default(),
    };
    NewJob::new(job_id.into(), call)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_jobs_are_accepted_together() {
    let folder = tempdir().unwrap();
    let backend = Arc::new(Sqlite::open(folder.path().join("state.db")).unwrap());
    let mut runs = Vec::new();
    for n in 0..100 {
        let backend = backend.clone();
        runs.push(tokio::spawn(async move {
            backend.schedule(&new_job(&format!("r{n}"), &format!("c{n}")), 1).await.unwrap();
        }));
    }
    for run in runs {
        run.await.unwrap();
    }
    let topic = Topic::from("t");
    until("all are queued", || async { (backend.queue().depth(&topic).await.unwrap() == 100).then_some(()) }).await;
    assert_eq!(backend.store().list(&Kind::Job, None, 1000).await.unwrap().ids.len(), 100);
}

/// The bytes that are written to the file's log while this many parents begin to wait for one call, and the call ends.
async fn bytes_of_shared_call(parents: usize) -> u64 {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let backend = Sqlite::open(&path).unwrap();
    // While a reader is active, SQLite cannot overwrite the part of the log that was written after the reader began.
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM name").unwrap();
    let work = |call: &str| {
        let message = Message { job_id: "job".into(), call: call.into() };
        Work { message, topic: "t".into(), receipt: None, ends_job: false, now: 1_000_000, log: None }
    };
    let child = new_job("job", "child").call;
    let run = RunRecord { total: 1, need: 1, sample: vec![child.hash.clone()], ..RunRecord::default() };
    let wait = Wait { calls: vec![child], need: 1, until: 0, fast: false, pace: 0 };
    for n in 0..parents {
        let work = work(&format!("parent {n:057}"));
        let (run_before, run_after) = (None, &run);
        let d = Deferral { work: &work, wait: &wait, run_before, run_after, max_messages: u64::MAX };
        backend.defer(&d).await.unwrap();
    }
    backend.complete(&work("child"), Bytes::new()).await.unwrap();
    assert_eq!(backend.queue().depth(&"t".into()).await.unwrap(), parents as u64 + 1);
    let bytes = std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    eprintln!("{parents} parents: {bytes} bytes");
    bytes
}

#[tokio::test]
async fn twice_the_parents_of_a_call_cost_twice_the_work() {
    let (some, twice) = (bytes_of_shared_call(400).await, bytes_of_shared_call(800).await);
    assert!(twice < some * 9 / 4, "400 parents: {some} bytes, twice as many: {twice} bytes");
}
