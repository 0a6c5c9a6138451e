//! A guest that loops, grows, recurses or traps harms only its own call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use brrr_backends::memory::Memory;
use brrr_protocol::Result;
use brrr_protocol::model::{CallHash, Failure, FailureKind, JobId, Outcome};
use brrr_protocol::multi_step::MultiStepBackend;
use brrr_protocol::ports::{BackendParts, Counters, Ended, Queue, Store};
use brrr_worker::wasm::{Output, OutputLine, RunLimits};

use crate::fixture::Fixture;
use crate::rig::{Rig, Run, load};

async fn rude() -> Rig {
    let limits = RunLimits { wall: Duration::from_millis(200), ..RunLimits::default() };
    let tasks = [("rude", false, None), ("hasty", false, Some(20))];
    Rig::new(&Fixture { name: "rude", tasks: &tasks, ..Fixture::default() }, limits).await
}

#[tokio::test]
async fn an_endless_loop_is_stopped_in_time() {
    let rig = rude().await;
    for (task, limit) in [("rude", 200), ("hasty", 20)] {
        let start = Instant::now();
        let failure = rig.failure(task, b"l").await;
        let took = start.elapsed();
        assert_eq!(failure.kind, FailureKind::Timeout);
        assert!(failure.message.contains(&format!("its time limit of {limit}ms")), "{failure}");
        let limit = Duration::from_millis(limit);
        assert!(took >= limit && took < limit + Duration::from_millis(500), "{took:?}");
    }
}

#[tokio::test]
async fn a_loop_leaves_its_thread_to_others_and_can_be_dropped() {
    // There is one thread. While a guest loops on it, a timer and other runs must still make progress.
    let limits = RunLimits { wall: Duration::from_mins(10), ..RunLimits::default() };
    let rig = Rig::new(&Fixture { name: "rude", tasks: &[("rude", false, None)], ..Fixture::default() }, limits).await;
    let start = Instant::now();
    tokio::select! {
        ended = rig.run("rude", b"l") => panic!("{ended:?}"),
        () = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(rig.value("rude", b" ").await, " ");
        } => {}
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // The slot is free again: these are more runs than there are slots.
    for _ in 0..20 {
        assert_eq!(rig.value("rude", b" ").await, " ");
    }
}

#[tokio::test]
async fn memory_is_limited() {
    let failure = rude().await.failure("rude", b"m").await;
    assert_eq!(failure.kind, FailureKind::Limit);
    assert!(failure.message.starts_with("it needs more than the memory limit of 256 MiB"), "{failure}");

    // A guest that can't even start within the limit.
    let limits = RunLimits { memory: 64 << 10, ..RunLimits::default() };
    let failure = Rig::new(&Fixture::default(), limits).await.failure("echo", b"").await;
    assert_eq!(failure.kind, FailureKind::Limit);
    assert!(failure.message.contains("64 KiB"), "{failure}");
}

#[tokio::test]
async fn tables_are_limited() {
    // Tables count as memory. Requests beyond the 50,000 elements of a table count too, although they fail.
    for memory in [256 << 10, RunLimits::default().memory] {
        let limits = RunLimits { memory, ..RunLimits::default() };
        let fixture = Fixture { name: "rude", tasks: &[("rude", false, None)], ..Fixture::default() };
        let failure = Rig::new(&fixture, limits).await.failure("rude", b"t").await;
        assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
        assert!(failure.message.contains("the memory limit"), "{failure}");
    }
}

#[tokio::test]
async fn results_are_limited() {
    let failure = rude().await.failure("rude", b"b").await;
    assert_eq!(failure.kind, FailureKind::Limit);
    assert!(failure.message.contains("more than 16 MiB"), "{failure}");
}

#[tokio::test]
async fn traps_say_what_happened() {
    let rig = rude().await;
    for (how, text) in [
        (b"u", "it gave up"),
        (b"r", "its stack of 1 MiB overflowed"),
        (b"r", "at fixture!recurse\n"),
        (b"s", "its stack overflowed, as it used memory just below address 0"),
        (b"o", "it trapped: out of bounds memory access"),
        (b"z", "integer divide by zero"),
        (b"x", "out of bounds"),
    ] {
        let failure = rig.failure("rude", how).await;
        assert_eq!(failure.kind, FailureKind::Trap, "{failure}");
        assert!(failure.message.contains(text), "{failure}");
        assert_eq!(failure.task, "rude");
        assert_eq!(failure.chain.len(), 1);
        assert_eq!(rig.value("rude", b" ").await, " ", "the next call is as if nothing had been");
    }
}

