//! The cost of a run in each language, with the examples of the documentation: `hello`, which greets and prints, and a
//! replay of `fib` whose two children have values.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::codec::python;
use brrr_protocol::ports::{Backend, Ended, Handler as _, Loaded, Request, Work};
use brrr_protocol::replay::Replay;
use brrr_protocol::wire::Message;
use brrr_worker::topic_worker::now;
use brrr_worker::wasm::{Engine, EngineOptions, Guest, Overrides, RunLimits, WasmHandler};
use serde_json::{Value, json};

use crate::measure::cpu;
use crate::trees::Quiet;

/// Languages, and the paths of their examples in `build/guests`.
const LANGUAGES: [(&str, &str); 7] = [
    ("rust", "rust/rust-hello.wasm"),
    ("c", "c/example.wasm"),
    ("cpp", "cpp/example.wasm"),
    ("javascript", "javascript/example.wasm"),
    ("typescript", "typescript/example.wasm"),
    ("go", "go/example.wasm"),
    ("python", "python/example.wasm"),
];

/// How long each throughput is measured.
const BUSY: Duration = Duration::from_millis(700);

/// The first argument of this program if it runs as one of several busy processes.
pub const BUSY_PROCESS: &str = "busy-process";

/// A guest that can be run without queue and store.
struct Bench {
    handler: WasmHandler,
    backend: Arc<dyn Backend>,
    hello: Call,
    replay: Call,
}

/// A call, and the records that its run starts with.
struct Call {
    task: &'static str,
    payload: Vec<u8>,
    loaded: Loaded,
}

fn path(component: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests").join(component)
}

fn engine(cache: Option<&Path>) -> Arc<Engine> {
    let options = EngineOptions { max_running: 16, cache_dir: cache.map(Path::to_owned) };
    Engine::new(&options).expect("an engine")
}

impl Bench {
    async fn load(component: &Path, cache: Option<&Path>) -> Self {
        let guest = Guest::load(&engine(cache), component, &|_| {}).await.expect("the guest");
        let handler = WasmHandler::new(vec![guest], RunLimits::default(), &Overrides::default(), Arc::new(Quiet));
        let call = |task, kwargs: &Value| Call { task, payload: python::payload(kwargs), loaded: Loaded::default() };
        let mut bench = Self {
            handler: handler.expect("one component"),
            backend: Arc::new(brrr_backends::Memory::new()),
            hello: call("hello", &json!({"greetee": "John"})),
            replay: call("fib", &json!({"n": 5})),
        };
        // The state of a replay: the call waits for two calls, and both have values.
        let (ended, replay) = bench.run(&bench.replay, None).await;
        let Some(wait) = replay.wait() else { panic!("fib of 5 waits for its children: {ended:?}") };
        bench.replay.loaded = Loaded {
            run: Some(replay.record(wait, String::new())),
            sample: vec![Some(Ok("2".into())), Some(Ok("3".into()))],
            ..Loaded::default()
        };
        bench
    }

    async fn run(&self, call: &Call, memory: Option<u64>) -> (Ended, Replay) {
        let message = Message { job_id: "r".into(), call: "c".into() };
        let work = Work { message, topic: "bench".into(), receipt: None, ends_job: false, now: 1, log: None };
        let request = Request {
            task: call.task.into(),
            payload: call.payload.clone().into(),
            call: "c".into(),
            job_id: "r".into(),
            topic: "bench".into(),
            attempt: 1,
            deadline: 0,
            timeout: None,
            memory,
        };
        let replay = Replay::new(self.backend.clone(), &work, &call.loaded, now());
        self.handler.run(request, replay).await.expect("a run")
    }

    /// The median time of a run, in µs.
    async fn median(&self, call: &Call) -> f64 {
        let mut times = Vec::new();
        let begun = Instant::now();
        while times.len() < 100 || begun.elapsed() < BUSY {
            let run = Instant::now();
            let (ended, _) = self.run(call, None).await;
            times.push(run.elapsed());
            assert!(matches!(ended, Ended::Completed(_)), "{ended:?}");
        }
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6
    }

    /// The smallest memory limit with which the replay succeeds, in bytes, to 64 KiB. This is the peak memory of a run.
    async fn peak(&self) -> u64 {
        let page = 64 << 10;
        let (mut no, mut yes) = (0, RunLimits::default().memory / page);
        while no + 1 < yes {
            let middle = no.midpoint(yes);
            match self.run(&self.replay, Some(middle * page)).await.0 {
                Ended::Completed(_) => yes = middle,
                _ => no = middle,
            }
        }
        yes * page
    }

