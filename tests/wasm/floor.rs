//! The minimal cost of a run. `cargo test --release --test wasm floor -- --ignored --nocapture`

use std::path::Path;
use std::time::{Duration, Instant};

use brrr_protocol::ports::Ended;
use brrr_worker::wasm::RunLimits;

use crate::fixture::Fixture;
use crate::rig::{Rig, load};

/// The median time of a run.
async fn median(rig: &Rig, task: &str, payload: &[u8], runs: usize) -> Duration {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        let ended = rig.run(task, payload).await;
        times.push(start.elapsed());
        assert!(!matches!(&ended, Ended::Failed { .. }), "{ended:?}");
    }
    times.sort();
    times[runs / 2]
}

#[tokio::test]
#[ignore = "measures"]
async fn floor() {
    let echo = Rig::new(&Fixture::default(), RunLimits::default()).await;
    println!("echo: {:?}", median(&echo, "echo", b"x", 20_000).await);
    let parent = Fixture { name: "parent", tasks: &[("parent", false, None)], ..Fixture::default() };
    let parent = Rig::new(&parent, RunLimits::default()).await;
    println!("suspended at a poll: {:?}", median(&parent, "parent", &[1, 255, 0], 20_000).await);
    let tasks = [("system", false, None)];
    let system = Fixture { name: "system", world: "system", tasks: &tasks, ..Fixture::default() };
    let system = Rig::new(&system, RunLimits::default()).await;
    println!("with WASI, unused: {:?}", median(&system, "system", b" ", 20_000).await);
    println!("with WASI, clocks and random: {:?}", median(&system, "system", b"t", 20_000).await);

    for (guest, task, payload) in [
        ("rust/rust-hello.wasm", "hello", &br#"[{"greetee":"John"}]"#[..]),
        ("c/example.wasm", "hello", br#"[{"greetee":"John"}]"#),
        ("c/conformance.wasm", "noop", br#"[{}]"#),
        ("cpp/example.wasm", "hello", br#"[{"greetee":"John"}]"#),
        ("typescript/demo.wasm", "fib", br#"[{"n":1}]"#),
        ("python/demo.wasm", "hello", br#"[{"greetee":"John"}]"#),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests").join(guest);
        let Ok(guest) = load(&path).await else { continue };
        let rig = Rig::of(vec![guest], RunLimits::default());
        println!("{}: {:?}", path.display(), median(&rig, task, payload, 2_000).await);
    }
}
