//! Traces of the real binary, as a collector receives them: one span for each call, whatever happens to the workers.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::Span;
use rustix::process::Signal;
use serde_json::json;

use crate::collector::Collector;
use crate::control::schedule;
use crate::gateway::Http;
use crate::harness::{Env, Running, eventually, guest};
use crate::http_server::HttpServer;
use crate::redis;
use crate::servers::redis::Flavour;

/// Lets the commands of a folder send their spans soon.
fn traced(mut env: Env, collector: &Collector) -> Env {
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    env.set("OTEL_METRICS_EXPORTER", "none");
    env.set("OTEL_BSP_SCHEDULE_DELAY", "50");
    env
}

/// The spans until now, by trace.
fn spans(collector: &Collector) -> BTreeMap<String, Vec<Span>> {
    let mut traces = BTreeMap::<_, Vec<Span>>::new();
    for request in collector.traces() {
        let scopes = request.resource_spans.into_iter().flat_map(|of| of.scope_spans);
        for span in scopes.flat_map(|of| of.spans) {
            traces.entry(hex(&span.trace_id)).or_default().push(span);
        }
    }
    traces
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of a job, when there are so many, checked: each call has one, and all but the first have a parent among them that
/// began before them.
fn trace(collector: &Collector, job: &str, count: usize) -> Vec<Span> {
    let found = eventually("all spans were sent", || {
        let found = spans(collector).remove(job).unwrap_or_default();
        if found.len() >= count { Ok(found) } else { Err(format!("{} of {count}", found.len())) }
    });
    let names = || found.iter().map(|span| &*span.name).collect::<Vec<_>>();
    assert_eq!(found.len(), count, "{:?}", names());
    let by_id: BTreeMap<_, _> = found.iter().map(|span| (&span.span_id, span)).collect();
    assert_eq!(by_id.len(), count, "a span id came twice: {:?}", names());
    let roots = found.iter().filter(|span| span.parent_span_id.is_empty()).count();
    assert_eq!(roots, 1, "{:?}", names());
    for span in &found {
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        if !span.parent_span_id.is_empty() {
            let parent = by_id.get(&span.parent_span_id).unwrap_or_else(|| panic!("{span:?} is an orphan"));
            assert!(parent.start_time_unix_nano <= span.start_time_unix_nano, "{parent:?} after {span:?}");
        }
    }
    found
}

/// The result of a job, when it is there.
fn result(env: &Env, job: &str) -> String {
    eventually("the job has ended", || match env.run(["read", "--job", job]) {
        read if read.code == Some(0) => Ok(read.stdout),
        read => Err(read.stderr),
    })
}

fn events(span: &Span, name: &str) -> usize {
    span.events.iter().filter(|event| event.name == name).count()
}

fn only<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let (Some(span), None) = (named.next(), named.next()) else { panic!("one {name} in {spans:?}") };
    span
}

/// A worker of the conformance guest and of the one that runs declared jobs.
fn worker(env: &Env, more: &[&str]) -> Running {
    let one = guest();
    let dag = one.with_file_name("rust-dag.wasm");
    let guests = ["run", one.to_str().expect("UTF-8"), dag.to_str().expect("UTF-8"), "--lease", "2s"];
    let worker = env.start(guests.iter().chain(more));
    worker.wait_for_stderr("serving topic");
    worker
}

/// A tree with replays, a call that is tried again, and a call whose worker dies: one trace.
fn one_span_a_call(env: Env, collector: &Collector) {
    let env = traced(env, collector);
    let first = worker(&env, &[]);
    let job = json!({"name": "traced", "tasks": [
        {"name": "tree", "handler": "fib", "inputs": {}, "arguments": {"n": 6, "salt": "traced"}},
        {"name": "again", "handler": "flaky", "inputs": {}, "arguments": {"until": 2}, "max_retries": 3},
        {"name": "killed", "handler": "real", "depends_on": ["tree", "again"], "inputs": {}, "arguments": {"ms": 2000}},
    ]});
    let job = schedule(&env, &["dag", &job.to_string()]);
    // The worker dies while the last call runs. Until then it has sent the spans of the others.
    eventually("the other spans were sent", || {
        let sent = spans(collector).get(&job).map_or(0, Vec::len);
        if sent >= 26 { Ok(()) } else { Err(sent.to_string()) }
    });
    eventually("the last call runs", || {
        let tree = env.run(["job", &job, "--output", "json"]).stdout;
        if tree.contains("\"killed\"") { Ok(()) } else { Err(tree) }
    });
    first.signal(Signal::KILL);
    drop(first);
    let second = worker(&env, &[]);
    result(&env, &job);
    // The tree has 25 calls; its top has the label that the job gave it.
    let found = trace(collector, &job, 28);
    let top = only(&found, "dag");
    assert!(top.parent_span_id.is_empty() && events(top, "wait") >= 2 && events(top, "run") >= 3, "{top:?}");
    let again = only(&found, "again");
    assert_eq!((events(again, "attempt failed"), events(again, "run")), (1, 2), "{again:?}");
    let tree = only(&found, "tree");
    assert_eq!((events(tree, "wait"), events(tree, "run")), (1, 2), "{tree:?}");
    assert_eq!(tree.parent_span_id, top.span_id);
    let killed = only(&found, "killed");
    let took = killed.end_time_unix_nano - killed.start_time_unix_nano;
    assert!(took > 2_000_000_000, "from its first start, on the worker that died: {took}");
    assert_eq!(found.iter().filter(|span| span.name == "fib").count(), 24);
    second.stop().ok();
}