#[tokio::test]
async fn errors_are_failures() {
    let rig = rude().await;
    for how in [b"e", b"p"] {
        let failure = rig.failure("rude", how).await;
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Error, "no luck"));
        assert_eq!(failure.chain, ["rude: error: no luck"]);
        assert_eq!(failure.details, None);
    }
}

#[tokio::test]
async fn details_of_an_error_are_kept_up_to_a_limit() {
    let rig = rude().await;
    let failure = rig.failure("rude", b"d").await;
    assert_eq!((failure.message.as_str(), failure.details.as_deref()), ("no luck", Some(&b"no luck"[..])));
    let failure = rig.failure("rude", b"k").await;
    assert_eq!(failure.details.map(|details| details.len()), Some(64 << 10), "exactly the limit");
    // Half of them would be of no use. The author finds the reason in the message.
    let failure = rig.failure("rude", b"D").await;
    assert_eq!((&failure.kind, &failure.details), (&FailureKind::Error, &None));
    let mut lines = failure.message.lines();
    assert_eq!(lines.next(), Some("no luck"));
    let note = lines.next().unwrap_or_default();
    assert!(note.contains("details of 65537 bytes were left out") && note.contains("65536"), "{failure}");
}

#[tokio::test]
async fn fields_are_shown_behind_their_message() {
    let rig = rude().await;
    rig.value("rude", b"i").await;
    let lines = rig.lines.take();
    let [line] = &lines[..] else { panic!("the line break in a name made a line: {lines:?}") };
    let rest = line.strip_prefix(r#"log no luck a=1 b="two words" c="" d"#).unwrap_or_else(|| panic!("{line:?}"));
    assert!(rest.ends_with("e=4"), "{line:?}");
}

/// Names that begin with `brrr.` are the host's own. It has one task of such a name.
#[tokio::test]
async fn calls_of_the_hosts_own_names_are_refused() {
    let fixture = Fixture { name: "caller", tasks: &[("caller", false, None)], ..Fixture::default() };
    let rig = Rig::new(&fixture, RunLimits::default()).await;
    for name in ["brrr.x", "brrr.", "brrr.promises"] {
        let run = Run { task: "caller", payload: name.as_bytes(), call: "call", before: None, outcomes: Vec::new() };
        let (ended, _) = rig.run_after(run).await.unwrap();
        let Ended::Failed { failure, retryable } = ended else { panic!("{name}: {ended:?}") };
        assert_eq!((&failure.kind, retryable), (&FailureKind::Error, false), "{failure}");
        for part in [name, "the host's own", "brrr.promise"] {
            assert!(failure.message.contains(part), "{failure}");
        }
    }
    for name in ["brrr", "brrr.promise", "other.brrr."] {
        assert_eq!(rig.run("caller", name.as_bytes()).await, Ended::Suspended, "{name}");
    }
}

#[tokio::test]
async fn a_child_gives_its_details_to_the_parent_that_does_not_catch_it() {
    let fixture = Fixture { name: "caller", tasks: &[("caller", false, None)], ..Fixture::default() };
    let rig = Rig::new(&fixture, RunLimits::default()).await;
    let run = |before, outcomes| Run { task: "caller", payload: b"child", call: "call", before, outcomes };
    let (_, replay) = rig.run_after(run(None, vec![])).await.unwrap();
    let before = replay.record(replay.wait().unwrap(), String::new());
    let details = Some(std::sync::Arc::<[u8]>::from(&b"{}"[..]));
    let child = Failure { details: details.clone(), ..Failure::new(FailureKind::Error, "child", "no luck") };
    let (ended, _) = rig.run_after(run(Some(before), vec![Some(Err(child))])).await.unwrap();
    let Ended::Failed { failure, .. } = ended else { panic!("{ended:?}") };
    assert_eq!((failure.task.as_str(), failure.message.as_str()), ("caller", "no luck"));
    assert_eq!(failure.details, details);
}

#[tokio::test]
async fn a_flood_of_output_is_cut_off() {
    let rig = rude().await;
    rig.value("rude", b"f").await;
    let lines = rig.lines.take();
    let bytes: usize = lines.iter().map(|line| line.len() - 4).sum();
    assert!(bytes <= (1 << 20) + 100, "{bytes}");
    assert!(lines.last().unwrap().contains("cut off here, at 1024 KiB"), "{:?}", lines.last());
}

/// An output that panics, as an example of a mistake in the host.
struct Broken;

impl Output for Broken {
    fn write(&self, line: OutputLine<'_>) {
        panic!("no room for {:?}", line.text);
    }
}

#[tokio::test]
async fn a_panic_of_the_host_costs_one_call_only() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = Fixture { name: "parent", tasks: &[("parent", false, None)], ..Fixture::default() };
    let guest = load(&fixture.write(folder.path())).await.unwrap();
    let rig = Rig::with_output(vec![guest], Arc::new(Broken));
    for _ in 0..20 {
        let failure = rig.failure("parent", &[0, 255, 0]).await;
        assert!(failure.message.contains("panicked while running it"), "{failure}");
        assert!(failure.message.contains("no room for \"before\""), "{failure}");
    }
}

