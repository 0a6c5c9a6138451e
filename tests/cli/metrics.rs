//! Metrics of the real binary: as Prometheus reads them, as OTLP sends them, and as the example's dashboard and alerts use them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::collector::Collector;
use crate::control::schedule;
use crate::gateway::Http;
use crate::harness::{Env, eventually, skip};
use crate::redis;
use crate::servers::redis::Flavour;

/// The names of a scrape, each with its labels, and the values by `name{labels}`.
struct Scrape {
    labels: BTreeMap<String, BTreeSet<String>>,
    values: BTreeMap<String, f64>,
    text: String,
}

impl Scrape {
    fn of(http: &Http) -> Self {
        let answer = http.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.header("content-type").expect("a type").starts_with("text/plain; version=0.0.4"));
        let (mut labels, mut values) = (BTreeMap::<_, BTreeSet<String>>::new(), BTreeMap::new());
        for line in answer.body.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (name, of) = series.split_once('{').unwrap_or((series, ""));
            let names = of.split("\",").filter_map(|pair| pair.split_once('=').map(|(label, _)| label.to_owned()));
            labels.entry(name.to_owned()).or_default().extend(names);
            values.insert(series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")));
        }
        Self { labels, values, text: answer.body }
    }

    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        *self.values.get(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text))
    }
}

/// Runs jobs of every outcome. Returns what the worker then says.
fn after_some_work(env: &Env, http: &Http) -> Scrape {
    assert_eq!(env.run(["call", "fib", "{\"n\": 6, \"salt\": \"metrics\"}"]).ok(), "8");
    env.run(["call", "flaky", "{\"until\": 2}", "--retry-delay", "1ms"]).ok();
    assert_eq!(env.run(["call", "fails", "{\"message\": \"no\"}", "--max-retries", "0"]).code, Some(30));
    let later = schedule(env, &["hello", "{\"greetee\": \"later\"}", "--delay", "1h"]);
    let scrape = eventually("the queue was looked at", || {
        let scrape = Scrape::of(http);
        let delayed = scrape.values.get("brrr_queue_messages{state=\"delayed\",topic=\"demo\"}");
        if delayed == Some(&1.0) { Ok(scrape) } else { Err(format!("{delayed:?}")) }
    });
    env.run(["cancel", &later]).ok();
    scrape
}