#[test]
fn one_span_a_call_on_sqlite() {
    one_span_a_call(Env::new(), &Collector::start());
}

#[test]
fn one_span_a_call_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    one_span_a_call(redis::env_on(redis::url(&server)), &Collector::start());
}

#[test]
fn a_shared_call_links_the_jobs_that_wait_for_it() {
    let collector = Collector::start();
    let env = traced(Env::new(), &collector);
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let start = |topic: Option<&str>| {
        let input = json!({"task": "real", "args": {"ms": 1500}, "topic": topic});
        let body = json!({"task": "relays", "input": input}).to_string();
        let answer = http.send("POST", "/v1/jobs", &[("traceparent", caller)], Some(&body));
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["job"].as_str().expect("an id").to_owned()
    };
    let (first, second) = (start(None), start(Some("demo")));
    for job in [&first, &second] {
        result(&env, job);
    }
    // The shared call was run for one of the jobs.
    let all = eventually("three spans", || {
        let all = spans(&collector);
        let count = all.values().flatten().count();
        if count >= 3 { Ok(all) } else { Err(count.to_string()) }
    });
    let (owner, other) = if all[&first].len() == 2 { (&first, &second) } else { (&second, &first) };
    let (owners, others) = (trace(&collector, owner, 2), trace(&collector, other, 1));
    let shared = only(&owners, "real");
    let links: Vec<_> = shared.links.iter().map(|link| (hex(&link.trace_id), &link.span_id)).collect();
    assert_eq!(links, [(other.clone(), &others[0].span_id)]);
    for top in [only(&owners, "relays"), &others[0]] {
        let caller: Vec<_> = top.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect();
        assert_eq!(caller, [("0af7651916cd43dd8448eb211c80319c".to_owned(), "b7ad6b7169203331".to_owned())]);
    }
    worker.stop().ok();
}

#[test]
fn every_worker_samples_the_same_jobs() {
    let collector = Collector::start();
    let mut env = traced(Env::new(), &collector);
    env.set("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
    env.set("OTEL_TRACES_SAMPLER_ARG", "0.5");
    let workers = [env.worker(&["--max-running", "1"]), env.worker(&["--max-running", "1"])];
    let start = |n: usize| schedule(&env, &["fib", &json!({"n": 4, "salt": format!("sampled-{n}")}).to_string()]);
    let jobs: BTreeSet<_> = (0..20).map(start).collect();
    for job in &jobs {
        result(&env, job);
    }
    for worker in workers {
        worker.stop().ok();
    }
    let traces = spans(&collector);
    assert!((1..20).contains(&traces.len()), "{} of 20 jobs", traces.len());
    for (job, spans) in &traces {
        assert!(jobs.contains(job) && spans.len() == 9, "{job}: {} of 9 calls", spans.len());
    }
}

#[test]
fn requests_of_guests_continue_the_trace() {
    let collector = Collector::start();
    let env = traced(Env::new(), &collector);
    let server = HttpServer::start();
    let worker = env.worker(&["--allow-http", &server.host()]);
    let job = schedule(&env, &["http_get", &json!({"url": server.url("/echo")}).to_string()]);
    let echo = result(&env, &job);
    let found = trace(&collector, &job, 1);
    let expected = format!("00-{job}-{}-01", hex(&found[0].span_id));
    assert!(echo.contains(&expected), "{expected} is not in {echo}");
    worker.stop().ok();
}