#[tokio::test]
async fn resources_of_the_host_are_limited() {
    let tasks = [("system", false, None)];
    let fixture = Fixture { name: "system", world: "system", tasks: &tasks, ..Fixture::default() };
    let rig = Rig::new(&fixture, RunLimits::default()).await;
    let failure = rig.failure("system", b"m").await;
    assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
    assert!(failure.message.contains("more than 10000 things of its host"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_runs_than_slots_wait_for_their_turn() {
    let rig = Arc::new(rude().await);
    let runs: Vec<_> = (0..100)
        .map(|n: u32| {
            let rig = rig.clone();
            tokio::spawn(async move { rig.run("rude", if n.is_multiple_of(10) { b"l" } else { b" " }).await })
        })
        .collect();
    let mut completed = 0;
    for run in runs {
        completed += u32::from(matches!(run.await.unwrap(), brrr_protocol::ports::Ended::Completed(_)));
    }
    assert_eq!(completed, 90);
}

/// A backend that never answers questions about outcomes, or panics at them.
struct Mute {
    inner: Memory,
    panics: bool,
}

#[async_trait]
impl BackendParts for Mute {
    fn name(&self) -> String {
        "mute".to_owned()
    }

    fn store(&self) -> &dyn Store {
        self.inner.store()
    }

    fn queue(&self) -> &dyn Queue {
        self.inner.queue()
    }

    fn counters(&self) -> &dyn Counters {
        self.inner.counters()
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.inner.changed(version, at_most).await
    }
}

#[async_trait]
impl MultiStepBackend for Mute {
    async fn outcomes_from_parts(&self, _: &JobId, _: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        assert!(!self.panics, "on purpose");
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_run_whose_time_ends_while_the_backend_is_read_has_timed_out() {
    let limits = RunLimits { wall: Duration::from_millis(100), ..RunLimits::default() };
    let fixture = Fixture { name: "parent", tasks: &[("parent", false, None)], ..Fixture::default() };
    let mut rig = Rig::new(&fixture, limits).await;
    rig.backend = Arc::new(Mute { inner: Memory::new(), panics: false });
    let run = Run { task: "parent", payload: &[1, 255, 0], call: "call", before: None, outcomes: Vec::new() };
    let (ended, replay) = rig.run_after(run).await.unwrap();
    let Ended::Failed { failure, retryable } = ended else { panic!("{ended:?}") };
    assert_eq!((failure.kind, retryable), (FailureKind::Timeout, true));
    // The next attempt knows which calls this run asked for.
    assert_eq!(replay.next_attempt("digest".into(), 0, String::new()).attempt, 2);

    // A panic of the backend says nothing about the call, so it is an error of the host.
    rig.backend = Arc::new(Mute { inner: Memory::new(), panics: true });
    let run = Run { task: "parent", payload: &[1, 255, 0], call: "call", before: None, outcomes: Vec::new() };
    let error = rig.run_after(run).await.err().unwrap();
    assert!(error.to_string().contains("panicked"), "{error}");
}