/// The checks of a worker that has done `after_some_work`.
fn check_work(scrape: &Scrape) {
    // fib(6) with a salt is a tree of 25 calls, and 12 of them have children.
    assert_eq!(scrape.value("brrr_calls_total{outcome=\"completed\",task=\"fib\"}"), 25.0);
    assert_eq!(scrape.value("brrr_replays_total{task=\"fib\"}"), 12.0);
    assert_eq!(scrape.value("brrr_run_duration_seconds_count{task=\"fib\"}"), 37.0);
    assert_eq!(scrape.value("brrr_guest_memory_bytes_count{task=\"fib\"}"), 37.0);
    assert!(scrape.value("brrr_guest_memory_bytes_sum{task=\"fib\"}") > 37.0 * 65_536.0);
    assert_eq!(scrape.value("brrr_jobs_total{outcome=\"completed\",task=\"fib\"}"), 1.0);
    assert_eq!(scrape.value("brrr_jobs_total{outcome=\"failed\",task=\"fails\"}"), 1.0);
    assert_eq!(scrape.value("brrr_call_retries_total{task=\"flaky\"}"), 1.0);
    assert_eq!(scrape.value("brrr_backend_operation_duration_seconds_count{operation=\"defer\"}"), 12.0);
    assert!(scrape.value("brrr_worker_slots") >= 8.0 && scrape.value("brrr_worker_slots_used") >= 0.0);
    // Every metric says what it is.
    for name in scrape.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(scrape.text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
    // No label names a job or a call, of which there are ever more.
    let known = ["task", "outcome", "operation", "kind", "topic", "state", "le", "service_name", "service_version"];
    let sdk = ["telemetry_sdk_language", "telemetry_sdk_name", "telemetry_sdk_version"];
    for (name, labels) in &scrape.labels {
        assert!(labels.iter().all(|label| known.contains(&&**label) || sdk.contains(&&**label)), "{name}: {labels:?}");
    }
}

#[test]
fn a_scrape_has_what_the_worker_did() {
    let env = Env::new();
    let worker = env.worker(&["--metrics", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let scrape = after_some_work(&env, &http);
    check_work(&scrape);
    check_example(&scrape);
    check_format(&env, &scrape);
    // A metrics address has no API, and is of this machine.
    assert_eq!(http.get("/v1/jobs").status, 404);
    assert_eq!(http.send("GET", "/metrics", &[("host", "evil.example")], None).status, 421);
    worker.stop().ok();
    // Without the flag, nothing listens.
    let worker = env.worker(&[]);
    assert!(!worker.stderr().contains("metrics"), "{}", worker.stderr());
    worker.stop().ok();
}

#[test]
fn metrics_of_redis_and_its_errors() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = redis::env_on(redis::url(&server));
    let worker = env.worker(&["--metrics", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    check_work(&after_some_work(&env, &http));
    drop(server);
    eventually("errors of the backend are counted", || {
        let scrape = Scrape::of(&http);
        let errors = "brrr_backend_errors_total{kind=\"unavailable\",operation=\"receive\"}";
        if scrape.values.contains_key(errors) { Ok(()) } else { Err(scrape.text) }
    });
}

/// Each metric and label that the example's dashboard and alerts use is in the scrape, or is counted only when something goes
/// wrong.
fn check_example(scrape: &Scrape) {
    const ONLY_WHEN_WRONG: [&str; 2] = ["brrr_dead_letters_total", "brrr_backend_errors_total"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/observability");
    let dashboard = std::fs::read_to_string(folder.join("dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut queries = Vec::new();
    collect(&dashboard, "expr", &mut queries);
    let rules = std::fs::read_to_string(folder.join("alerts.yml")).expect("the rules");
    queries.extend(rules.lines().filter_map(|line| Some(line.trim().strip_prefix("expr: ")?.to_owned())));
    assert!(queries.len() > 15, "{queries:?}");
    let mut used = BTreeSet::new();
    for query in &queries {
        let words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("brrr_")) {
            used.insert(name.to_owned());
            assert!(
                scrape.labels.contains_key(name) || ONLY_WHEN_WRONG.contains(&name),
                "{name} of {query:?} is not there:\n{}",
                scrape.text
            );
        }
        // Labels stand in `by (…)` and in `{label="…"}`.
        let grouped =
            query.split("by (").skip(1).filter_map(|rest| rest.split(')').next()).flat_map(|of| of.split(','));
        let matched = query.split('{').skip(1).filter_map(|rest| rest.split('}').next()).flat_map(|of| of.split(','));
        let matched = matched.filter_map(|pair| pair.split(['=', '!']).next());
        let known: BTreeSet<_> = scrape.labels.values().flatten().map(String::as_str).collect();
        for label in grouped.chain(matched).map(str::trim).filter(|label| !label.is_empty()) {
            assert!(known.contains(label) || ["kind", "job", "instance"].contains(&label), "{label} of {query:?}");
        }
    }
    // The dashboard shows every metric.
    for name in scrape.labels.keys().filter(|name| name.starts_with("brrr_")) {
        let base = name.trim_end_matches("_bucket").trim_end_matches("_sum").trim_end_matches("_count");
        assert!(used.iter().any(|used| used.starts_with(base)), "nothing shows {name}");
    }
}

fn collect(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    other => collect(other, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        _ => {}
    }
}

/// Prometheus' own tool reads the scrape and the rules.
fn check_format(env: &Env, scrape: &Scrape) {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/observability/alerts.yml");
    let text = env.write("scrape.txt", &scrape.text);
    let tool = |args: &[&str], input: &Path| {
        let input = std::fs::File::open(input).expect("a file");
        Command::new("promtool").args(args).stdin(input).output()
    };
    let Ok(metrics) = tool(&["check", "metrics"], &text) else {
        return skip("promtool is missing: scripts/setup/prometheus.sh");
    };
    assert!(metrics.status.success() && metrics.stderr.is_empty(), "{metrics:?}");
    let rules = tool(&["check", "rules", rules.to_str().expect("UTF-8")], &text).expect("promtool");
    assert!(rules.status.success(), "{rules:?}");
}

#[test]
fn otlp_sends_what_a_scrape_would_show() {
    let collector = Collector::start();
    let mut env = Env::new();
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    env.set("OTEL_METRIC_EXPORT_INTERVAL", "200");
    env.set("OTEL_SERVICE_NAME", "shop");
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 6, \"salt\": \"otlp\"}"]).ok(), "8");
    // The last numbers are sent at the end.
    worker.stop().ok();
    let received = collector.metrics();
    let last = received.last().expect("something was sent");
    let resource = format!("{:?}", last.resource_metrics[0].resource);
    assert!(resource.contains("service.name") && resource.contains("shop"), "{resource}");
    let scopes = last.resource_metrics.iter().flat_map(|of| &of.scope_metrics);
    let calls = scopes.flat_map(|scope| &scope.metrics).find(|metric| metric.name == "brrr.calls").expect("calls");
    let calls = format!("{calls:?}");
    assert!(calls.contains("AsInt(25)"), "{calls}");
}

#[test]
fn what_can_not_be_sent_is_refused_at_the_start() {
    let mut env = Env::new();
    env.set("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    env.set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    env.run(["serve"]).refused(2, &["OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "http/protobuf"]);
    // A collector that is not there harms nothing.
    env.set("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "hello", "{\"greetee\": \"you\"}"]).ok(), "Hello, you!");
    worker.stop().ok();
    env.set("OTEL_SDK_DISABLED", "true");
    env.set("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let worker = env.worker(&[]);
    worker.stop().ok();
}