    /// Runs the call for `BUSY`. Returns the number of runs.
    fn busy(&self) -> u64 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (mut runs, begun) = (0, Instant::now());
            while begun.elapsed() < BUSY {
                self.run(&self.hello, None).await;
                runs += 1;
            }
            runs
        })
    }

    /// Runs a second, and µs of CPU time a run, with this many threads.
    fn threads(&self, count: u32) -> (f64, f64) {
        let (begun, before) = (Instant::now(), cpu());
        let runs: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(|| self.busy())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        (runs as f64 / begun.elapsed().as_secs_f64(), (cpu() - before).as_secs_f64() * 1e6 / runs as f64)
    }
}

/// The work of a busy process: it loads the guest from the cache, prints that it is ready, waits for the start, and
/// counts its runs.
pub async fn busy_process(component: &str, cache: &str) {
    let bench = Bench::load(Path::new(component), Some(Path::new(cache))).await;
    bench.run(&bench.hello, None).await;
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a start");
    let before = cpu();
    let runs = tokio::task::block_in_place(|| std::thread::scope(|scope| scope.spawn(|| bench.busy()).join()));
    let runs = runs.expect("no panic");
    println!("{runs} {:.1}", (cpu() - before).as_secs_f64() * 1e6 / runs as f64);
}

/// Runs a second of this many processes with one thread each.
fn processes(component: &Path, cache: &Path, count: usize) -> f64 {
    use std::io::{BufRead as _, BufReader, Write as _};
    let start = || {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(BUSY_PROCESS).arg(component).arg(cache).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        assert_eq!(lines.next().expect("a line").expect("text"), "ready");
        (child, lines)
    };
    let mut all: Vec<_> = (0..count).map(|_| start()).collect();
    for (child, _) in &mut all {
        child.stdin.take().expect("stdin").write_all(b"go\n").expect("a start");
    }
    let mut runs = 0;
    for (mut child, mut lines) in all {
        let line = lines.next().expect("a line").expect("text");
        runs += line.split(' ').next().and_then(|runs| runs.parse::<u64>().ok()).expect("a number");
        child.wait().expect("its end");
    }
    runs as f64 / BUSY.as_secs_f64()
}

/// Prints one line for each language, or only for the language `only`.
pub async fn table(only: Option<&str>) {
    println!(
        "{:<11} {:>8} {:>9} {:>8} {:>9} {:>9} {:>9}   two threads, processes: runs/s of one; µs CPU a run",
        "", "size", "compile", "cached", "hello", "replay", "peak"
    );
    for (language, component) in LANGUAGES.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        let file = path(component);
        let Ok(meta) = std::fs::metadata(&file) else {
            println!("{language:<11} not built: scripts/guests.sh {language}");
            continue;
        };
        let folder = tempfile::tempdir().expect("a folder");
        // The cache needs a folder that is private to its user. The temporary folder is private, and the cache makes
        // its subfolder private.
        let cache = folder.path().join("cache");
        let timed = async || {
            let (engine, begun) = (engine(Some(&cache)), Instant::now());
            Guest::load(&engine, &file, &|_| {}).await.expect("the guest");
            begun.elapsed().as_secs_f64() * 1e3
        };
        let (cold, cached) = (timed().await, timed().await);
        let bench = Bench::load(&file, Some(&cache)).await;
        let (hello, replay) = (bench.median(&bench.hello).await, bench.median(&bench.replay).await);
        let peak = bench.peak().await;
        // The two measurements of a pair follow each other directly, because the machine has other work too. The median
        // of three pairs is printed.
        let mut pairs: Vec<_> = (0..3).map(|_| (bench.threads(1), bench.threads(2))).collect();
        pairs.sort_by(|a, b| (a.1.0 / a.0.0).total_cmp(&(b.1.0 / b.0.0)));
        let (one, two) = pairs[1];
        let mut ratios: Vec<_> = (0..3).map(|_| processes(&file, &cache, 2) / processes(&file, &cache, 1)).collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "{language:<11} {:>5.2} MB {cold:>6.0} ms {cached:>5.1} ms {hello:>6.1} µs {replay:>6.1} µs {:>5.1} MiB   \
             ×{:.2}, ×{:.2}; {:.1} → {:.1} with two threads",
            meta.len() as f64 / 1e6,
            peak as f64 / f64::from(1 << 20),
            two.0 / one.0,
            ratios[1],
            one.1,
            two.1,
        );
    }
}
